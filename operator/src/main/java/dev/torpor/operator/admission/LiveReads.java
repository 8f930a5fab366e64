package dev.torpor.operator.admission;

import dev.torpor.operator.vm.ManagedImages;
import dev.torpor.operator.vm.VmName;
import dev.torpor.operator.vm.VmPods;
import io.fabric8.kubernetes.api.model.Namespace;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** What admission reads, from the API server itself and in no more than two seconds: somebody waits for the answer. */
final class LiveReads {
    private static final Duration BUDGET = Duration.ofSeconds(2);

    private final KubernetesClient client;
    private final VmPods pods;
    private final ManagedImages managed;
    private final Duration budget;

    LiveReads(KubernetesClient client) {
        this(client, BUDGET);
    }

    LiveReads(KubernetesClient client, Duration budget) {
        this.client = client;
        this.pods = new VmPods(client);
        this.managed = new ManagedImages(client);
        this.budget = budget;
    }

    /** The API server did not answer in time, or refused. */
    static final class UnavailableException extends Exception {
        private static final long serialVersionUID = 1L;

        UnavailableException(String message, Throwable cause) {
            super(message, cause);
        }
    }

    /** Returns the live pods of a VM. */
    List<Pod> livePods(VmName vm) throws UnavailableException {
        return within("the pods of VM " + vm, () -> pods.live(vm));
    }

    /** Returns what keeps a VM from booting. */
    Optional<ManagedImages.Holding> holding(VmName vm) throws UnavailableException {
        return within("the saved images of VM " + vm, () -> managed.holding(vm));
    }

    /** Returns the labels of a namespace. */
    Optional<Namespace> namespace(String name) throws UnavailableException {
        return within(
                "namespace " + name,
                () -> Optional.ofNullable(client.namespaces().withName(name).get()));
    }

    private <T> T within(String what, Callable<T> read) throws UnavailableException {
        FutureTask<T> task = new FutureTask<>(read);
        Thread.startVirtualThread(task);
        try {
            return task.get(budget.toMillis(), TimeUnit.MILLISECONDS);
        } catch (TimeoutException e) {
            throw new UnavailableException("%s could not be read within %d ms".formatted(what, budget.toMillis()), e);
        } catch (ExecutionException | CancellationException e) {
            if (e.getCause() instanceof KubernetesClientException refused) {
                throw new UnavailableException("%s could not be read: %s".formatted(what, refused.getMessage()), e);
            }
            throw new IllegalStateException("reading " + what, e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new UnavailableException("this operator ends", e);
        } finally {
            task.cancel(true);
        }
    }
}
