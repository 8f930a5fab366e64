package dev.torpor.telemetry.log;

import java.util.LinkedHashMap;
import java.util.Map;

/** The fields of a line that tell which object it belongs to, in the order in which they are written. */
final class Identity {
    static final String KIND = "kind";
    static final String NAMESPACE = "namespace";
    static final String NAME = "name";
    static final String UID = "uid";
    static final String ATTEMPT = "attempt";

    // The operator framework names the object that it works on itself, in its own words, for its own lines.
    private static final String OF_FRAMEWORK = "resource.";

    private Identity() {}

    /** Picks the identity out of all that a thread carries; empty outside of any object. */
    static Map<String, String> of(Map<String, String> carried) {
        Map<String, String> identity = new LinkedHashMap<>();
        String prefix = carried.containsKey(KIND) ? "" : OF_FRAMEWORK;
        for (String key : new String[] {KIND, NAMESPACE, NAME, UID, ATTEMPT}) {
            String value = carried.get(prefix + key);
            if (value != null) {
                identity.put(key, value);
            }
        }
        return identity;
    }
}
