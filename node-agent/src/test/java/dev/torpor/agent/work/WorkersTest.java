package dev.torpor.agent.work;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.agent.launch.VmName;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class WorkersTest {
    private static final VmName A = new VmName("vms", "a");
    private static final VmName B = new VmName("vms", "b");
    private static final WorkItem FIRST = new WorkItem.Snapshot("vms", "first");
    private static final WorkItem SECOND = new WorkItem.Snapshot("vms", "second");

    private final ScheduledExecutorService timer = Executors.newSingleThreadScheduledExecutor();

    @AfterEach
    void stop() {
        timer.shutdownNow();
    }

    @Test
    void oneVmIsWorkedOnOneItemAtATimeAndAnotherBeside() throws Exception {
        CountDownLatch release = new CountDownLatch(1);
        List<String> log = new CopyOnWriteArrayList<>();
        try (Workers workers = new Workers(
                (vm, item, attempt) -> {
                    if (vm.equals(A)) {
                        log.add("a begins");
                        release.await();
                        log.add("a ends");
                    } else {
                        log.add("b");
                    }
                    return Next.onChange();
                },
                timer)) {
            workers.submit(A, FIRST);
            workers.submit(A, SECOND);
            workers.submit(A, SECOND);
            workers.submit(B, FIRST);
            await().until(() -> log.contains("b") && log.contains("a begins"));
            release.countDown();
            await().until(() -> log.size() == 5);
            assertThat(log)
                    .filteredOn(line -> !line.equals("b"))
                    .containsExactly("a begins", "a ends", "a begins", "a ends");
        }
    }

    @Test
    void whatWantsToBeLookedAtAgainIsAndWhatFailsToo() throws Exception {
        AtomicInteger looks = new AtomicInteger();
        try (Workers workers = new Workers(
                (vm, item, attempt) -> switch (looks.incrementAndGet()) {
                    case 1 -> Next.now();
                    case 2 -> Next.after(Duration.ofMillis(10));
                    case 3 -> throw new IllegalStateException("told to");
                    default -> Next.onChange();
                },
                timer)) {
            workers.submit(A, FIRST);
            await().until(() -> looks.get() == 4);
            await().during(Duration.ofMillis(200)).until(() -> looks.get() == 4);
        }
    }

    @Test
    void atTheEndWhatIsUnderWayComesToRestAndNothingElseBegins() throws Exception {
        CountDownLatch begun = new CountDownLatch(1);
        CountDownLatch release = new CountDownLatch(1);
        List<WorkItem> looks = new CopyOnWriteArrayList<>();
        try (Workers workers = new Workers(
                (vm, item, attempt) -> {
                    looks.add(item);
                    begun.countDown();
                    release.await();
                    return switch (looks.size()) {
                        case 1 -> Next.now();
                        case 2 -> Next.backOff();
                        default -> Next.onChange();
                    };
                },
                timer)) {
            workers.submit(A, FIRST);
            workers.submit(A, SECOND);
            begun.await();
            workers.end(FIRST::equals);
            workers.submit(B, FIRST);
            assertThat(workers.awaitIdle(Duration.ofMillis(50))).isFalse();
            release.countDown();
            assertThat(workers.awaitIdle(Duration.ofSeconds(10))).isTrue();
            assertThat(looks).containsExactly(FIRST, FIRST, FIRST);
        }
    }

    @Test
    void attemptsAreCountedUntilOneSucceeds() throws Exception {
        List<Integer> attempts = new CopyOnWriteArrayList<>();
        try (Workers workers = new Workers(
                (vm, item, attempt) -> {
                    attempts.add(attempt);
                    return attempts.size() < 3 ? Next.backOff() : Next.onChange();
                },
                timer)) {
            workers.submit(A, FIRST);
            await().until(() -> attempts.size() == 3);
            await().untilAsserted(() -> {
                workers.submit(A, FIRST);
                assertThat(attempts).endsWith(1);
            });
            assertThat(attempts.subList(0, 3)).containsExactly(1, 2, 3);
        }
    }

    @Test
    void whatPollsIsLookedAtOnceAtATimeHoweverOftenItCame() throws Exception {
        AtomicInteger looks = new AtomicInteger();
        List<Next> answers = List.of(Next.after(Duration.ofDays(1)), Next.backOff());
        ScheduledThreadPoolExecutor pending = new ScheduledThreadPoolExecutor(1);
        pending.setRemoveOnCancelPolicy(true);
        try (Workers workers =
                new Workers((vm, item, attempt) -> answers.get(looks.getAndIncrement() % answers.size()), pending)) {
            for (int i = 1; i <= 20; i++) {
                int before = looks.get();
                workers.submit(A, FIRST);
                await().until(() -> looks.get() > before && workers.isIdle());
                assertThat(pending.getQueue()).as("timers after event %s", i).hasSize(1);
            }
        } finally {
            pending.shutdownNow();
        }
    }

    @Test
    void whatCameAgainWhileItWasLookedAtWaitsForNoTimer() throws Exception {
        CountDownLatch begun = new CountDownLatch(1);
        CountDownLatch release = new CountDownLatch(1);
        AtomicInteger looks = new AtomicInteger();
        ScheduledThreadPoolExecutor pending = new ScheduledThreadPoolExecutor(1);
        try (Workers workers = new Workers(
                (vm, item, attempt) -> {
                    if (looks.incrementAndGet() == 1) {
                        begun.countDown();
                        release.await();
                        return Next.after(Duration.ofDays(1));
                    }
                    return Next.onChange();
                },
                pending)) {
            workers.submit(A, FIRST);
            begun.await();
            workers.submit(A, FIRST);
            release.countDown();
            await().until(() -> looks.get() == 2 && workers.isIdle());
            assertThat(pending.getQueue()).isEmpty();
        } finally {
            pending.shutdownNow();
        }
    }

    @Test
    void aWorkerThatDiesIsSaid() {
        try (Workers workers = new Workers(
                (vm, item, attempt) -> {
                    throw new StackOverflowError("told to");
                },
                timer)) {
            assertThat(workers.broken()).isEmpty();
            workers.submit(A, FIRST);
            // What the worker dies of is thrown on: it is no failure of whoever waits.
            await().dontCatchUncaughtExceptions().untilAsserted(() -> assertThat(workers.broken())
                    .contains("a worker died of java.lang.StackOverflowError: told to"));
        }
    }

    @Test
    void closingInterruptsWhatIsUnderWay() throws Exception {
        CountDownLatch begun = new CountDownLatch(1);
        AtomicInteger interrupted = new AtomicInteger();
        Workers workers = new Workers(
                (vm, item, attempt) -> {
                    begun.countDown();
                    try {
                        new CountDownLatch(1).await();
                    } catch (InterruptedException e) {
                        interrupted.incrementAndGet();
                        throw e;
                    }
                    return Next.onChange();
                },
                timer);
        workers.submit(A, FIRST);
        begun.await();
        workers.close();
        assertThat(interrupted).hasValue(1);
    }
}
