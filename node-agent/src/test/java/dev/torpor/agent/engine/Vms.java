package dev.torpor.agent.engine;

import dev.torpor.agent.image.VmDefinition;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.Set;
import java.util.TreeMap;

/** A VM as a probe of QEMU 10.0.2 describes it, to be changed in one point by each test. */
final class Vms {
    static final long RAM_BYTES = 256L << 20;

    static final VmDefinition DEFINITION = new VmDefinition(
            "10.0.2",
            "pc-q35-10.0",
            2,
            "11111111-2222-3333-4444-555555555555",
            "qemu64-x86_64-cpu",
            "tcg",
            List.of("virtio-net-pci@02.0", "virtio-rng-pci@01.0"),
            new TreeMap<>(Map.of("pc.ram", RAM_BYTES)),
            RAM_BYTES);

    static final VmFacts RUNNING = facts(DEFINITION, "running");
    static final VmFacts INCOMING = facts(DEFINITION, "inmigrate");

    private Vms() {}

    static VmFacts facts(VmDefinition definition, String status) {
        return new VmFacts(
                definition,
                Set.of("mapped-ram", "multifd", "x-ignore-shared"),
                Set.of("multifd-channels", "max-bandwidth", "direct-io"),
                new RunState(status, status.equals("running")),
                "none",
                List.of(),
                OptionalLong.of(1000));
    }

    static VmFacts withCapabilities(VmFacts vm, String... capabilities) {
        return new VmFacts(
                vm.definition(),
                Set.of(capabilities),
                vm.parameters(),
                vm.runState(),
                vm.migration(),
                vm.blockedReasons(),
                vm.descriptorsLeft());
    }

    static VmFacts withParameters(VmFacts vm, String... parameters) {
        return new VmFacts(
                vm.definition(),
                vm.capabilities(),
                Set.of(parameters),
                vm.runState(),
                vm.migration(),
                vm.blockedReasons(),
                vm.descriptorsLeft());
    }

    static VmFacts withBlockedReasons(VmFacts vm, String... reasons) {
        return new VmFacts(
                vm.definition(),
                vm.capabilities(),
                vm.parameters(),
                vm.runState(),
                vm.migration(),
                List.of(reasons),
                vm.descriptorsLeft());
    }

    static VmFacts withDescriptorsLeft(VmFacts vm, OptionalLong left) {
        return new VmFacts(
                vm.definition(),
                vm.capabilities(),
                vm.parameters(),
                vm.runState(),
                vm.migration(),
                vm.blockedReasons(),
                left);
    }
}
