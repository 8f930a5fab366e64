package dev.torpor.agent.work;

import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageMode;
import dev.torpor.agent.image.ImageState;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.agent.linux.SimulatedDisk;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.OptionalLong;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Whether a look at an image goes on, by what becomes of the image meanwhile. */
class ScanEndsTest {
    private static final ImageId IMAGE = new ImageId("vms", "web", "u1");
    private static final int DISK = 8;
    /** More than between two looks at the record. */
    private static final int CHUNKS = 200;

    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path temp;

    private boolean fails;

    @SuppressWarnings("NullAway.Init")
    private ImageStore store;

    @BeforeEach
    void commit() throws Exception {
        Path path = Files.createDirectory(temp.resolve("store")).toRealPath();
        var _ = SimulatedDisk.mount(path, DISK, () -> fails ? Optional.of(SimulatedDisk.Fault.EIO) : Optional.empty());
        store = ImageStore.open(path);
        SampleSave.commit(store, IMAGE, ImageMode.SAVE);
    }

    @AfterEach
    void unmount() throws Exception {
        store.close();
        SimulatedDisk.unmountAll();
    }

    @Test
    void aRecordThatCannotBeReadIsNoneThatSaysTheImageIsGone() {
        fails = true;
        assertThatCode(this::readOn).doesNotThrowAnyException();
    }

    @Test
    void anImageThatIsNotToBeRestoredIsLeft() throws Exception {
        store.transition(IMAGE, new ImageState.Stale());
        assertThatThrownBy(this::readOn).isInstanceOf(EndedException.class);
    }

    private void readOn() {
        ScanPace pace = new ScanPace(store, IMAGE, () -> false, OptionalLong.empty());
        for (int chunk = 1; chunk <= CHUNKS; chunk++) {
            pace.progress(chunk, CHUNKS);
        }
    }
}
