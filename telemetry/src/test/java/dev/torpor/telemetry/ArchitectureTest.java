package dev.torpor.telemetry;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;

import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.junit.AnalyzeClasses;
import com.tngtech.archunit.junit.ArchTest;
import com.tngtech.archunit.lang.ArchRule;

/** What operator and agent share here knows neither of them, nor VMs, nor Kubernetes. */
@AnalyzeClasses(packages = "dev.torpor.telemetry", importOptions = ImportOption.DoNotIncludeTests.class)
class ArchitectureTest {
    @ArchTest
    static final ArchRule KNOWS_NO_PRODUCT = noClasses()
            .should()
            .dependOnClassesThat()
            .resideInAnyPackage(
                    "dev.torpor.api..",
                    "dev.torpor.failure..",
                    "dev.torpor.agent..",
                    "dev.torpor.operator..",
                    "io.fabric8..");

    @ArchTest
    static final ArchRule ONLY_LOG_CONFIGURES_THE_BACKEND = noClasses()
            .that()
            .resideOutsideOfPackage("..telemetry.log..")
            .should()
            .dependOnClassesThat()
            .resideInAPackage("ch.qos.logback..");

    @ArchTest
    static final ArchRule PACKAGES_DO_NOT_KNOW_EACH_OTHER =
            slices().matching("dev.torpor.telemetry.(*)..").should().notDependOnEachOther();
}
