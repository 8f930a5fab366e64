package dev.torpor.e2e.api;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.e2e.cluster.ControlPlane;
import dev.torpor.e2e.cluster.ControlPlaneExtension;
import dev.torpor.e2e.cluster.Kubectl;
import dev.torpor.e2e.cluster.TestNamespace;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Each accepted, refused and changed manifest of {@link Fixtures}, with the message that a user reads. */
@Tag("api")
@ExtendWith(ControlPlaneExtension.class)
class ValidationIT {
    @AfterEach
    void deleteClasses(ControlPlane cluster) {
        cluster.kubectl("delete", "vmsnapclass", "--all"); // Not in the namespace of the test.
    }

    @ParameterizedTest
    @MethodSource("dev.torpor.e2e.api.Fixtures#accepted")
    void isAccepted(String fixture, ControlPlane cluster, @TestNamespace String namespace) {
        String manifest = Fixtures.manifest(fixture);

        assertThat(cluster.kubectl("create", "-n", namespace, "-f", manifest)).contains("created");
    }

    @ParameterizedTest
    @MethodSource("dev.torpor.e2e.api.Fixtures#accepted")
    void appliedAgainIsUnchanged(String fixture, ControlPlane cluster, @TestNamespace String namespace) {
        String manifest = Fixtures.manifest(fixture);
        cluster.kubectl("apply", "-n", namespace, "-f", manifest);

        assertThat(cluster.kubectl("apply", "-n", namespace, "-f", manifest)).contains("unchanged");
    }

    @ParameterizedTest
    @MethodSource("dev.torpor.e2e.api.Fixtures#refused")
    void isRefused(String fixture, ControlPlane cluster, @TestNamespace String namespace) {
        Kubectl.Result result = cluster.kubectl().tryRun("create", "-n", namespace, "-f", Fixtures.manifest(fixture));

        assertThat(result.code()).isNotZero();
        assertThat(withoutValue(result.output())).contains(withoutValue(Fixtures.message(fixture)));
    }

    @ParameterizedTest
    @MethodSource("dev.torpor.e2e.api.Fixtures#transitionsAccepted")
    void mayChange(String fixture, ControlPlane cluster, @TestNamespace String namespace) {
        cluster.kubectl("apply", "-n", namespace, "-f", Fixtures.manifest(fixture + ".pre"));

        cluster.kubectl("apply", "-n", namespace, "-f", Fixtures.manifest(fixture + ".post"));
        cluster.kubectl("apply", "-n", namespace, "-f", Fixtures.manifest(fixture + ".pre"));
    }

    @ParameterizedTest
    @MethodSource("dev.torpor.e2e.api.Fixtures#transitionsAccepted")
    void mayChangeByServerSideApply(String fixture, ControlPlane cluster, @TestNamespace String namespace) {
        cluster.kubectl("apply", "--server-side", "-n", namespace, "-f", Fixtures.manifest(fixture + ".pre"));

        cluster.kubectl("apply", "--server-side", "-n", namespace, "-f", Fixtures.manifest(fixture + ".post"));
        cluster.kubectl("apply", "--server-side", "-n", namespace, "-f", Fixtures.manifest(fixture + ".pre"));
    }

    @ParameterizedTest
    @MethodSource("dev.torpor.e2e.api.Fixtures#transitionsRefused")
    void mayNotChange(String fixture, ControlPlane cluster, @TestNamespace String namespace) {
        cluster.kubectl("apply", "-n", namespace, "-f", Fixtures.manifest(fixture + ".pre"));
        Kubectl.Result result =
                cluster.kubectl().tryRun("apply", "-n", namespace, "-f", Fixtures.manifest(fixture + ".post"));

        assertThat(result.code()).isNotZero();
        assertThat(withoutValue(result.output())).contains(withoutValue(Fixtures.message(fixture)));
    }

    /** What is shown of the value differs between versions of the API server: its type, itself, or nothing. */
    private static String withoutValue(String message) {
        return message.replaceAll("Invalid value: \"[^\"]*\": ", "Invalid value: ");
    }
}
