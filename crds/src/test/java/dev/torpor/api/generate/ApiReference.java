package dev.torpor.api.generate;

import dev.torpor.api.status.StatusOwner;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.failure.FailureReason;
import io.fabric8.kubernetes.api.model.apiextensions.v1.CustomResourceColumnDefinition;
import io.fabric8.kubernetes.api.model.apiextensions.v1.CustomResourceDefinition;
import io.fabric8.kubernetes.api.model.apiextensions.v1.CustomResourceDefinitionNames;
import io.fabric8.kubernetes.api.model.apiextensions.v1.CustomResourceDefinitionVersion;
import io.fabric8.kubernetes.api.model.apiextensions.v1.JSONSchemaProps;
import io.fabric8.kubernetes.api.model.apiextensions.v1.ValidationRule;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/** The reference of the API for people, as Markdown, from the definitions, the reasons and their Javadoc. */
final class ApiReference {
    private static final List<StatusOwner<?, ?>> OWNERS = List.of(
            StatusOwner.SNAPSHOT_OPERATOR,
            StatusOwner.SNAPSHOT_AGENT,
            StatusOwner.RESTORE_OPERATOR,
            StatusOwner.RESTORE_AGENT,
            StatusOwner.NODE_STORE_AGENT);

    private final StringBuilder text = new StringBuilder();

    private ApiReference() {}

    /** Returns the file's text. */
    static String generate(Path workTree) throws IOException {
        ApiReference reference = new ApiReference();
        reference.line("<!-- Made by `make generate` from the Java types in crds/; do not edit. -->");
        reference.line("# API reference");
        reference.line("");
        reference.line("Group `" + Torpor.GROUP + "`, version `" + Torpor.VERSION
                + "`. All kinds together: `kubectl get torpor`. A field's text is also in `kubectl explain`.");
        Manifests.definitions().forEach(reference::kind);
        reference.reasons(
                JavadocOfConstants.read(workTree.resolve("crds/src/main/java/dev/torpor/failure/FailureReason.java")));
        return reference.text.toString();
    }

    private void kind(CustomResourceDefinition crd) {
        CustomResourceDefinitionNames names = crd.getSpec().getNames();
        CustomResourceDefinitionVersion version = crd.getSpec().getVersions().getFirst();
        JSONSchemaProps schema = version.getSchema().getOpenAPIV3Schema();
        line("");
        line("## " + names.getKind());
        line("");
        String scope = crd.getSpec().getScope().equals("Cluster") ? "Cluster-wide" : "Namespaced";
        line(schema.getDescription() + " " + scope + "; short name `"
                + names.getShortNames().getFirst() + "`.");
        columns(version.getAdditionalPrinterColumns());
        JSONSchemaProps spec = schema.getProperties().get("spec");
        if (spec != null) {
            spec(spec);
        }
        JSONSchemaProps status = schema.getProperties().get("status");
        if (status != null) {
            status(names.getKind(), status);
        }
    }

    private void columns(List<CustomResourceColumnDefinition> columns) {
        line("");
        line("Columns: " + names(columns, 0) + (names(columns, 1).isEmpty() ? "" : "; wide: " + names(columns, 1))
                + ".");
    }

    private static String names(List<CustomResourceColumnDefinition> columns, int priority) {
        return columns.stream()
                .filter(column -> column.getPriority() == priority)
                .map(CustomResourceColumnDefinition::getName)
                .collect(Collectors.joining(", "));
    }

    private void spec(JSONSchemaProps spec) {
        line("");
        line("### spec");
        line("");
        line(spec.getDescription());
        line("");
        line("| field | type | default | meaning |");
        line("|---|---|---|---|");
        fields(
                "",
                spec,
                (path, field, required) -> line("| `" + path + "` | " + type(field) + " | "
                        + (required
                                ? "required"
                                : field.getDefault() == null
                                        ? ""
                                        : "`" + field.getDefault().asText() + "`")
                        + " | " + cell(field.getDescription()) + " |"));
        List<String> rules = rules(spec);
        if (!rules.isEmpty()) {
            line("");
            line("Refused, with these words:");
            line("");
            rules.forEach(rule -> line("- " + rule));
        }
    }

    private void status(String kind, JSONSchemaProps status) {
        line("");
        line("### status");
        line("");
        line(status.getDescription() + " Each field has one writer.");
        line("");
        line("| field | type | writer | meaning |");
        line("|---|---|---|---|");
        fields(
                "",
                status,
                (path, field, required) -> line("| `" + path + "` | " + type(field) + " | " + writer(kind, path) + " | "
                        + cell(field.getDescription()) + " |"));
        if (!status.getProperties().containsKey("conditions")) {
            return;
        }
        line("");
        line("| condition | writer |");
        line("|---|---|");
        for (StatusOwner<?, ?> owner : OWNERS) {
            if (owner.kind().getSimpleName().equals(kind)) {
                owner.conditions().stream().sorted().forEach(type -> line("| " + type + " | " + name(owner) + " |"));
            }
        }
    }

    private void reasons(Map<String, String> meanings) {
        line("");
        line("## Reasons");
        line("");
        line(
                "Reasons of failure, in conditions, `status.failure`, Events and the messages of `torpor-agent`. *Retryable*"
                        + " ones are tried again until `deadlineSeconds`; *terminal* ones end the work at once.");
        line("");
        line("| reason | kind | meaning |");
        line("|---|---|---|");
        for (FailureReason reason : FailureReason.values()) {
            String meaning = meanings.get(reason.name());
            if (meaning == null) {
                throw new IllegalStateException("FailureReason." + reason + " has no Javadoc");
            }
            line("| " + reason + " | " + reason.kind().name().toLowerCase(Locale.ROOT) + " | " + cell(meaning) + " |");
        }
    }

    /** Receives one field of a schema. */
    private interface FieldVisitor {
        void field(String path, JSONSchemaProps field, boolean required);
    }

    /** Visits fields depth first; an object of fields is visited before them. */
    private static void fields(String prefix, JSONSchemaProps object, FieldVisitor visitor) {
        List<String> required = Objects.requireNonNullElse(object.getRequired(), List.of());
        object.getProperties().forEach((name, field) -> {
            visitor.field(prefix + name, field, required.contains(name));
            if (field.getProperties() != null) {
                fields(prefix + name + ".", field, visitor);
            }
        });
    }

    private static List<String> rules(JSONSchemaProps schema) {
        List<String> messages = new ArrayList<>();
        for (ValidationRule rule :
                Objects.requireNonNullElse(schema.getXKubernetesValidations(), List.<ValidationRule>of())) {
            messages.add(rule.getMessage());
        }
        if (schema.getProperties() != null) {
            schema.getProperties().forEach((name, field) -> {
                for (String rule : rules(field)) {
                    messages.add("`" + name + "`: " + rule);
                }
            });
        }
        return messages;
    }

    private static String type(JSONSchemaProps field) {
        if (field.getEnum() != null && !field.getEnum().isEmpty()) {
            return field.getEnum().stream().map(value -> value.asText()).collect(Collectors.joining(", "));
        }
        String range = "";
        if (field.getMinimum() != null) {
            range = " " + field.getMinimum().longValue() + ".."
                    + (field.getMaximum() == null ? "" : field.getMaximum().longValue());
        }
        return field.getType() + range;
    }

    private static String writer(String kind, String path) {
        String field = path.contains(".") ? path.substring(0, path.indexOf('.')) : path;
        if (field.equals("conditions")) {
            return "see below";
        }
        return OWNERS.stream()
                .filter(owner -> owner.kind().getSimpleName().equals(kind)
                        && owner.fields().contains(field))
                .map(ApiReference::name)
                .findFirst()
                .orElseThrow(() -> new IllegalStateException(kind + ".status." + field + " has no writer"));
    }

    private static String name(StatusOwner<?, ?> owner) {
        return owner.manager().equals(Torpor.OPERATOR_MANAGER) ? "operator" : "agent";
    }

    private static String cell(@Nullable String description) {
        if (description == null) {
            throw new IllegalStateException("a field has no description");
        }
        return description.replace("|", "\\|");
    }

    private void line(String line) {
        text.append(line).append('\n');
    }
}
