package dev.torpor.operator.vm;

/** Identity of a VM. */
public record VmName(String namespace, String name) {
    @Override
    public String toString() {
        return namespace + "/" + name;
    }
}
