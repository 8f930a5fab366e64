package dev.torpor.api.status;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.torpor.api.v1alpha1.SnapshotPhase;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.fabric8.kubernetes.api.model.Status;
import io.fabric8.kubernetes.api.model.StatusBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.fabric8.kubernetes.client.server.mock.EnableKubernetesMockClient;
import io.fabric8.kubernetes.client.server.mock.KubernetesMockServer;
import io.fabric8.mockwebserver.http.RecordedRequest;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/** The requests that go out, and how answers are read. What a real server does with them is tested in e2e. */
@EnableKubernetesMockClient(https = false)
@SuppressWarnings("NullAway.Init")
class ApplyStatusWriterTest {
    private static final String OBJECT = "/apis/torpor.dev/v1alpha1/namespaces/vms/vmsnapshots/web-1";
    private static final String APPLY = OBJECT + "/status?fieldManager=torpor-operator&force=false";

    private KubernetesMockServer server;
    private KubernetesClient client;

    @Test
    void transitionCarriesTheVersionAndOnlyTheOwnPart() throws Exception {
        expectApply(200, snapshot("8", SnapshotPhase.Bound));

        WriteResult<VMSnapshot> result = write(snapshot("7", null), SnapshotPhase.Bound);

        assertThat(result).isInstanceOfSatisfying(WriteResult.Written.class, written -> assertThat(
                        ((VMSnapshot) written.object()).getMetadata().getResourceVersion())
                .isEqualTo("8"));
        RecordedRequest request = server.takeRequest(5, TimeUnit.SECONDS);
        assertThat(request.getHeader("Content-Type")).startsWith("application/apply-patch+yaml");
        assertThat(request.getBody().readUtf8())
                .contains("resourceVersion", "7", "phase", "Bound")
                .doesNotContain("null", "spec", "uid-1");
    }

    @Test
    void unchangedPartIsNotSent() {
        assertThat(write(snapshot("7", SnapshotPhase.Bound), SnapshotPhase.Bound))
                .isInstanceOf(WriteResult.Unchanged.class);
        assertThat(server.getRequestCount()).isZero();
    }

    @Test
    void conflictOfVersionsIsStaleAndMissingIsGone() {
        expectApply(409, status(409, "the object has been modified", null));
        expectApply(404, status(404, "not found", null));

        assertThat(write(snapshot("7", null), SnapshotPhase.Bound)).isInstanceOf(WriteResult.Stale.class);
        assertThat(write(snapshot("7", null), SnapshotPhase.Bound)).isInstanceOf(WriteResult.Gone.class);
    }

    @Test
    void fieldTakenByAnotherManagerIsThrown() {
        expectApply(409, status(409, "conflict with \"kubectl\": .status.phase", "FieldManagerConflict"));

        assertThatThrownBy(() -> write(snapshot("7", null), SnapshotPhase.Bound))
                .isInstanceOf(KubernetesClientException.class)
                .hasMessageContaining("conflict with \"kubectl\"");
    }

    @Test
    void newsAreWrittenAgainOverANewerVersionOfTheSameObject() throws Exception {
        expectApply(409, status(409, "the object has been modified", null));
        server.expect()
                .get()
                .withPath(OBJECT)
                .andReturn(200, snapshot("9", null))
                .once();
        expectApply(200, snapshot("10", SnapshotPhase.Bound));

        assertThat(news(snapshot("7", null), SnapshotPhase.Bound)).isInstanceOf(WriteResult.Written.class);
        server.takeRequest(5, TimeUnit.SECONDS);
        server.takeRequest(5, TimeUnit.SECONDS);
        assertThat(server.takeRequest(5, TimeUnit.SECONDS).getBody().readUtf8()).contains("\"9\"");
    }

    @Test
    void newsNeverLandInAnotherObjectOfTheSameName() {
        VMSnapshot other = snapshot("9", null);
        other.getMetadata().setUid("uid-2");
        expectApply(409, status(409, "the object has been modified", null));
        server.expect().get().withPath(OBJECT).andReturn(200, other).once();

        assertThat(news(snapshot("7", null), SnapshotPhase.Bound))
                .isEqualTo(new WriteResult.Stale<>("another object has the name now"));
    }

    private WriteResult<VMSnapshot> write(VMSnapshot seen, SnapshotPhase phase) {
        return new ApplyStatusWriter(client).transition(StatusOwner.SNAPSHOT_OPERATOR, seen, status(phase));
    }

    private WriteResult<VMSnapshot> news(VMSnapshot seen, SnapshotPhase phase) {
        return new ApplyStatusWriter(client).news(StatusOwner.SNAPSHOT_OPERATOR, seen, status(phase));
    }

    private void expectApply(int code, Object answer) {
        server.expect().patch().withPath(APPLY).andReturn(code, answer).once();
    }

    private static VMSnapshot snapshot(String version, @Nullable SnapshotPhase phase) {
        VMSnapshot snapshot = new VMSnapshot();
        snapshot.setMetadata(new ObjectMetaBuilder()
                .withNamespace("vms")
                .withName("web-1")
                .withUid("uid-1")
                .withResourceVersion(version)
                .build());
        if (phase != null) {
            snapshot.setStatus(status(phase));
        }
        return snapshot;
    }

    private static VMSnapshotStatus status(SnapshotPhase phase) {
        VMSnapshotStatus status = new VMSnapshotStatus();
        status.setPhase(phase);
        return status;
    }

    private static Status status(int code, String message, @Nullable String cause) {
        StatusBuilder status = new StatusBuilder().withCode(code).withMessage(message);
        if (cause != null) {
            status.withNewDetails().addNewCause(".status.phase", message, cause).endDetails();
        }
        return status.build();
    }
}
