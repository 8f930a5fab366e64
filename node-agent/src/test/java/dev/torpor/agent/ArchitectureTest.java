package dev.torpor.agent;

import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAnyPackage;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideOutsideOfPackage;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;
import static org.assertj.core.api.Assertions.assertThat;

import com.tngtech.archunit.base.DescribedPredicate;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.junit.AnalyzeClasses;
import com.tngtech.archunit.junit.ArchTest;
import com.tngtech.archunit.lang.ArchRule;
import dev.torpor.agent.launch.FlushesTest;
import java.util.Arrays;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * The order of the agent's packages, which lets the part that touches VMs be used and tested without a cluster: {@code
 * linux} at the bottom, then {@code qmp} and {@code image} side by side, {@code engine} and {@code launch} above them,
 * and only on top what speaks to Kubernetes.
 */
@AnalyzeClasses(packages = "dev.torpor", importOptions = ImportOption.DoNotIncludeTests.class)
class ArchitectureTest {
    private static final String AGENT = "dev.torpor.agent.";

    @ArchTest
    static final ArchRule linuxStandsAlone = mayUse("linux");

    @ArchTest
    static final ArchRule qmpKnowsNoImages = mayUse("qmp", "linux");

    @ArchTest
    static final ArchRule imagesKnowNoMonitor = mayUse("image", "linux");

    @ArchTest
    static final ArchRule enginesDriveMonitorsAndImages = mayUse("engine", "qmp", "image", "linux");

    @ArchTest
    static final ArchRule launchAnswersFromTheStore = mayUse("launch", "image", "linux");

    @ArchTest
    static final ArchRule nodeLooksAtPods = mayUse("node", "linux", "qmp", "image", "launch");

    @ArchTest
    static final ArchRule logindKnowsNoVms = mayUse("logind", "linux");

    @ArchTest
    static final ArchRule onlyLogindSpeaksDBus = noClasses()
            .that()
            .resideOutsideOfPackage(AGENT + "logind..")
            .should()
            .dependOnClassesThat()
            .resideInAPackage("org.freedesktop.dbus..")
            .because("the library is loaded where logind is asked, and nowhere else");

    @ArchTest
    static final ArchRule metricsAreTold = mayUse("metrics");

    @ArchTest
    static final ArchRule onlyTheTopMeasures = noClasses()
            .that()
            .resideInAnyPackage(trees("linux", "qmp", "image", "engine", "launch", "node", "logind"))
            .should()
            .dependOnClassesThat()
            .resideInAnyPackage("io.micrometer..", "dev.torpor.telemetry..")
            .because("saving a VM by hand has no metrics and no log settings");

    @ArchTest
    static final ArchRule onlyTheTopKnowsKubernetes = noClasses()
            .that()
            .resideInAnyPackage(trees("linux", "qmp", "image", "engine", "launch", "metrics", "logind"))
            .should()
            .dependOnClassesThat()
            .resideInAnyPackage("io.fabric8..", "dev.torpor.api..")
            .because("saving a VM by hand, or for another orchestrator, needs no cluster")
            .allowEmptyShould(true);

    @ArchTest
    static final ArchRule nothingUsesTheCommandLine = noClasses()
            .that()
            .resideOutsideOfPackage(AGENT + "cli..")
            .should()
            .dependOnClassesThat()
            .resideInAPackage(AGENT + "cli..")
            .allowEmptyShould(true);

    @ArchTest
    static final ArchRule onlyLinuxBindsNativeCode = noClasses()
            .that()
            .resideOutsideOfPackage(AGENT + "linux..")
            .should()
            .dependOnClassesThat()
            .resideInAPackage("java.lang.foreign..")
            .because("every native call is stated and checked in one place");

    @ArchTest
    static final ArchRule thereIsOneWayToNativeCode = noClasses()
            .should()
            .dependOnClassesThat()
            .resideInAnyPackage("jnr..", "com.kenai.jffi..", "com.sun.jna..", "sun.misc..", "jdk.internal..")
            .because("docs/adr/0002 chose the JDK's own foreign functions");

    @ArchTest
    static final ArchRule nobodyPutsAnotherDiskBelow = noClasses()
            .should()
            .callMethodWhere(DescribedPredicate.describe(
                    "the target is Libc.use",
                    call -> call.getTarget().getOwner().getSimpleName().equals("Libc")
                            && call.getTarget().getName().equals("use")))
            .because("a disk that is none is for tests");

    @ArchTest
    static final ArchRule nobodyMapsAFile = noClasses()
            .should()
            .dependOnClassesThat()
            .haveFullyQualifiedName("java.nio.MappedByteBuffer")
            .because("a file of a VM's may be cut off while it is read, which must be an error and no SIGBUS");

    private static final Set<String> FLUSHES = Set.of("Directory.sync", "Descriptor.flush", "Descriptor.flushData");

    /** What would be lost without a flush is shown for each of them. */
    @ArchTest
    static void eachFlushIsLeftOutBySomeTest(JavaClasses classes) {
        Set<String> flushing = classes.stream()
                .flatMap(each -> each.getMethodCallsFromSelf().stream())
                .filter(call -> FLUSHES.contains(name(call.getTargetOwner(), call.getName())))
                .map(call -> name(call.getOriginOwner(), call.getOrigin().getName()))
                .filter(name -> !FLUSHES.contains(name) && !name.contains("Test."))
                .collect(Collectors.toSet());
        assertThat(flushing).isEqualTo(FlushesTest.places());
    }

    private static String name(JavaClass owner, String method) {
        return owner.getSimpleName() + "." + method;
    }

    @ArchTest
    static final ArchRule noCycles =
            slices().matching(AGENT + "(*)..").should().beFreeOfCycles().allowEmptyShould(true);

    /** Of the agent's packages, one may use itself and these. */
    private static ArchRule mayUse(String name, String... below) {
        return classes()
                .that()
                .resideInAPackage(AGENT + name + "..")
                .should()
                .onlyDependOnClassesThat(resideOutsideOfPackage("dev.torpor.agent..")
                        .or(resideInAnyPackage(trees(name)))
                        .or(resideInAnyPackage(trees(below)))
                        .as("are its own or those of " + Arrays.toString(below) + " among the agent's"))
                .allowEmptyShould(true);
    }

    private static String[] trees(String... names) {
        return Arrays.stream(names).map(name -> AGENT + name + "..").toArray(String[]::new);
    }
}
