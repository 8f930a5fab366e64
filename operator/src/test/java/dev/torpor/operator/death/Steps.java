package dev.torpor.operator.death;

import dev.torpor.operator.step.Step;
import dev.torpor.operator.step.StepHook;
import io.fabric8.kubernetes.client.http.BasicBuilder;
import io.fabric8.kubernetes.client.http.HttpRequest;
import io.fabric8.kubernetes.client.http.Interceptor;
import java.net.URI;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * Sees an operator's steps and its requests to the API server: ends it at one of them, and knows of writes outside of any step.
 * The operator of these tests is one thread.
 */
final class Steps implements StepHook, Interceptor {
    private final List<String> taken = new ArrayList<>();
    private final List<String> written = new ArrayList<>();
    private final StringBuilder wrote = new StringBuilder();
    private final List<String> outside = new ArrayList<>();
    private final Set<String> conflicted = new HashSet<>();
    private volatile @Nullable Step now;
    private final AtomicInteger writes = new AtomicInteger();
    private volatile @Nullable URI conflicts;
    private int before;
    private int counted;
    private @Nullable String where;
    private Consumer<Step> done = _ -> {};

    /** From now on an operator dies there: {@code before 3 SNAPSHOT_PUBLISH} is before the step that {@link #taken()} has at 3. */
    void dieAt(String place) {
        where = place;
    }

    /** A new world begins. */
    void begin() {
        counted = 0;
        taken.clear();
        written.clear();
        wrote.setLength(0);
        outside.clear();
        conflicted.clear();
    }

    /** From now on each write goes there the first time that it is tried, where it is answered with a conflict; null: no more. */
    void conflictFirst(@Nullable URI there) {
        conflicts = there;
    }

    /** Called after each step, before the operator can die there. */
    void afterEach(Consumer<Step> act) {
        done = act;
    }

    /** Returns all steps that wrote something, in order, each with its place. */
    List<String> taken() {
        return List.copyOf(taken);
    }

    /** Returns what each of {@link #taken()} wrote, without what differs from run to run. */
    List<String> written() {
        return List.copyOf(written);
    }

    /** Returns the writes that were no part of a step. */
    List<String> outside() {
        return List.copyOf(outside);
    }

    /** Returns how many writes there were. */
    int writes() {
        return writes.get();
    }

    /** Returns how many writes were answered with a conflict. */
    int conflicts() {
        return conflicted.size();
    }

    @Override
    public void before(Step step) {
        die("before " + counted + " " + step);
        now = step;
        before = writes.get();
    }

    @Override
    public void after(Step step) {
        if (writes.get() > before) {
            taken.add(counted + " " + step);
            written.add(counted + " " + step + World.general(wrote.toString()));
        }
        wrote.setLength(0);
        now = null;
        done.accept(step);
        die("after " + counted + " " + step);
        counted++;
    }

    private void die(String place) {
        if (place.equals(where)) {
            where = null;
            now = null;
            throw new Death(place);
        }
    }

    @Override
    public void before(BasicBuilder builder, HttpRequest request, RequestTags tags) {
        String path = request.uri().getPath();
        if (request.method().equals("GET") || path.contains("/events")) {
            return;
        }
        writes.incrementAndGet();
        wrote.append(' ')
                .append(request.method())
                .append(' ')
                .append(path)
                .append(' ')
                .append(request.bodyString());
        if (now == null) {
            outside.add(request.method() + " " + path);
        }
        URI there = conflicts;
        if (there != null && conflicted.add(request.method() + " " + path + " " + now)) {
            builder.uri(there);
        }
    }
}
