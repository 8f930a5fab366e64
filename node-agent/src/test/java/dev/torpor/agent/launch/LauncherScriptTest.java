package dev.torpor.agent.launch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.agent.linux.Directory;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The script as the VM's container runs it, under the same busybox. */
@Timeout(60)
class LauncherScriptTest {
    private static final Path SCRIPTS = Path.of("src/main/launcher");
    private static final Duration PATIENCE = Duration.ofSeconds(20);

    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path volume;

    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path notes;

    private final List<Process> started = new ArrayList<>();

    @SuppressWarnings("NullAway.Init")
    private Directory directory;

    @SuppressWarnings("NullAway.Init")
    private AskDirectory asks;

    @BeforeEach
    void install() throws Exception {
        run("/bin/busybox", "sh", SCRIPTS.resolve("install").toString(), volume.toString());
        Files.writeString(volume.resolve("show"), "#!/bin/sh\nprintf '[%s]' \"$@\"\n");
        assertThat(volume.resolve("show").toFile().setExecutable(true)).isTrue();
        directory = Directory.open(volume);
        asks = new AskDirectory(directory);
    }

    @AfterEach
    void stop() throws Exception {
        for (Process process : started) {
            process.destroyForcibly().waitFor();
        }
        directory.close();
    }

    @Test
    void becomesTheAnsweredCommandWithEveryByteOfItsArguments() throws Exception {
        String odd = " a  b\n'\"$(x)`\\n\\c\\0101 *\u0001\u00c3\u00a9\n\n";
        Process launcher = launch(show(), "", odd, "-x");

        Ask ask = onlyAsk();
        assertThat(ask.argv()).containsExactly(show(), "", odd, "-x");
        assertThat(asks.isAwaited(ask.id())).isTrue();
        assertThat(asks.answer(ask.id(), Answer.boot(ask), PATIENCE)).isEqualTo(AskDirectory.Delivery.DELIVERED);

        assertThat(output(launcher))
                .endsWith("torpor: starting " + show() + "\n[][" + odd + "][-x][-qmp][" + Answer.MONITOR + "]");
        assertThat(directory.list(100)).containsExactlyInAnyOrder("bin", "show");
    }

    @Test
    void saysWhichQemuItIs() throws Exception {
        String qemu = script("qemu-system-test", "echo QEMU emulator version 9.2.1 '(of a distribution)'; echo more");
        launch(qemu, "-m", "1G");
        assertThat(onlyAsk().qemu()).contains(new QemuVersion(9, 2));
    }

    @Test
    void startsWhateverAVersionLooksLike() throws Exception {
        String qemu = script("qemu-kvm", "[ \"$1\" = --version ] && exit 3; printf '[%s]' \"$@\"");
        Process launcher = launch(qemu, "a");
        Ask ask = onlyAsk();
        assertThat(ask.qemu()).isEmpty();
        asks.answer(ask.id(), Answer.boot(ask), PATIENCE);
        assertThat(output(launcher)).endsWith("[a][-qmp][" + Answer.MONITOR + "]");
    }

    @Test
    void runsNothingThatIsNotCalledLikeAQemu() throws Exception {
        launch(script("entry", "echo version 9.2 > " + volume.resolve("ran")), "a");
        assertThat(onlyAsk().qemu()).isEmpty();
        assertThat(volume.resolve("ran")).doesNotExist();
    }

    @Test
    void readsAheadByThePlanBesideTheCommandAndSaysWhenItIsDone() throws Exception {
        Path file = Files.write(volume.resolve("file"), new byte[5 << 20]);
        Path plan = Files.writeString(volume.resolve("plan"), "1 2\n1 1\n");
        // Lives until it is told to end, as QEMU does.
        Process launcher = launch(script("vm", "exec sleep 60"));
        Ask ask = onlyAsk();
        Answer.ReadAhead ahead = new Answer.ReadAhead(file.toString(), plan.toString());
        asks.answer(ask.id(), new Answer.Start(ask.argv(), Optional.of(ahead)), PATIENCE);
        await().atMost(Duration.ofMinutes(1)).until(() -> Files.exists(volume.resolve("read-ahead.done")));
        assertThat(launcher.isAlive()).isTrue();
    }

    @Test
    void readsNoLongerThanTheCommandLives() throws Exception {
        Path file = Files.write(volume.resolve("file"), new byte[1 << 20]);
        Path plan = Files.writeString(volume.resolve("plan"), "0 1\n");
        Process launcher = launch(show(), "a");
        Ask ask = onlyAsk();
        Answer.ReadAhead ahead = new Answer.ReadAhead(file.toString(), plan.toString());
        asks.answer(ask.id(), new Answer.Start(ask.argv(), Optional.of(ahead)), PATIENCE);
        // The reader holds none of the command's output open: this ends with the command.
        assertThat(output(launcher)).endsWith("[a]");
        assertThat(launcher.waitFor()).isZero();
        await().during(Duration.ofSeconds(2))
                .atMost(PATIENCE)
                .until(() -> !Files.exists(volume.resolve("read-ahead.done")));
    }

    @Test
    void aFileThatCannotBeReadAheadKeepsNobody() throws Exception {
        Process launcher = launch(show(), "a");
        Ask ask = onlyAsk();
        Answer.ReadAhead ahead = new Answer.ReadAhead("/nowhere/file", "/nowhere/plan");
        asks.answer(ask.id(), new Answer.Start(ask.argv(), Optional.of(ahead)), PATIENCE);
        assertThat(output(launcher)).endsWith("torpor: starting " + show() + "\n[a]");
    }

    private String script(String name, String text) throws IOException {
        Path script = Files.writeString(volume.resolve(name), "#!/bin/sh\n" + text + "\n");
        assertThat(script.toFile().setExecutable(true)).isTrue();
        return script.toString();
    }

    @Test
    void saysWhatItWaitsForAndWaitsOn() throws Exception {
        Process launcher = launch(show(), "a");
        Ask ask = onlyAsk();
        asks.answer(ask.id(), new Answer.Say("the image is\nbeing checked"), PATIENCE);
        await().until(() -> asks.isAwaited(ask.id()));
        asks.answer(ask.id(), Answer.resume(ask), PATIENCE);
        assertThat(output(launcher))
                .startsWith("torpor: asking the agent of this node how to start (ask " + ask.id() + ")\n")
                .contains("torpor: the image is being checked\n")
                .endsWith("[a][-qmp][" + Answer.MONITOR + "][-incoming][defer]");
    }

    @Test
    void repeatsWhatItWaitsFor() throws Exception {
        ProcessBuilder builder = builder(show());
        builder.environment().put("TORPOR_WAITING_LINE_SECONDS", "1");
        Process launcher = start(builder);
        Ask ask = onlyAsk();
        var reader = launcher.inputReader();
        assertThat(reader.readLine()).contains("asking");
        String waits = "torpor: waiting for the agent of this node: no answer from the agent of this node yet";
        assertThat(reader.readLine()).isEqualTo(waits);
        asks.answer(ask.id(), new Answer.Say("a restore is under way"), PATIENCE);
        String next = reader.readLine();
        while (waits.equals(next)) { // however often it was repeated before the answer came
            next = reader.readLine();
        }
        assertThat(next).isEqualTo("torpor: a restore is under way");
        assertThat(reader.readLine()).isEqualTo("torpor: waiting for the agent of this node: a restore is under way");
    }

    @Test
    void ignoresAnAnswerThatWasCutOffAndTakesTheNext() throws Exception {
        Process launcher = launch(show(), "a");
        Ask ask = onlyAsk();
        Path fifo = volume.resolve("answer." + ask.id());
        Files.write(fifo, "\nbegin\narg /bin/false\narg half".getBytes(StandardCharsets.US_ASCII));
        Files.write(fifo, "\nexec 3\n".getBytes(StandardCharsets.US_ASCII));
        asks.answer(ask.id(), Answer.boot(ask), PATIENCE);
        assertThat(output(launcher))
                .contains("torpor: an answer was cut off (3 arguments told, 2 heard)")
                .endsWith("[a][-qmp][" + Answer.MONITOR + "]");
    }

    @Test
    void takesTheFirstOfTwoAnswers() throws Exception {
        Process launcher = launch(show(), "a");
        Ask ask = onlyAsk();
        asks.answer(ask.id(), Answer.boot(ask), PATIENCE);
        asks.answer(ask.id(), Answer.boot(ask), PATIENCE);
        assertThat(output(launcher)).endsWith("[a][-qmp][" + Answer.MONITOR + "]");
        await().until(() -> asks.answer(ask.id(), Answer.boot(ask), PATIENCE) == AskDirectory.Delivery.NOBODY_ASKS);
    }

    @Test
    void passesAnArgumentListLongerThanTheFifoHolds() throws Exception {
        String longArgument = "x y".repeat(30_000);
        Process launcher = launch(show(), longArgument);
        Ask ask = onlyAsk();
        assertThat(asks.answer(ask.id(), Answer.boot(ask), Duration.ofSeconds(20)))
                .isEqualTo(AskDirectory.Delivery.DELIVERED);
        assertThat(output(launcher)).endsWith("[" + longArgument + "][-qmp][" + Answer.MONITOR + "]");
    }

    @Test
    void cleansUpWhatAnEarlierProcessLeft() throws Exception {
        Process first = launch(show(), "first");
        String firstId = onlyAsk().id();
        first.destroyForcibly().waitFor();
        Files.writeString(volume.resolve("qmp.sock"), "");
        assertThat(asks.asks()).containsExactly(firstId);

        Process second = launch(show(), "second");
        await().until(() -> !asks.asks().contains(firstId) && asks.asks().size() == 1);
        assertThat(volume.resolve("answer." + firstId)).doesNotExist();
        assertThat(volume.resolve("qmp.sock")).doesNotExist();
        Ask ask = onlyAsk();
        asks.answer(ask.id(), Answer.boot(ask), PATIENCE);
        assertThat(output(second)).contains("[second]");
    }

    @Test
    void oneThatIsKilledWithHalfAnAnswerReadLeavesNothingToTheNext() throws Exception {
        Process first = launch(show(), "first");
        Ask ask = onlyAsk();
        Path fifo = volume.resolve("answer." + ask.id());
        Files.write(fifo, "\nbegin\narg /bin/false\narg x\nsay half\n".getBytes(StandardCharsets.US_ASCII));
        var heard = first.inputReader();
        String line = heard.readLine();
        while (!line.equals("torpor: half")) {
            line = heard.readLine();
        }
        first.destroyForcibly().waitFor();
        startsAsItIsAnswered(ask);
    }

    @Test
    void oneThatIsKilledWithTheWholeAnswerUnreadLeavesNothingToTheNext() throws Exception {
        Process first = launch(show(), "first");
        Ask ask = onlyAsk();
        signal("STOP", first);
        assertThat(asks.answer(ask.id(), Answer.boot(ask), PATIENCE)).isEqualTo(AskDirectory.Delivery.DELIVERED);
        signal("KILL", first); // destroyForcibly() would close what it has printed
        first.waitFor();
        assertThat(output(first)).doesNotContain("torpor: starting");
        startsAsItIsAnswered(ask);
    }

    /** All programs that the script runs are points at which its container may die: just before one, and just after. */
    @ParameterizedTest
    @CsvSource({
        "before, rm 1", "after, rm 1", "before, mkfifo 1", "after, mkfifo 1", "before, timeout 1", "after, timeout 1",
        "before, head 1", "after, head 1", "before, stat 1", "after, stat 1", "before, base64 1", "after, base64 1",
        "before, mv 1", "after, mv 1", "before, rm 2", "after, rm 2"
    })
    void aContainerThatIsKilledAtAnyStepOfItsStartIsFollowedByOneThatAsksAnew(String when, String call)
            throws Exception {
        String qemu = script("qemu-system-test", "printf '[%s]' \"$@\"");
        Process first = startInContainer(when + " " + call, "--", qemu, "first");
        // It is answered as soon as it asks; half an ask is none.
        answerEachUntilTheEndOf(first, id -> Answer.boot((Ask) asks.read(id)));
        assertThat(point()).as("the point at which it is killed").doesNotExist();
        assertThat(output(first)).as("nothing was started").doesNotContain("[first]");
        for (String id : asks.asks()) {
            assertThat(asks.isAwaited(id)).isFalse();
        }

        Process second = startInContainer("never", "--", qemu, "second");
        Ask ask = (Ask) asks.read(awaitedAsk());
        assertThat(ask.argv()).containsExactly(qemu, "second");
        asks.answer(ask.id(), Answer.resume(ask), PATIENCE);
        assertThat(output(second)).endsWith("[second][-qmp][" + Answer.MONITOR + "][-incoming][defer]");
        assertThat(directory.list(100)).containsExactlyInAnyOrder("bin", "show", "qemu-system-test");
        assertThat(calls())
                .as("what it runs, each a point above")
                .containsExactlyInAnyOrder("rm 2", "mkfifo 1", "timeout 1", "head 1", "stat 1", "base64 1", "mv 1");
    }

    @ParameterizedTest
    @CsvSource({
        "before, mkfifo 1",
        "after, mkfifo 1",
        "before, mv 1",
        "after, mv 1",
        "before, rm 1",
        "after, rm 1",
    })
    void aStopHookThatIsKilledAtAnyStepKeepsNeitherAnotherNorAStart(String when, String call) throws Exception {
        Process first = startInContainer(when + " " + call, "--stop");
        answerEachUntilTheEndOf(first, _ -> new Answer.Go());
        assertThat(point()).as("the point at which it is killed").doesNotExist();

        Process second = startInContainer("never", "--stop");
        asks.answer(awaitedAsk(), new Answer.Go(), PATIENCE);
        assertThat(second.waitFor(10, TimeUnit.SECONDS)).isTrue();
        assertThat(second.exitValue()).isZero();
        assertThat(calls())
                .as("what it runs, each a point above")
                .containsExactlyInAnyOrder("mkfifo 1", "mv 1", "rm 1");
        Process third = startInContainer("never", "--", show(), "third");
        Ask ask = onlyAsk();
        asks.answer(ask.id(), Answer.boot(ask), PATIENCE);
        assertThat(output(third)).endsWith("[third][-qmp][" + Answer.MONITOR + "]");
        assertThat(directory.list(100)).containsExactlyInAnyOrder("bin", "show");
    }

    private interface Answering {
        Answer to(String id) throws Exception;
    }

    private void answerEachUntilTheEndOf(Process process, Answering answering) {
        Set<String> answered = new HashSet<>();
        await().until(() -> {
            for (String id : asks.asks()) {
                if (answered.add(id)) {
                    asks.answer(id, answering.to(id), PATIENCE);
                }
            }
            return !process.isAlive();
        });
    }

    private String awaitedAsk() {
        AtomicReference<String> awaited = new AtomicReference<>("");
        await().until(() -> {
            for (String id : asks.asks()) {
                if (asks.isAwaited(id)) {
                    awaited.set(id);
                    return true;
                }
            }
            return false;
        });
        return awaited.get();
    }

    private Path point() {
        return notes.resolve("point");
    }

    /** Returns what the last process in a container ran, and how often. */
    private List<String> calls() throws IOException {
        try (var all = Files.list(notes)) {
            List<String> calls = new ArrayList<>();
            for (Path each : all.filter(note -> !note.equals(point())).toList()) {
                calls.add(each.getFileName() + " " + Files.readAllLines(each).size());
            }
            return calls;
        }
    }

    /**
     * Starts the script with a busybox that is killed, and all processes of the container with it, as it is called for something:
     * "before mv 1" is just before the first mv.
     */
    private Process startInContainer(String point, String... arguments) throws Exception {
        try (var old = Files.list(notes)) {
            for (Path note : old.toList()) {
                Files.delete(note);
            }
        }
        Files.writeString(point(), point);
        Path busybox = volume.resolve("bin/busybox");
        Files.deleteIfExists(busybox);
        Files.writeString(busybox, """
                #!/bin/sh
                calls=%1$s/$1
                echo >> "$calls"
                at() { [ "$(cat %1$s/point 2> /dev/null)" = "$1" ] && rm %1$s/point && kill -KILL 0; }
                call="$1 $(wc -l < "$calls" | tr -d ' ')"
                at "before $call"
                /bin/busybox "$@"
                status=$?
                at "after $call"
                exit $status
                """.formatted(notes));
        assertThat(busybox.toFile().setExecutable(true)).isTrue();
        List<String> command = new ArrayList<>(List.of(
                "setsid", "/bin/busybox", "sh", volume.resolve("bin/launch").toString()));
        command.addAll(List.of(arguments));
        return start(new ProcessBuilder(command).redirectErrorStream(true));
    }

    /** The next process of the container asks anew, and becomes what it is answered then. */
    private void startsAsItIsAnswered(Ask before) throws Exception {
        Process second = launch(show(), "second");
        String id = await().until(asks::asks, ids -> ids.size() == 1 && !ids.contains(before.id()))
                .getFirst();
        assertThat(volume.resolve("answer." + before.id())).doesNotExist();
        asks.answer(id, Answer.resume((Ask) asks.read(id)), PATIENCE);
        assertThat(output(second))
                .endsWith("torpor: starting " + show() + "\n[second][-qmp][" + Answer.MONITOR + "][-incoming][defer]");
        assertThat(directory.list(100)).containsExactlyInAnyOrder("bin", "show");
    }

    private void signal(String name, Process process) throws Exception {
        run("/bin/kill", "-" + name, Long.toString(process.pid()));
    }

    @Test
    void anAskWhoseProcessIsGoneIsRemoved() throws Exception {
        Process launcher = launch(show(), "a");
        Ask ask = onlyAsk();
        launcher.destroyForcibly().waitFor();
        assertThat(asks.answer(ask.id(), Answer.boot(ask), PATIENCE)).isEqualTo(AskDirectory.Delivery.NOBODY_ASKS);
        assertThat(asks.asks()).isEmpty();
    }

    @Test
    void endsWhenToldTo() throws Exception {
        Process launcher = launch(show(), "a");
        onlyAsk();
        assertThat(launcher.toHandle().destroy()).isTrue();
        assertThat(output(launcher)).contains("told to stop while waiting");
        assertThat(launcher.waitFor()).isEqualTo(143);
        assertThat(directory.list(100)).containsExactlyInAnyOrder("bin", "show");
    }

    @Test
    void refusesAContainerWithoutCommand() throws Exception {
        Process launcher = launch();
        assertThat(output(launcher)).contains("the container must name one after \"launch --\"");
        assertThat(launcher.waitFor()).isEqualTo(1);
    }

    @Test
    void aStopHookWaitsUntilTheAgentLetsItGo() throws Exception {
        Process hook = start(stopHook());
        String id = await().until(asks::asks, ids -> ids.size() == 1).getFirst();
        assertThat(asks.read(id)).isEqualTo(new StopAsk(id));

        asks.answer(id, new Answer.Say("the VM is being saved"), PATIENCE);
        assertThat(hook.waitFor(200, TimeUnit.MILLISECONDS)).isFalse();
        asks.answer(id, new Answer.Go(), PATIENCE);

        assertThat(hook.waitFor(10, TimeUnit.SECONDS)).isTrue();
        assertThat(hook.exitValue()).isZero();
        assertThat(directory.list(100)).containsExactlyInAnyOrder("bin", "show");
    }

    @Test
    void aStopHookDoesNotWaitForAnAgentThatIsAway() throws Exception {
        ProcessBuilder silent = stopHook();
        silent.environment().put("TORPOR_STOP_SILENCE_SECONDS", "1");
        Process hook = start(silent);

        assertThat(hook.waitFor(10, TimeUnit.SECONDS)).isTrue();
        assertThat(hook.exitValue()).isZero();
        assertThat(directory.list(100)).containsExactlyInAnyOrder("bin", "show");
    }

    @Test
    void aStopHookLeavesAStartThatWaitsAlone() throws Exception {
        launch(show());
        Ask waiting = onlyAsk();
        Process hook = start(stopHook());
        String stop = await().until(asks::asks, ids -> ids.size() == 2).stream()
                .filter(id -> !id.equals(waiting.id()))
                .findFirst()
                .orElseThrow();
        asks.answer(stop, new Answer.Go(), PATIENCE);

        assertThat(hook.waitFor(10, TimeUnit.SECONDS)).isTrue();
        assertThat(asks.isAwaited(waiting.id())).isTrue();
    }

    private ProcessBuilder stopHook() {
        return new ProcessBuilder(
                        volume.resolve("bin/busybox").toString(),
                        "sh",
                        volume.resolve("bin/launch").toString(),
                        "--stop")
                .redirectErrorStream(true);
    }

    private String show() {
        return volume.resolve("show").toString();
    }

    private Process launch(String... command) throws IOException {
        return start(builder(command));
    }

    private ProcessBuilder builder(String... command) {
        List<String> all = new ArrayList<>(List.of(
                volume.resolve("bin/busybox").toString(),
                "sh",
                volume.resolve("bin/launch").toString(),
                "--"));
        for (String argument : command) {
            // ProcessBuilder encodes in the platform's charset: bytes as in Ask.
            all.add(new String(argument.getBytes(StandardCharsets.ISO_8859_1), StandardCharsets.UTF_8));
        }
        return new ProcessBuilder(all).redirectErrorStream(true);
    }

    private Process start(ProcessBuilder builder) throws IOException {
        Process process = builder.start();
        started.add(process);
        return process;
    }

    private void run(String... command) throws Exception {
        Process process = start(new ProcessBuilder(command).inheritIO());
        assertThat(process.waitFor(10, TimeUnit.SECONDS)).isTrue();
        assertThat(process.exitValue()).isZero();
    }

    private static String output(Process process) throws IOException {
        return new String(process.getInputStream().readAllBytes(), StandardCharsets.ISO_8859_1);
    }

    private Ask onlyAsk() throws Exception {
        String id = await().until(asks::asks, ids -> ids.size() == 1).getFirst();
        return (Ask) asks.read(id);
    }
}
