package dev.torpor.e2e.qemu;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.torpor.e2e.tree.WorkTree;
import io.fabric8.kubernetes.api.model.ConfigMap;
import io.fabric8.kubernetes.client.utils.Serialization;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * The script of {@code examples/kubevirt/hook.yaml}, run as KubeVirt's sidecar runs it.
 *
 * @param script a copy of it
 */
record KubeVirtHook(Path script) {
    static KubeVirtHook copiedTo(Path folder) throws IOException {
        ConfigMap map = Serialization.unmarshal(
                Files.readString(WorkTree.root().resolve("examples/kubevirt/hook.yaml")), ConfigMap.class);
        return new KubeVirtHook(Files.writeString(
                folder.resolve("onDefineDomain"), map.getData().get("onDefineDomain")));
    }

    /** Returns what the script makes of a domain, with its monitor in a folder. */
    String render(String vmi, String domain, Path folder) throws IOException, InterruptedException {
        ProcessBuilder builder =
                new ProcessBuilder(List.of("/bin/sh", script.toString(), "--vmi", vmi, "--domain", domain));
        builder.environment().put("TORPOR_DIR", folder.toString());
        Process process = builder.redirectError(ProcessBuilder.Redirect.INHERIT).start();
        String output = new String(process.getInputStream().readAllBytes(), UTF_8);
        if (process.waitFor() != 0) {
            throw new IllegalStateException("the hook ended with " + process.exitValue());
        }
        return output;
    }
}
