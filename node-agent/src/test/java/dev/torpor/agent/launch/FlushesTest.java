package dev.torpor.agent.launch;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.agent.image.ImageFiles;
import dev.torpor.agent.image.ImageHeader;
import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageMode;
import dev.torpor.agent.image.ImageState;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.agent.image.PartialImage;
import dev.torpor.agent.image.PartialIntent;
import dev.torpor.agent.image.ProcessIdentity;
import dev.torpor.agent.image.SampleGuest;
import dev.torpor.agent.linux.SimulatedDisk;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.Arrays;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.stream.Collectors;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Each place in the code that flushes something, left out: in one short story the power is cut at each call and after the last,
 * and what the disk keeps is drawn. With all flushes what was promised holds always; without that one it does not.
 */
public class FlushesTest {
    private static final int SEEDS = 16;
    private static final ImageId ID = new ImageId("vms", "web", "u1");
    private static final VmName VM = new VmName("vms", "web");
    private static final ProcessIdentity PROCESS = new ProcessIdentity("pod", "container", "boot", 42, 4711);
    private static final Instant THEN = Instant.parse("2026-01-02T03:04:05Z");
    private static final byte[] MEMORY = {1, 2, 3, 4, 5, 6, 7, 8};

    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path temp;

    @SuppressWarnings("NullAway.Init")
    private Path path;

    @BeforeEach
    void directory() throws IOException {
        path = Files.createDirectory(temp.resolve("disk")).toRealPath();
    }

    @AfterEach
    void unmount() {
        SimulatedDisk.unmountAll();
    }

    /** A place that flushes, and the story in which it is missed. */
    enum Place {
        DATA_OF_AN_IMAGE("PartialImage.writeHeader", Story.SAVE),
        CONTENT_OF_A_RECORD("Directory.prepareFile", Story.SAVE),
        NAME_OF_A_RECORD("Directory.replaceWithPrepared", Story.SAVE),
        NAME_OF_A_NEW_IMAGE("ImageStore.create", Story.SAVE),
        NAME_OF_A_NEW_FOLDER("Directory.childCreating", Story.SAVE),
        NAME_OF_AN_IMPORT("ImageStore.seal", Story.IMPORT),
        STATE_OF_AN_IMAGE("ImageStore.flush", Story.HAND_OVER),
        FILE_THAT_GOES("ImageStore.removeFiles", Story.CONSUMPTION),
        RECORD_THAT_GOES("ImageStore.delete", Story.DELETION),
        UNREADABLE_RECORD_THAT_GOES("ImageStore.forget", Story.OBLIVION),
        DAMAGE_THAT_IS_OVER("ImageStore.recordSound", Story.PUT_BACK),
        JOURNAL("VmJournal.flush", Story.BOOT),
        WHAT_IS_READ_OF_THE_JOURNAL("VmJournal.settle", Story.LOOK_AT_A_BOOT),
        WHAT_THE_OWNER_BEFORE_LEFT("Directory.syncTree", Story.NEXT_OWNER);

        private final String method;
        private final Story story;

        Place(String method, Story story) {
            this.method = method;
            this.story = story;
        }
    }

    /** What was done before the power went, what is done when it goes, and what must hold after that. */
    private enum Story {
        /** A new VM's first image: nothing that says Complete is anything else, and after the commit it does. */
        SAVE {
            @Override
            void act(Life life) throws IOException, TorporException {
                life.commit(life.store.create(ID, intent()));
            }

            @Override
            boolean holds(Life life, boolean done) throws IOException, TorporException {
                return life.isWhole(done);
            }
        },
        IMPORT {
            @Override
            void act(Life life) throws IOException, TorporException {
                life.commit(life.store.createBeside(ID, intent()));
            }

            @Override
            boolean holds(Life life, boolean done) throws IOException, TorporException {
                return life.isWhole(done);
            }
        },
        /** I2: the guest runs after this. */
        HAND_OVER {
            @Override
            void prepare(Life life) throws IOException, TorporException {
                SAVE.act(life);
            }

            @Override
            void act(Life life) throws TorporException {
                life.store.transition(ID, new ImageState.HandedOver(PROCESS));
            }

            @Override
            boolean holds(Life life, boolean done) throws TorporException {
                ImageState state = life.store.state(ID).orElseThrow();
                return state instanceof ImageState.HandedOver || (!done && state instanceof ImageState.Complete);
            }
        },
        /** What was resumed takes no room any more: nobody looks for it again. */
        CONSUMPTION {
            @Override
            void prepare(Life life) throws IOException, TorporException {
                HAND_OVER.prepare(life);
                HAND_OVER.act(life);
            }

            @Override
            void act(Life life) throws TorporException {
                life.store.transition(ID, new ImageState.Consumed());
            }

            @Override
            boolean holds(Life life, boolean done) throws TorporException {
                boolean consumed = life.store.state(ID).orElseThrow() instanceof ImageState.Consumed;
                return done ? consumed && !life.hasFile() : consumed || life.hasFile();
            }
        },
        /** Nothing of it comes back, and no file is there that no record tells of: nobody would ever remove it. */
        DELETION {
            @Override
            void prepare(Life life) throws IOException, TorporException {
                SAVE.act(life);
            }

            @Override
            void act(Life life) throws TorporException {
                life.store.delete(ID);
            }

            @Override
            boolean holds(Life life, boolean done) throws TorporException {
                boolean listed = life.store.state(ID).isPresent();
                return done ? !listed && !life.hasFile() : listed || !life.hasFile();
            }
        },
        /** A record that held its VM holds it no more. */
        OBLIVION {
            @Override
            void prepare(Life life) throws IOException, TorporException {
                SAVE.act(life);
            }

            @Override
            void act(Life life) throws TorporException {
                life.store.forget(ID);
            }

            @Override
            boolean holds(Life life, boolean done) throws TorporException {
                return !done || life.store.state(ID).isEmpty();
            }
        },
        /** I4: what was said to be restorable again is. */
        PUT_BACK {
            @Override
            void prepare(Life life) throws IOException, TorporException {
                SAVE.act(life);
                assertThat(life.store.verify(ID, (_, _) -> {})).isTrue();
                life.store.recordDamage(ID, "a page");
            }

            @Override
            void act(Life life) throws TorporException {
                assertThat(life.store.rescan(ID, (_, _) -> {})).isTrue();
            }

            @Override
            boolean holds(Life life, boolean done) throws TorporException {
                return !done || life.store.damage(ID).isEmpty();
            }
        },
        /** I2: a VM that has run makes its images stale, and so is known to have run. */
        BOOT {
            @Override
            void act(Life life) throws TorporException {
                var _ = life.journal.update(VM, vm -> vm.booted("pod", "ask", THEN));
            }

            @Override
            boolean holds(Life life, boolean done) throws TorporException {
                return !done || life.journal.read(VM).runs() == 1;
            }
        },
        /** What is read is acted on: it is not taken back. */
        LOOK_AT_A_BOOT {
            @Override
            void act(Life life) throws TorporException {
                var _ = life.journal.updateUnflushed(VM, vm -> vm.booted("pod", "ask", THEN));
                assertThat(life.journal.read(VM).runs()).isEqualTo(1);
            }

            @Override
            boolean holds(Life life, boolean done) throws TorporException {
                return !done || life.journal.read(VM).runs() == 1;
            }
        },
        /** The same across the death of an agent: what the next one reads may never have been flushed. */
        NEXT_OWNER {
            @Override
            void prepare(Life life) throws IOException, TorporException {
                SAVE.act(life);
                BOOT.act(life);
            }

            @Override
            void act(Life life) throws TorporException {
                var _ = life.store.transitionUnflushed(ID, new ImageState.HandedOver(PROCESS));
                var _ = life.journal.updateUnflushed(VM, vm -> vm.booted("pod-2", "ask-2", THEN));
            }

            @Override
            boolean holds(Life life, boolean done) throws TorporException {
                String seen = seen(life);
                return seen(life.powerIsLost()).equals(seen);
            }

            private String seen(Life life) throws TorporException {
                return life.store.state(ID) + " " + life.journal.read(VM);
            }

            @Override
            boolean losesPower() {
                return false;
            }
        };

        void prepare(Life life) throws IOException, TorporException {}

        abstract void act(Life life) throws IOException, TorporException;

        /** {@code done}: it came to its end before. */
        abstract boolean holds(Life life, boolean done) throws IOException, TorporException;

        /** Tells whether the power is lost, or only the process. */
        boolean losesPower() {
            return true;
        }

        private static PartialIntent intent() {
            return new PartialIntent(ImageMode.MANAGED_SAVE, 0, true, Optional.of(PROCESS), THEN);
        }
    }

    /** The process is gone. */
    private static final class CutError extends Error {
        private static final long serialVersionUID = 1L;

        CutError() {
            super("cut", null, false, false);
        }
    }

    /** Ends the process at the n-th call that changes something. */
    private static final class Cut implements SimulatedDisk.Trap {
        int left = Integer.MAX_VALUE;

        @Override
        public Optional<SimulatedDisk.Fault> before() {
            throw new UnsupportedOperationException();
        }

        @Override
        public Optional<SimulatedDisk.Fault> before(String call) {
            if (!call.equals("pread") && left-- <= 0) {
                left = 0;
                throw new CutError();
            }
            return Optional.empty();
        }
    }

    /** One owner of the store and of the journal in it. */
    private final class Life {
        final SimulatedDisk disk;
        final Random random;
        final ImageStore store;
        final VmJournal journal;

        Life(SimulatedDisk disk, Random random) throws TorporException {
            this.disk = disk;
            this.random = random;
            store = ImageStore.open(path);
            journal = new VmJournal(store.directory());
        }

        Life dies() throws TorporException {
            disk.processEnds();
            return new Life(disk, random);
        }

        Life powerIsLost() throws TorporException {
            disk.losePower(random);
            return new Life(disk, random);
        }

        void commit(PartialImage partial) throws IOException, TorporException {
            try (ImageFiles files = partial.openForQemu(false)) {
                for (Map.Entry<Long, byte[]> part : SampleGuest.parts(MEMORY).entrySet()) {
                    files.buffered().write(ByteBuffer.wrap(part.getValue()), part.getKey());
                }
            }
            ImageHeader header = new ImageHeader(
                    ID, ImageMode.MANAGED_SAVE, SampleGuest.definition(), "qemu-direct", 2, false, 0, true, THEN, THEN);
            var _ = partial.commit(header, SampleGuest.pages());
        }

        boolean isWhole(boolean done) throws IOException, TorporException {
            Optional<ImageState> state = store.state(ID);
            if (state.isEmpty() || state.get() instanceof ImageState.Partial) {
                return !done;
            }
            ByteBuffer memory = ByteBuffer.allocate(MEMORY.length);
            try (ImageFiles files = store.open(ID).openForQemu(false)) {
                files.buffered().read(memory, SampleGuest.memoryAt());
            }
            return Arrays.equals(memory.array(), MEMORY);
        }

        boolean hasFile() {
            return disk.files().keySet().stream().anyMatch(file -> file.endsWith(".img"));
        }
    }

    @ParameterizedTest
    @EnumSource
    void oneThatIsLeftOutIsMissedAndWithAllOfThemNothingIsLost(Place place) {
        assertThat(broken(place.story, "")).as("with all of them").isEmpty();
        assertThat(broken(place.story, place.method))
                .as("without " + place.method)
                .isPresent();
    }

    /** Returns the places that are tried, as {@code Class.method}. */
    public static Set<String> places() {
        return Arrays.stream(Place.values()).map(place -> place.method).collect(Collectors.toSet());
    }

    /** Returns when what was promised does not hold, if ever. */
    private Optional<String> broken(Story story, String without) {
        for (int seed = 0; seed < SEEDS; seed++) {
            boolean done = false;
            for (int cut = 0; !done; cut++) {
                try {
                    done = tell(story, without, seed, cut);
                } catch (AssertionError | IOException | TorporException | RuntimeException e) {
                    return Optional.of("seed %d, cut at call %d: %s".formatted(seed, cut, e));
                }
            }
        }
        return Optional.empty();
    }

    /** Returns whether the story came to its end before the cut. */
    private boolean tell(Story story, String without, int seed, int cut) throws IOException, TorporException {
        Cut power = new Cut();
        SimulatedDisk disk = SimulatedDisk.mount(path, 1, power);
        Life life = new Life(disk, new Random(seed));
        story.prepare(life);
        disk.without(without);
        power.left = cut;
        boolean done = false;
        try {
            story.act(life);
            done = true;
        } catch (CutError e) {
            // The next one finds what there is.
        }
        power.left = Integer.MAX_VALUE;
        assertThat(story.holds(story.losesPower() ? life.powerIsLost() : life.dies(), done))
                .isTrue();
        return done;
    }
}
