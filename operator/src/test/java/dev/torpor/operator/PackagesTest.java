package dev.torpor.operator;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;

import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.junit.AnalyzeClasses;
import com.tngtech.archunit.junit.ArchTest;
import com.tngtech.archunit.lang.ArchRule;

/**
 * The order of the operator's packages: process, then the two controllers, then what both share; beside the controllers
 * the webhook's server, then admission and certificates.
 */
@AnalyzeClasses(packages = "dev.torpor.operator", importOptions = ImportOption.DoNotIncludeTests.class)
class PackagesTest {
    @ArchTest
    static final ArchRule SHARED_PACKAGES_KNOW_NO_CONTROLLER = noClasses()
            .that()
            .resideInAnyPackage("..operator.vm", "..operator.event", "..operator.metrics")
            .should()
            .dependOnClassesThat()
            .resideInAnyPackage("..operator.snapshot", "..operator.restore", "dev.torpor.operator");

    @ArchTest
    static final ArchRule METRICS_KNOW_NO_OTHER_PART = noClasses()
            .that()
            .resideInAPackage("..operator.metrics")
            .should()
            .dependOnClassesThat()
            .resideInAnyPackage("..operator.vm", "..operator.event");

    @ArchTest
    static final ArchRule STEPS_ARE_NAMES_ONLY = noClasses()
            .that()
            .resideInAPackage("..operator.step")
            .should()
            .dependOnClassesThat()
            .resideOutsideOfPackages("..operator.step", "java..", "org.jspecify..");

    @ArchTest
    static final ArchRule CONTROLLERS_DO_NOT_KNOW_EACH_OTHER = slices().matching(
                    "dev.torpor.operator.(snapshot|restore)..")
            .should()
            .notDependOnEachOther();

    @ArchTest
    static final ArchRule DRAIN_ASKS_FOR_SAVES_AND_KNOWS_NOBODY_WHO_MAKES_THEM = noClasses()
            .that()
            .resideInAPackage("..operator.drain")
            .should()
            .dependOnClassesThat()
            .resideInAnyPackage(
                    "..operator.snapshot",
                    "..operator.restore",
                    "..operator.admission",
                    "..operator.webhook",
                    "..operator.certificate",
                    "com.sun.net.httpserver..");

    @ArchTest
    static final ArchRule WEBHOOK_KNOWS_NO_CONTROLLER = noClasses()
            .that()
            .resideInAnyPackage("..operator.webhook", "..operator.admission", "..operator.certificate")
            .should()
            .dependOnClassesThat()
            .resideInAnyPackage(
                    "..operator.snapshot", "..operator.restore", "..operator.event", "io.javaoperatorsdk.operator..");

    @ArchTest
    static final ArchRule ADMISSION_KNOWS_NO_HTTP_AND_NO_CERTIFICATES = noClasses()
            .that()
            .resideInAPackage("..operator.admission")
            .should()
            .dependOnClassesThat()
            .resideInAnyPackage(
                    "..operator.webhook", "..operator.certificate", "com.sun.net.httpserver..", "javax.net.ssl..");

    @ArchTest
    static final ArchRule CERTIFICATES_KNOW_NO_PODS = noClasses()
            .that()
            .resideInAPackage("..operator.certificate")
            .should()
            .dependOnClassesThat()
            .resideInAnyPackage("..operator.webhook", "..operator.admission", "..operator.vm");

    @ArchTest
    static final ArchRule ONLY_CERTIFICATES_ARE_MADE_WITH_BOUNCY_CASTLE = noClasses()
            .that()
            .resideOutsideOfPackage("..operator.certificate")
            .should()
            .dependOnClassesThat()
            .resideInAPackage("org.bouncycastle..");

    @ArchTest
    static final ArchRule NOBODY_KNOWS_THE_PROCESS = noClasses()
            .that()
            .resideInAnyPackage("dev.torpor.operator.*")
            .should()
            .dependOnClassesThat()
            .resideInAPackage("dev.torpor.operator");

    @ArchTest
    static final ArchRule OPERATOR_KNOWS_NO_AGENT =
            noClasses().should().dependOnClassesThat().resideInAPackage("dev.torpor.agent..");
}
