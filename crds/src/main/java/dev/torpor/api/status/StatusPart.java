package dev.torpor.api.status;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/** One owner's part of a status, as plain JSON: fields by name, and conditions by type whatever their order. */
record StatusPart(Map<String, JsonNode> fields, Map<String, JsonNode> conditions) {
    // Absent and null are the same here; an explicit null would be refused by the API server's schema.
    private static final ObjectMapper JSON = JsonMapper.builder()
            .defaultPropertyInclusion(
                    JsonInclude.Value.construct(JsonInclude.Include.NON_NULL, JsonInclude.Include.NON_NULL))
            .disable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES)
            .build();

    /** Returns what of a status as seen belongs to an owner. */
    static StatusPart of(StatusOwner<?, ?> owner, @Nullable Object seen) {
        StatusPart all = all(seen);
        all.fields().keySet().retainAll(owner.fields());
        all.conditions().keySet().retainAll(owner.conditions());
        return all;
    }

    /**
     * Returns a status that holds only what an owner wants to say.
     *
     * @throws IllegalArgumentException if it holds more than that, which is a bug of the caller
     */
    static StatusPart owned(StatusOwner<?, ?> owner, Object own) {
        StatusPart part = all(own);
        if (!owner.fields().containsAll(part.fields().keySet())
                || !owner.conditions().containsAll(part.conditions().keySet())) {
            throw new IllegalArgumentException("%s does not own all of status fields %s and conditions %s"
                    .formatted(
                            owner.manager(),
                            part.fields().keySet(),
                            part.conditions().keySet()));
        }
        return part;
    }

    /** Returns this part as the value of {@code status} in a request. */
    ObjectNode toJson() {
        ObjectNode status = JSON.createObjectNode();
        fields.forEach(status::set);
        if (!conditions.isEmpty()) {
            status.putArray("conditions").addAll(conditions.values());
        }
        return status;
    }

    static Map<String, Object> toMap(ObjectNode json) {
        return JSON.convertValue(json, new TypeReference<>() {});
    }

    static <R> R convert(Object from, Class<R> to) {
        return JSON.convertValue(from, to);
    }

    static StatusPart all(@Nullable Object status) {
        Map<String, JsonNode> fields = new TreeMap<>();
        Map<String, JsonNode> conditions = new TreeMap<>();
        if (status != null) {
            JSON.valueToTree(status).properties().forEach(field -> {
                if ("conditions".equals(field.getKey())) {
                    field.getValue()
                            .forEach(condition ->
                                    conditions.put(condition.path("type").asText(), condition));
                } else {
                    fields.put(field.getKey(), field.getValue());
                }
            });
        }
        return new StatusPart(fields, conditions);
    }
}
