package dev.torpor.api.generate;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;

import io.fabric8.kubernetes.api.model.apiextensions.v1.CustomResourceDefinition;
import io.fabric8.kubernetes.api.model.apiextensions.v1.JSONSchemaProps;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;

/**
 * The committed files are what the Java types say. With {@code -Dtorpor.generate=true}, as {@code make generate} sets
 * it, they are written first.
 */
class GeneratedFilesTest {
    private static final boolean WRITE = Boolean.getBoolean("torpor.generate");
    private static final Path WORK_TREE = Path.of("..").toAbsolutePath().normalize();
    /** The chart has copies: Helm packs nothing from outside its folder. */
    private static final List<Path> MANIFEST_FOLDERS =
            List.of(WORK_TREE.resolve("crds/manifests"), WORK_TREE.resolve("helm/torpor/crds"));

    @Test
    void committedFilesAreNotStale() throws IOException {
        for (Map.Entry<Path, String> file : generated().entrySet()) {
            if (WRITE) {
                Files.createDirectories(file.getKey().getParent());
                Files.writeString(file.getKey(), file.getValue());
            }
            assertThat(file.getKey())
                    .as("run `make generate` and commit what it writes")
                    .exists();
            assertThat(Files.readString(file.getKey()))
                    .as("%s is stale: run `make generate` and commit what it writes", file.getKey())
                    .isEqualTo(file.getValue());
        }
        for (Path folder : MANIFEST_FOLDERS) {
            try (var files = Files.list(folder)) {
                assertThat(files).as("every manifest comes from a kind").allSatisfy(file -> assertThat(generated())
                        .containsKey(file));
            }
        }
    }

    @Test
    void everyFieldIsDescribed() throws IOException {
        for (CustomResourceDefinition crd : Manifests.definitions()) {
            JSONSchemaProps schema =
                    crd.getSpec().getVersions().getFirst().getSchema().getOpenAPIV3Schema();
            assertDescribed(crd.getSpec().getNames().getKind(), schema);
        }
    }

    private static void assertDescribed(String path, JSONSchemaProps schema) {
        assertThat(schema.getDescription()).as(path).isNotBlank();
        if (schema.getProperties() != null) {
            schema.getProperties().forEach((name, field) -> assertDescribed(path + "." + name, field));
        }
    }

    @Test
    void everySpecFieldIsFrozenButForTheTwoThatAreMeantToChange() throws IOException {
        JSONSchemaProps spec = specOf("VMSnapshot");
        List<String> frozen = spec.getXKubernetesValidations().stream()
                .map(rule -> rule.getFieldPath().substring(1))
                .toList();
        List<String> free = new ArrayList<>(spec.getProperties().keySet());
        free.removeAll(frozen);

        assertThat(free).containsExactlyInAnyOrder("cancel", "deletionPolicy");
    }

    private static JSONSchemaProps specOf(String kind) throws IOException {
        return Manifests.definitions().stream()
                .filter(crd -> crd.getSpec().getNames().getKind().equals(kind))
                .map(crd -> crd.getSpec().getVersions().getFirst().getSchema().getOpenAPIV3Schema())
                .map(schema -> requireNonNull(schema.getProperties().get("spec")))
                .findFirst()
                .orElseThrow();
    }

    private static Map<Path, String> generated() throws IOException {
        Map<Path, String> files = new TreeMap<>();
        Manifests.generate()
                .forEach((name, text) -> MANIFEST_FOLDERS.forEach(folder -> files.put(folder.resolve(name), text)));
        files.put(WORK_TREE.resolve("docs/api-reference.md"), ApiReference.generate(WORK_TREE));
        return files;
    }
}
