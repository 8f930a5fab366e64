package dev.torpor.agent.work;

import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageRecord;
import dev.torpor.agent.image.ImageState;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.api.status.StatusOwner;
import dev.torpor.api.status.StatusWriter;
import dev.torpor.api.status.WriteResult;
import dev.torpor.api.v1alpha1.NodeStore;
import dev.torpor.api.v1alpha1.NodeStoreStatus;
import dev.torpor.api.v1alpha1.TerminationSave;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Executor;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Tells of the node's store in its NodeStore. What is told is made from the records on disk each time, so that telling it
 * again is harmless and an agent that was restarted tells the same. Thread-safe.
 */
final class StorePublisher implements StoreNews {
    /** How often it is looked whether there is something new to tell. */
    static final Duration INTERVAL = Duration.ofSeconds(10);

    private static final Logger LOG = LoggerFactory.getLogger(StorePublisher.class);

    private final Api api;
    private final StatusWriter status;
    private final String nodeName;
    private final String agentVersion;
    private final ImageStore store;
    private final ShutdownReports shutdowns;
    private final Executor executor;
    /** Empty while it is not known. */
    private @Nullable NodeStoreStatus told;

    /** What it reads and makes in the API. */
    interface Api {
        /** Returns the UID of this agent's Node; empty if there is none. */
        Optional<String> nodeUID();

        /** Returns this agent's NodeStore, if it is there. */
        Optional<NodeStore> nodeStore();

        /** Makes it, or heals what is not its status. */
        NodeStore made(NodeStore object);
    }

    /** Returns the real one. */
    static Api api(KubernetesClient client, String nodeName) {
        return new Api() {
            @Override
            public Optional<String> nodeUID() {
                return Optional.ofNullable(client.nodes().withName(nodeName).get())
                        .map(node -> node.getMetadata().getUid());
            }

            @Override
            public Optional<NodeStore> nodeStore() {
                return Optional.ofNullable(
                        client.resources(NodeStore.class).withName(nodeName).get());
            }

            @Override
            public NodeStore made(NodeStore object) {
                // The only writer: force is harmless, and heals what somebody edited.
                return client.resource(object)
                        .fieldManager(Torpor.AGENT_MANAGER)
                        .forceConflicts()
                        .serverSideApply();
            }
        };
    }

    /**
     * @param agentVersion what people see
     * @param shutdowns what became of VMs at the node's last shutdown
     * @param executor for telling in the background
     */
    StorePublisher(
            Api api,
            StatusWriter status,
            String nodeName,
            String agentVersion,
            ImageStore store,
            ShutdownReports shutdowns,
            Executor executor) {
        this.api = api;
        this.status = status;
        this.nodeName = nodeName;
        this.agentVersion = agentVersion;
        this.store = store;
        this.shutdowns = shutdowns;
        this.executor = executor;
    }

    @Override
    public synchronized void publish() throws TorporException {
        try {
            String nodeUID = api.nodeUID()
                    .orElseThrow(
                            () -> new TorporException(FailureReason.StoreUnavailable, "there is no Node " + nodeName));
            NodeStoreStatus now = status(nodeUID);
            if (isTold(now)) {
                return;
            }
            told = null; // a write whose answer is lost may have been made
            NodeStore object = new NodeStore();
            // It goes with its node: what the store of a node that is gone said must not hold VMs for ever.
            object.setMetadata(new ObjectMetaBuilder()
                    .withName(nodeName)
                    .addNewOwnerReference()
                    .withApiVersion("v1")
                    .withKind("Node")
                    .withName(nodeName)
                    .withUid(nodeUID)
                    .endOwnerReference()
                    .build());
            NodeStore there = api.made(object);
            told = switch (status.transition(StatusOwner.NODE_STORE_AGENT, there, now)) {
                case WriteResult.Written<NodeStore>(NodeStore written) -> requireKept(now, written);
                case WriteResult.Unchanged<NodeStore> _ -> now;
                case WriteResult.Stale<NodeStore> _, WriteResult.Gone<NodeStore> _ ->
                    throw new TorporException(
                            FailureReason.StoreUnavailable, "NodeStore " + nodeName + " changed in the same moment");
            };
        } catch (KubernetesClientException e) {
            throw new TorporException(
                    FailureReason.StoreUnavailable,
                    "NodeStore " + nodeName + " cannot be written: " + e.getMessage(),
                    e);
        }
    }

    /** A CustomResourceDefinition of an older release drops fields without a word: others would not find the images. */
    private NodeStoreStatus requireKept(NodeStoreStatus now, NodeStore written) throws TorporException {
        NodeStoreStatus kept = written.getStatus();
        if (kept == null || !kept.saves().equals(now.saves())) {
            throw new TorporException(
                    FailureReason.StoreUnavailable,
                    "the CustomResourceDefinition of NodeStores is older than this agent: apply the new ones");
        }
        return now;
    }

    @Override
    public void soon() {
        executor.execute(this::look);
    }

    /** Tells if there is something new; trouble is logged, and passes. */
    void look() {
        try {
            publish();
        } catch (TorporException e) {
            LOG.warn("what the store has is not told: {}", e.getMessage());
        }
    }

    // Free space changes all the time and is not worth a write of its own. An object may have been deleted.
    private boolean isTold(NodeStoreStatus now) {
        return told != null
                && without(told).equals(without(now))
                && api.nodeStore().isPresent();
    }

    private static NodeStoreStatus without(NodeStoreStatus status) {
        return new NodeStoreStatus(
                status.storeID(),
                status.nodeUID(),
                null,
                status.images(),
                status.agentVersion(),
                status.saves(),
                status.lastShutdown());
    }

    private NodeStoreStatus status(String nodeUID) throws TorporException {
        Set<ImageId> unreadable = new HashSet<>();
        List<ImageRecord> records = store.list(unreadable::add);
        List<TerminationSave> before = unreadable.isEmpty() ? List.of() : savesBefore();
        return new NodeStoreStatus(
                store.storeID(),
                nodeUID,
                store.freeBytes(),
                records.size(),
                agentVersion,
                saves(records, unreadable, before),
                shutdowns.last().orElse(null));
    }

    /** What was told last, by this agent or the one before it. */
    private List<TerminationSave> savesBefore() {
        NodeStoreStatus last = told;
        if (last == null) {
            last = api.nodeStore().map(NodeStore::getStatus).orElse(null);
        }
        return last == null || !store.storeID().equals(last.storeID()) ? List.of() : last.saves();
    }

    /**
     * Returns what is to be told of saves.
     *
     * @param unreadable whose records cannot be read: a VM that one of them holds is held until somebody gives the image up
     * @param before what was told of them while they could be
     */
    static List<TerminationSave> saves(
            List<ImageRecord> records, Set<ImageId> unreadable, List<TerminationSave> before) {
        return Stream.concat(
                        records.stream()
                                .filter(ImageRecord::isWithoutRequest)
                                .filter(record -> !isOver(record.state()))
                                .map(StorePublisher::save),
                        before.stream().filter(save -> unreadable.stream()
                                .anyMatch(id -> save.isOf(id.namespace(), id.vm())
                                        && id.uid().equals(save.image()))))
                .toList();
    }

    private static TerminationSave save(ImageRecord record) {
        String image = record.id().uid();
        String pod = record.isOfTermination()
                ? record.intent().source().orElseThrow().podUID()
                : image;
        return new TerminationSave(
                record.id().namespace(),
                record.id().vm(),
                pod,
                pod.equals(image) ? null : image,
                !(record.state() instanceof ImageState.Partial),
                record.intent().imported() ? true : null);
    }

    private static boolean isOver(ImageState state) {
        return switch (state) {
            case ImageState.Partial _, ImageState.Complete _, ImageState.Verified _ -> false;
            case ImageState.HandedOver _, ImageState.Consumed _, ImageState.Stale _ -> true;
        };
    }
}
