package dev.torpor.e2e.cluster;

import io.fabric8.kubernetes.client.KubernetesClientException;
import java.net.HttpURLConnection;
import java.util.Set;

/** Edits of objects that a controller writes at the same time. */
public final class Conflicts {
    private static final int TRIES_MAX = 20;
    // An edit is sent as a JSON patch, which is called invalid if what it changes is gone.
    private static final Set<Integer> CHANGED_MEANWHILE = Set.of(HttpURLConnection.HTTP_CONFLICT, 422);

    private Conflicts() {}

    /** Makes an edit, which reads the object itself, again for as long as somebody else was quicker. */
    public static void retried(Runnable edit) {
        for (int tries = 1; ; tries++) {
            try {
                edit.run();
                return;
            } catch (KubernetesClientException e) {
                if (!CHANGED_MEANWHILE.contains(e.getCode()) || tries == TRIES_MAX) {
                    throw e;
                }
            }
        }
    }
}
