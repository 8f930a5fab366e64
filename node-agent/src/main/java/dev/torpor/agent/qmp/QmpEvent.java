package dev.torpor.agent.qmp;

import com.fasterxml.jackson.databind.JsonNode;

/**
 * Something that QEMU announced by itself.
 *
 * @param name the event's name, such as STOP or MIGRATION
 * @param data what it carries; an empty object if nothing
 */
public record QmpEvent(String name, JsonNode data) {}
