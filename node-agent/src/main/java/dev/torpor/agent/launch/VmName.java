package dev.torpor.agent.launch;

/**
 * Which VM: it keeps this identity over all its pods.
 *
 * @param namespace namespace of its pods
 * @param name value of their label {@code torpor.dev/vm}
 */
public record VmName(String namespace, String name) implements Comparable<VmName> {
    @Override
    public int compareTo(VmName other) {
        int c = namespace.compareTo(other.namespace);
        return c != 0 ? c : name.compareTo(other.name);
    }

    @Override
    public String toString() {
        return namespace + "/" + name;
    }
}
