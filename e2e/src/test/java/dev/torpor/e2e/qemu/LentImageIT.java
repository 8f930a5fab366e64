package dev.torpor.e2e.qemu;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.agent.image.CommittedImage;
import dev.torpor.agent.image.ImageStore;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;

/** Who can do what with an image, from inside a pod: in a mount of its VM's folder as the kubelet makes it. */
@Tag("qemu")
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@SuppressWarnings("NullAway.Init")
class LentImageIT {
    private static final String IN_POD = """
            mount -t tmpfs -o mode=755 pod /run
            mkdir /run/torpor-images
            mount --bind "$1" /run/torpor-images
            mount -o remount,bind,ro /run/torpor-images
            cd /run/torpor-images
            user=$2
            shift 2
            exec setpriv --reuid="$user" --regid="$user" --clear-groups "$@"
            """;
    private static final String ROOT = "0";
    private static final String SOMEBODY = "65532";

    private Path storePath;
    private ImageStore store;
    private CommittedImage image;
    private CommittedImage other;

    @BeforeAll
    void save(@TempDir Path temp) throws Exception {
        storePath = temp.resolve("store");
        store = ImageStore.open(storePath);
        try (Vm vm = Vm.bare(temp, 64)) {
            image = Saving.save(vm, store);
            vm.qmp().execute("cont");
            other = Saving.save(vm, store);
        }
    }

    @AfterAll
    void close() throws Exception {
        store.close();
    }

    @Test
    void onlyTheImageThatIsLentIsReadableAndNothingIsWritable() throws Exception {
        String file = image.id().fileName();
        assertThat(inPod(SOMEBODY, "head", "-c", "8", file)).contains("Permission denied");
        store.lend(image, Set.of("pc.ram"));
        assertThat(inPod(SOMEBODY, "head", "-c", "8", file)).isEqualTo("TORPORIM");
        assertThat(inPod(SOMEBODY, "cat", image.id().planName())).matches("(\\d+ \\d+\n)+");
        assertThat(inPod(SOMEBODY, "head", "-c", "8", other.id().fileName())).contains("Permission denied");
        assertThat(inPod(SOMEBODY, "ls")).contains("Permission denied");
        for (String user : List.of(ROOT, SOMEBODY)) {
            assertThat(inPod(user, "sh", "-c", "echo >> " + file)).containsAnyOf("Read-only", "Permission denied");
            assertThat(inPod(user, "rm", "-f", file)).contains("Read-only file system");
        }
        store.endLoan(image.id());
        assertThat(inPod(SOMEBODY, "head", "-c", "8", file)).contains("Permission denied");
        assertThat(store.open(image.id()).header().vm().machineType())
                .isEqualTo(image.header().vm().machineType());
    }

    @Test
    void aQemuOfAnyUserMapsTheImageThatIsLent() throws Exception {
        store.lend(image, Set.of("pc.ram"));
        var block = image.layout().blocks().stream()
                .filter(candidate -> candidate.name().equals("pc.ram"))
                .findFirst()
                .orElseThrow();
        // It ends by itself once the machine with that memory is made.
        String said = inPod(
                SOMEBODY,
                "sh",
                "-c",
                "echo '{\"execute\":\"qmp_capabilities\"}{\"execute\":\"quit\"}' | qemu-system-x86_64 -accel tcg -machine"
                        + " q35,memory-backend=pc.ram -m 64M -nodefaults -display none -S -qmp stdio -object"
                        + " memory-backend-file,id=pc.ram,size=64M,mem-path="
                        + image.id().fileName() + ",offset="
                        + block.pages().offsetBytes() + ",align=2M,share=off,readonly=on,rom=off");
        store.endLoan(image.id());
        assertThat(said).contains("\"QMP\"").contains("SHUTDOWN").doesNotContain("denied");
    }

    private String inPod(String user, String... command) throws IOException {
        Path folder = Saving.file(storePath, image).getParent();
        List<String> all = new ArrayList<>(
                List.of("unshare", "--mount", "/bin/sh", "-ec", IN_POD, "sh", String.valueOf(folder), user));
        all.addAll(List.of(command));
        Process process = new ProcessBuilder(all).redirectErrorStream(true).start();
        process.getOutputStream().close();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.ISO_8859_1);
        process.onExit().join();
        return output;
    }
}
