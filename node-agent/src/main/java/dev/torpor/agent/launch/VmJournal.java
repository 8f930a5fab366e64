package dev.torpor.agent.launch;

import com.fasterxml.jackson.core.JacksonException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ProcessIdentity;
import dev.torpor.agent.image.SealedJson;
import dev.torpor.agent.linux.Directory;
import dev.torpor.agent.linux.ErrnoException;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.time.DateTimeException;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.UnaryOperator;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What the node remembers of each VM, one small file each ({@code vms/<namespace>/<vm>.json} in the store). What is
 * read here is on the disk. Thread-safe; blocks on the disk.
 */
public final class VmJournal {
    private static final String DIRECTORY = "vms";
    private static final String SUFFIX = ".json";
    private static final int RECORD_BYTES_MAX = 1 << 20;
    private static final int VMS_MAX = 100_000;
    private static final Logger LOG = LoggerFactory.getLogger(VmJournal.class);

    private final Directory store;
    private Optional<Prepared> prepared = Optional.empty();
    /** Whether a change failed that may be seen here, and not be on the disk. */
    private volatile boolean doubtful;
    /** Whose records are being changed, or were and are not flushed: who reads one of these waits for that. */
    private final Set<VmName> unflushed = ConcurrentHashMap.newKeySet();

    /** A record that is on the disk beside the one in force; the last one only. */
    private record Prepared(VmName vm, VmRecord record) {}

    /**
     * Opens the journal.
     *
     * @param store the store's directory, which stays the caller's to close, later than the journal's last use
     */
    public VmJournal(Directory store) {
        this.store = store;
    }

    /**
     * Returns what is known of a VM, {@link VmRecord#NONE} if nothing is. Waits for no other VM's flush, which may hang.
     *
     * @throws TorporException StoreFailed if the record cannot be read: nothing may be concluded then
     */
    public VmRecord read(VmName vm) throws TorporException {
        VmRecord seen = seen(vm);
        if (!doubtful && !unflushed.contains(vm)) { // whoever changes it says so before
            return seen;
        }
        synchronized (this) {
            settle(vm);
            return seen(vm);
        }
    }

    private VmRecord seen(VmName vm) throws TorporException {
        try (Directory vms = store.child(DIRECTORY);
                Directory namespace = vms.child(vm.namespace())) {
            return decode(namespace.readFile(vm.name() + SUFFIX, RECORD_BYTES_MAX));
        } catch (ErrnoException e) {
            if (e.errno() == ErrnoException.ENOENT) {
                return VmRecord.NONE;
            }
            throw failed(vm, e);
        } catch (IOException | IllegalArgumentException e) {
            throw failed(vm, e);
        }
    }

    /** Sees to it that what is read here is on the disk too. */
    private void settle(VmName vm) throws TorporException {
        try (Directory vms = store.childCreating(DIRECTORY);
                Directory namespace = vms.childCreating(vm.namespace())) {
            if (doubtful) {
                store.sync();
                vms.syncTree(1, VMS_MAX);
                doubtful = false;
                unflushed.clear();
            }
            if (unflushed.contains(vm)) {
                namespace.sync();
                unflushed.remove(vm);
            }
        } catch (IOException | IllegalArgumentException e) {
            throw failed(vm, e);
        }
    }

    /**
     * Changes what is known of a VM; on return it is on the disk. No change, no write.
     *
     * @return the new record
     * @throws TorporException StoreFailed; the old record stands then, or after a failed flush either of the two, and nothing is read until
     *     that is on the disk
     */
    public synchronized VmRecord update(VmName vm, UnaryOperator<VmRecord> change) throws TorporException {
        VmRecord before = read(vm);
        VmRecord after = updateUnflushed(vm, before, change);
        if (!after.equals(before)) {
            flush(vm);
        }
        return after;
    }

    /** Changes it likewise, but it is on the disk only after {@link #flush}. */
    public synchronized VmRecord updateUnflushed(VmName vm, UnaryOperator<VmRecord> change) throws TorporException {
        return updateUnflushed(vm, read(vm), change);
    }

    private VmRecord updateUnflushed(VmName vm, VmRecord before, UnaryOperator<VmRecord> change)
            throws TorporException {
        VmRecord after = change.apply(before);
        if (after.equals(before)) {
            return before;
        }
        unflushed.add(vm);
        try (Directory vms = store.childCreating(DIRECTORY);
                Directory namespace = vms.childCreating(vm.namespace())) {
            boolean ready = prepared.equals(Optional.of(new Prepared(vm, after)));
            prepared = Optional.empty();
            if (!ready) {
                namespace.prepareFile(vm.name() + SUFFIX, SealedJson.seal(encode(after)));
            }
            namespace.renamePrepared(vm.name() + SUFFIX);
        } catch (IOException | IllegalArgumentException e) {
            doubtful = true;
            throw failed(vm, e);
        }
        return after;
    }

    /** Has what is known of a VM on the disk; if that fails, nothing is read here until it is. */
    public synchronized void flush(VmName vm) throws TorporException {
        try (Directory vms = store.childCreating(DIRECTORY);
                Directory namespace = vms.childCreating(vm.namespace())) {
            namespace.sync();
            unflushed.remove(vm);
        } catch (IOException | IllegalArgumentException e) {
            doubtful = true;
            throw failed(vm, e);
        }
    }

    /**
     * Does what can be done ahead of an {@link #update} that is likely to come, so that it is quick. Changes nothing; for the
     * update it does not matter whether this was done.
     */
    public synchronized void prepare(VmName vm, UnaryOperator<VmRecord> change) throws TorporException {
        VmRecord after = change.apply(read(vm));
        prepared = Optional.empty(); // what fails in the middle is not what was prepared before
        try (Directory vms = store.childCreating(DIRECTORY);
                Directory namespace = vms.childCreating(vm.namespace())) {
            namespace.prepareFile(vm.name() + SUFFIX, SealedJson.seal(encode(after)));
            prepared = Optional.of(new Prepared(vm, after));
        } catch (IOException | IllegalArgumentException e) {
            throw failed(vm, e);
        }
    }

    /**
     * Returns the VM whose last start here was asked by each pod, by pod UID: what is known of pods while the API server
     * is away. Records that cannot be read are left out.
     */
    public Map<String, VmName> podsOfLastRuns() throws TorporException {
        Map<String, VmName> pods = new HashMap<>();
        try (Directory vms = store.child(DIRECTORY)) {
            for (String namespaceName : vms.list(VMS_MAX)) {
                for (VmName vm : vmsIn(vms, namespaceName)) {
                    try {
                        read(vm).lastRun().ifPresent(run -> pods.put(run.podUID(), vm));
                    } catch (TorporException e) {
                        LOG.warn("pods of VM {} wait for the API server: {}", vm, e.getMessage());
                    }
                }
            }
        } catch (IOException e) {
            if (!(e instanceof ErrnoException errno && errno.errno() == ErrnoException.ENOENT)) {
                throw new TorporException(FailureReason.StoreFailed, "cannot list the VMs of the journal", e);
            }
        }
        return pods;
    }

    private static List<VmName> vmsIn(Directory vms, String namespaceName) throws IOException {
        List<VmName> found = new ArrayList<>();
        try (Directory namespace = vms.child(namespaceName)) {
            for (String file : namespace.list(VMS_MAX)) {
                if (file.endsWith(SUFFIX)) {
                    found.add(new VmName(namespaceName, file.substring(0, file.length() - SUFFIX.length())));
                }
            }
        }
        return found;
    }

    private static TorporException failed(VmName vm, Exception e) {
        return new TorporException(
                FailureReason.StoreFailed,
                "the journal of VM " + vm + " cannot be read or written on its node: look at the store's disk",
                e);
    }

    private static ObjectNode encode(VmRecord r) {
        ObjectNode json = SealedJson.begin().put("runs", r.runs());
        r.lastRun().ifPresent(run -> {
            ObjectNode node = json.putObject("lastRun")
                    .put("podUID", run.podUID())
                    .put("askID", run.askID())
                    .put("kind", run.kind().name())
                    .put("time", run.time().toString());
            run.restoreUID().ifPresent(uid -> node.put("restoreUID", uid));
            run.resume().ifPresent(resume -> {
                ObjectNode how =
                        node.putObject("resume").put("lazy", resume.lazy()).put("lazyFailed", resume.lazyFailed());
                resume.why().ifPresent(why -> how.put("why", why));
            });
        });
        r.retiredPods().forEach(json.putArray("retiredPods")::add);
        r.waiting().ifPresent(w -> {
            ObjectNode node = json.putObject("waiting").put("restoreUID", w.restoreUID());
            node.set("image", encode(w.image()));
        });
        r.handedOver().ifPresent(h -> {
            ObjectNode node = json.putObject("handedOver").put("restoreUID", h.restoreUID());
            node.set("image", encode(h.image()));
            h.damage().ifPresent(why -> node.put("damage", why));
            node.putObject("process")
                    .put("podUID", h.process().podUID())
                    .put("containerID", h.process().containerID())
                    .put("bootID", h.process().bootID())
                    .put("pid", h.process().pid())
                    .put("startTicks", h.process().startTicks());
        });
        return json;
    }

    private static ObjectNode encode(ImageId id) {
        return JsonNodeFactory.instance
                .objectNode()
                .put("namespace", id.namespace())
                .put("vm", id.vm())
                .put("uid", id.uid());
    }

    private static VmRecord decode(byte[] bytes) throws IOException {
        try {
            JsonNode json = SealedJson.open(bytes);
            List<String> retired = new ArrayList<>();
            json.required("retiredPods").forEach(uid -> retired.add(uid.asText()));
            return new VmRecord(
                    json.required("runs").asLong(),
                    optional(json, "lastRun").map(VmJournal::lastRun),
                    retired,
                    optional(json, "waiting")
                            .map(n -> new VmRecord.Waiting(text(n, "restoreUID"), image(n.required("image")))),
                    optional(json, "handedOver")
                            .map(n -> new VmRecord.HandOver(
                                    text(n, "restoreUID"),
                                    image(n.required("image")),
                                    process(n.required("process")),
                                    optional(n, "damage").map(JsonNode::asText))));
        } catch (JacksonException | IllegalArgumentException | DateTimeException e) {
            throw new IOException("a journal record is damaged", e);
        }
    }

    private static VmRecord.LastRun lastRun(JsonNode n) {
        return new VmRecord.LastRun(
                text(n, "podUID"),
                text(n, "askID"),
                StartKind.valueOf(text(n, "kind")),
                optional(n, "restoreUID").map(JsonNode::asText),
                Instant.parse(text(n, "time")),
                optional(n, "resume").map(VmJournal::resume));
    }

    private static VmRecord.Resume resume(JsonNode n) {
        return new VmRecord.Resume(
                n.required("lazy").asBoolean(),
                n.required("lazyFailed").asBoolean(),
                optional(n, "why").map(JsonNode::asText));
    }

    private static ImageId image(JsonNode n) {
        return new ImageId(text(n, "namespace"), text(n, "vm"), text(n, "uid"));
    }

    private static ProcessIdentity process(JsonNode n) {
        return new ProcessIdentity(
                text(n, "podUID"),
                text(n, "containerID"),
                text(n, "bootID"),
                n.required("pid").asInt(),
                n.required("startTicks").asLong());
    }

    private static Optional<JsonNode> optional(JsonNode json, String field) {
        return Optional.ofNullable(json.get(field));
    }

    private static String text(JsonNode json, String field) {
        return json.required(field).asText();
    }
}
