package dev.torpor.operator;

import dev.torpor.operator.step.StepHook;
import dev.torpor.operator.uninstall.UninstallGuard;
import dev.torpor.telemetry.log.Logging;
import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.ConfigBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientBuilder;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.javaoperatorsdk.operator.OperatorException;
import java.io.IOException;
import java.time.InstantSource;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The operator's process. Ends on SIGTERM, after handing leadership over. */
public final class OperatorMain {
    private static final Logger LOG = LoggerFactory.getLogger(OperatorMain.class);
    private static final int EXIT_REFUSED = 1;
    private static final int EXIT_USAGE = 2;
    private static final String PREPARE_UNINSTALL = "prepare-uninstall";

    private OperatorMain() {}

    /** Runs the operator until the process is told to end. */
    public static void main(String[] arguments) throws IOException, InterruptedException {
        run(arguments, StepHook.NONE);
    }

    /**
     * The same.
     *
     * @param steps hears of each step
     */
    @SuppressWarnings("SystemOut") // Usage goes to the person who typed it, not to a log.
    public static void run(String[] arguments, StepHook steps) throws IOException, InterruptedException {
        if (List.of(arguments).contains("--help")) {
            System.out.println(OperatorConfig.USAGE);
            return;
        }
        if (arguments.length > 0 && PREPARE_UNINSTALL.equals(arguments[0])) {
            System.exit(prepareUninstall(List.of(arguments).subList(1, arguments.length)));
            return;
        }
        OperatorConfig config;
        try {
            config = OperatorConfig.parse(
                    List.of(arguments), System.getenv(), ProcessHandle.current().pid());
        } catch (OperatorConfig.BadConfigException e) {
            System.err.println(e.getMessage());
            System.err.println(OperatorConfig.USAGE);
            System.exit(EXIT_USAGE);
            return;
        }
        Logging.apply(config.logs());
        LOG.info("starting with {}", config);
        var process = new OperatorProcess(client(), config, InstantSource.system(), steps);
        Runtime.getRuntime().addShutdownHook(new Thread(process::close, "shutdown"));
        try {
            process.start();
        } catch (OperatorException e) {
            // Caches that cannot be filled, as the API server is slow or away. Its other threads would keep this
            // process alive, and
            // never ready: another one tries again.
            LOG.error("it could not start, and ends to be started again: {}", e.getMessage(), e);
            System.exit(EXIT_REFUSED);
        }
        new CountDownLatch(1).await();
    }

    @SuppressWarnings("SystemOut") // The log of the job is what helm points people to.
    private static int prepareUninstall(List<String> arguments) {
        if (!arguments.isEmpty() && !arguments.equals(List.of("--force"))) {
            System.err.println(OperatorConfig.USAGE);
            return EXIT_USAGE;
        }
        try (KubernetesClient client = client()) {
            return new UninstallGuard(client, System.out).prepare(!arguments.isEmpty()) ? 0 : EXIT_REFUSED;
        } catch (KubernetesClientException e) {
            System.err.println(
                    "Torpor stays: the API server does not say whether VMs wait in images: " + e.getMessage());
            return EXIT_REFUSED;
        }
    }

    private static KubernetesClient client() {
        return new KubernetesClientBuilder()
                .withConfig(new ConfigBuilder(Config.autoConfigure(null))
                        .withUserAgent("torpor-operator")
                        .build())
                .build();
    }
}
