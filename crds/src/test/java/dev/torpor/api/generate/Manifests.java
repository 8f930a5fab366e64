package dev.torpor.api.generate;

import dev.torpor.api.v1alpha1.NodeStore;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotClass;
import io.fabric8.crdv2.generator.CRDGenerator;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.apiextensions.v1.CustomResourceDefinition;
import io.fabric8.kubernetes.client.utils.Serialization;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** The manifests of the custom resource definitions, from the Java types. */
final class Manifests {
    static final List<Class<? extends HasMetadata>> KINDS =
            List.of(VMSnapshot.class, VMRestore.class, VMSnapshotClass.class, NodeStore.class);

    private static final List<String> KIND_NAMES =
            KINDS.stream().map(Class::getSimpleName).toList();
    // Each is a document of its own: "helm show crds" puts the files together as they are.
    private static final String HEADER = "---\n# Made by `make generate` from the Java types in crds/; do not edit.\n";

    private Manifests() {}

    /** Returns the definitions, in the order of {@link #KINDS}. */
    static List<CustomResourceDefinition> definitions() throws IOException {
        return generate().values().stream()
                .map(text -> Serialization.unmarshal(text, CustomResourceDefinition.class))
                .sorted(Comparator.comparingInt(
                        crd -> KIND_NAMES.indexOf(crd.getSpec().getNames().getKind())))
                .toList();
    }

    /** Returns the manifests by file name, {@code <plural>.<group>.yaml}. */
    static Map<String, String> generate() throws IOException {
        Path directory = Files.createTempDirectory("torpor-crds-");
        new CRDGenerator()
                .customResourceClasses(KINDS)
                .forCRDVersions("v1")
                .withPostProcessor(new Finish())
                .inOutputDir(directory.toFile())
                .detailedGenerate();
        Map<String, String> manifests = new TreeMap<>();
        try (var files = Files.list(directory)) {
            for (Path file : files.toList()) {
                String name = file.getFileName().toString().replace("-v1.yml", ".yaml");
                manifests.put(name, HEADER + withoutGeneratorsNote(Files.readString(file)));
                Files.delete(file);
            }
        }
        Files.delete(directory);
        return manifests;
    }

    private static String withoutGeneratorsNote(String yaml) {
        return yaml.lines().filter(line -> !line.startsWith("#")).reduce("", (text, line) -> text + line + "\n");
    }
}
