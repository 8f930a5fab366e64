package dev.torpor.operator;

import dev.torpor.telemetry.log.Logging;
import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.ConfigBuilder;
import io.fabric8.kubernetes.client.KubernetesClientBuilder;
import java.io.IOException;
import java.time.InstantSource;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The operator's process. Ends on SIGTERM, after handing leadership over. */
public final class OperatorMain {
    private static final Logger LOG = LoggerFactory.getLogger(OperatorMain.class);
    private static final int EXIT_USAGE = 2;

    private OperatorMain() {}

    /** Runs the operator until the process is told to end. */
    @SuppressWarnings("SystemOut") // Usage goes to the person who typed it, not to a log.
    public static void main(String[] arguments) throws IOException, InterruptedException {
        if (List.of(arguments).contains("--help")) {
            System.out.println(OperatorConfig.USAGE);
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
        Config cluster = new ConfigBuilder(Config.autoConfigure(null))
                .withUserAgent("torpor-operator")
                .build();
        var process = new OperatorProcess(
                new KubernetesClientBuilder().withConfig(cluster).build(), config, InstantSource.system());
        Runtime.getRuntime().addShutdownHook(new Thread(process::close, "shutdown"));
        process.start();
        new CountDownLatch(1).await();
    }
}
