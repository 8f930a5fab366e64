package dev.torpor.agent.work;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageMode;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.agent.image.PartialIntent;
import dev.torpor.agent.image.ProcessIdentity;
import dev.torpor.api.status.StatusOwner;
import dev.torpor.api.status.StatusWriter;
import dev.torpor.api.status.WriteResult;
import dev.torpor.api.v1alpha1.NodeStore;
import dev.torpor.api.v1alpha1.NodeStoreStatus;
import dev.torpor.api.v1alpha1.TerminationSave;
import dev.torpor.failure.TorporException;
import io.fabric8.kubernetes.client.CustomResource;
import io.fabric8.kubernetes.client.KubernetesClientException;
import java.nio.file.Path;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What is told of a store, when an API server does what it was asked and its answer is lost. */
class StorePublisherTest {
    private final NodeStore object = new NodeStore();
    private boolean lost;

    /** It would be saved for ever: no other node would boot its VM, and VMSnapshots of it would be made again and again. */
    @Test
    void aSaveThatWasUndoneIsNotToldOfThoughTheAnswerThatItWasWasLost(@TempDir Path temp) throws Exception {
        try (ImageStore store = ImageStore.open(temp.resolve("store"))) {
            StorePublisher publisher = new StorePublisher(
                    new Api(), new Writer(), "n", "1", store, new ShutdownReports(store.directory()), Runnable::run);
            publisher.publish();
            ProcessIdentity process = new ProcessIdentity("p1", "c1", "boot", 1, 1);
            var partial = store.create(
                    new ImageId("vms", "web", "p1-12345678"),
                    new PartialIntent(ImageMode.MANAGED_SAVE, 0, true, Optional.of(process), Instant.EPOCH));
            lost = true;
            assertThatThrownBy(publisher::publish).isInstanceOf(TorporException.class);
            assertThat(told()).extracting(TerminationSave::podUID).containsExactly("p1");

            lost = false;
            partial.abandon();
            publisher.soon();
            assertThat(told()).isEmpty();
        }
    }

    private List<TerminationSave> told() {
        return requireNonNull(object.getStatus()).saves();
    }

    private final class Api implements StorePublisher.Api {
        @Override
        public Optional<String> nodeUID() {
            return Optional.of("u");
        }

        @Override
        public Optional<NodeStore> nodeStore() {
            return Optional.of(object);
        }

        @Override
        public NodeStore made(NodeStore wanted) {
            return object;
        }
    }

    private final class Writer implements StatusWriter {
        @Override
        public <R extends CustomResource<?, S>, S> WriteResult<R> transition(StatusOwner<R, S> owner, R seen, S own) {
            object.setStatus((NodeStoreStatus) own);
            if (lost) {
                throw new KubernetesClientException("the answer is lost");
            }
            return new WriteResult.Written<>(seen);
        }

        @Override
        public <R extends CustomResource<?, S>, S> WriteResult<R> news(StatusOwner<R, S> owner, R seen, S own) {
            return transition(owner, seen, own);
        }
    }
}
