package dev.torpor.agent.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.torpor.agent.qmp.FakeMonitor;
import dev.torpor.agent.qmp.QmpClient;
import dev.torpor.agent.qmp.QmpLimits;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Samples against a monitor that shows a guest's memory, by a map from before its devices were loaded and by one after. */
class MappedMemoryTest {
    private static final long BYTES = 1 << 20;
    private static final MappedMemory.Samples SAMPLES = new MappedMemory.Samples(List.of(new MappedMemory.Sample(
            "pc.ram",
            0,
            ByteBuffer.allocate(16)
                    .order(ByteOrder.LITTLE_ENDIAN)
                    .putLong(1)
                    .putLong(2)
                    .flip())));

    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path temp;

    @SuppressWarnings("NullAway.Init")
    private FakeMonitor monitor;

    @SuppressWarnings("NullAway.Init")
    private QmpClient qmp;

    private volatile String map = "";
    /** What is at address 0; the block's words are at 0x100000. */
    private volatile String atZero = "";

    @BeforeEach
    void connect() throws Exception {
        monitor = new FakeMonitor(temp.resolve("s"), FakeMonitor.GREETING, FakeMonitor.negotiating(this::answer));
        qmp = QmpClient.connect(temp.resolve("s"), QmpLimits.DEFAULT);
    }

    @AfterEach
    void disconnect() throws IOException {
        qmp.close();
        monitor.close();
    }

    private String answer(String line) {
        String said = line.contains("info mtree")
                ? map
                : line.contains("0x100000\"") ? "0000000000100000: 0x0000000000000001 0x0000000000000002" : atZero;
        return "{\"return\":\"" + said.replace("\"", "\\\"").replace("\n", "\\r\\n") + "\",\"id\":"
                + line.replaceAll(".*\"id\":(\\d+).*", "$1") + "}\n";
    }

    private static String map(long address, String block) {
        return """
                FlatView #0
                 AS "memory", root: system
                  %016x-%016x (prio 0, ram): %s
                """.formatted(address, address + BYTES - 1, block);
    }

    private void compare(String before, String after) throws TorporException {
        map = before;
        ResumeTarget target =
                new ResumeTarget(Vms.INCOMING, Set.of("pc.ram"), Optional.empty(), Optional.of(GuestMemory.of(qmp)));
        map = after;
        MappedMemory.compare(qmp, target, SAMPLES);
    }

    @Test
    void aBlockThatIsNowhereBeforeTheLoadIsLookedForAfterIt() {
        assertThatCode(() -> compare(map(0, "pc.bios"), map(BYTES, "pc.ram"))).doesNotThrowAnyException();
    }

    @Test
    void whatCannotBeShownBeforeTheLoadIsLookedAtAfterIt() {
        atZero = "Cannot access memory";
        assertThatCode(() -> compare(map(0, "pc.ram"), map(BYTES, "pc.ram"))).doesNotThrowAnyException();
    }

    @Test
    void whatIsWrongAfterTheLoadIsWrong() {
        atZero = "0000000000000000: 0x0000000000000001 0x0000000000000003";
        TorporException other =
                catchThrowableOfType(TorporException.class, () -> compare(map(0, "pc.ram"), map(0, "pc.ram")));
        assertThat(other.reason()).isEqualTo(FailureReason.LoadFailed);
        assertThat(other).hasMessageEndingWith("is not what the image has there");
        TorporException nowhere =
                catchThrowableOfType(TorporException.class, () -> compare(map(0, "pc.ram"), map(0, "pc.bios")));
        assertThat(nowhere).hasMessage("QEMU does not say where RAM block pc.ram is in the guest");
    }
}
