package dev.torpor.api.generate;

import static java.util.Objects.requireNonNull;

import com.fasterxml.jackson.annotation.JsonClassDescription;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.TextNode;
import io.fabric8.crd.generator.annotation.AdditionalPrinterColumn;
import io.fabric8.crdv2.generator.CRDPostProcessor;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.apiextensions.v1.CustomResourceColumnDefinition;
import io.fabric8.kubernetes.api.model.apiextensions.v1.CustomResourceDefinition;
import io.fabric8.kubernetes.api.model.apiextensions.v1.CustomResourceDefinitionVersion;
import io.fabric8.kubernetes.api.model.apiextensions.v1.JSONSchemaProps;
import io.fabric8.kubernetes.api.model.apiextensions.v1.JSONSchemaPropsBuilder;
import java.lang.reflect.ParameterizedType;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** Does for each definition what the generator has no annotation for. */
final class Finish implements CRDPostProcessor {
    private static final String CATEGORY = "torpor";

    @Override
    public HasMetadata process(HasMetadata resource, String crdSpecVersion) {
        CustomResourceDefinition crd = (CustomResourceDefinition) resource;
        Class<?> type = Manifests.KINDS.stream()
                .filter(kind ->
                        kind.getSimpleName().equals(crd.getSpec().getNames().getKind()))
                .findFirst()
                .orElseThrow();
        crd.getSpec().getNames().setCategories(List.of(CATEGORY));
        crd.getSpec().getVersions().forEach(version -> finish(version, type));
        return crd;
    }

    private static void finish(CustomResourceDefinitionVersion version, Class<?> type) {
        inDeclaredOrder(version.getAdditionalPrinterColumns(), type);
        JSONSchemaProps schema = version.getSchema().getOpenAPIV3Schema();
        Map<String, JSONSchemaProps> properties = schema.getProperties();
        schema.setDescription(description(type));
        boolean asked = typeArgument(type, 0) != Void.class;
        if (asked) {
            requireNonNull(properties.get("spec")).setDescription(description(typeArgument(type, 0)));
        } else {
            properties.remove("spec");
        }
        if (typeArgument(type, 1) == Void.class) {
            properties.remove("status");
            schema.setRequired(List.of()); // Data alone, which may be empty.
        } else {
            schema.setRequired(asked ? List.of("spec") : List.of());
            JSONSchemaProps status = requireNonNull(properties.get("status"));
            status.setDescription(description(typeArgument(type, 1)));
            status.getProperties().computeIfPresent("conditions", (name, conditions) -> mapByType(conditions));
        }
        finish(schema);
    }

    private static Class<?> typeArgument(Class<?> type, int index) {
        return (Class<?>) ((ParameterizedType) type.getGenericSuperclass()).getActualTypeArguments()[index];
    }

    private static String description(Class<?> type) {
        return requireNonNull(type.getAnnotation(JsonClassDescription.class), type::getName)
                .value();
    }

    /** The generator sorts by path; people read from left to right. */
    private static void inDeclaredOrder(List<CustomResourceColumnDefinition> columns, Class<?> type) {
        List<String> order = Arrays.stream(type.getAnnotationsByType(AdditionalPrinterColumn.class))
                .map(AdditionalPrinterColumn::name)
                .toList();
        columns.sort(Comparator.comparingInt(column -> order.indexOf(column.getName())));
    }

    /** One entry for each type, so that each has its own owner in server-side apply. */
    private static JSONSchemaProps mapByType(JSONSchemaProps conditions) {
        JSONSchemaProps item = new JSONSchemaPropsBuilder()
                .withType("object")
                .withRequired("type", "status", "reason", "lastTransitionTime")
                .withProperties(new TreeMap<>(Map.of(
                        "type",
                                text("What it speaks of, such as Ready.")
                                        .withMaxLength(316L)
                                        .build(),
                        "status",
                                text("True, False or Unknown.")
                                        .withEnum(List.of(node("True"), node("False"), node("Unknown")))
                                        .build(),
                        "reason",
                                text("Machine-readable reason of the status; see the table of reasons.")
                                        .withMinLength(1L)
                                        .withMaxLength(1024L)
                                        .withPattern("^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")
                                        .build(),
                        "message",
                                text("The same for people, with what to do.")
                                        .withMaxLength(32768L)
                                        .build(),
                        "lastTransitionTime",
                                text("When the status last changed, RFC 3339.")
                                        .withFormat("date-time")
                                        .build(),
                        "observedGeneration",
                                new JSONSchemaPropsBuilder()
                                        .withType("integer")
                                        .withMinimum(0.0)
                                        .withDescription("Generation of the spec that the condition speaks of.")
                                        .build())))
                .build();
        return new JSONSchemaPropsBuilder(conditions)
                .withXKubernetesListType("map")
                .withXKubernetesListMapKeys("type")
                .editItems()
                .withSchema(item)
                .endItems()
                .build();
    }

    private static JSONSchemaPropsBuilder text(String description) {
        return new JSONSchemaPropsBuilder().withType("string").withDescription(description);
    }

    private static JsonNode node(String value) {
        return TextNode.valueOf(value);
    }

    private static void finish(JSONSchemaProps schema) {
        if ("integer".equals(schema.getType())) {
            // Counts of bytes do not fit 32 bits, which clients assume of an integer without a format.
            schema.setFormat("int64");
        }
        if (schema.getXKubernetesValidations() != null) {
            // Once from a record's field and once from its accessor.
            schema.setXKubernetesValidations(
                    schema.getXKubernetesValidations().stream().distinct().toList());
        }
        if (schema.getProperties() != null) {
            schema.getProperties().values().forEach(Finish::finish);
        }
        if (schema.getItems() != null && schema.getItems().getSchema() != null) {
            finish(schema.getItems().getSchema());
        }
    }
}
