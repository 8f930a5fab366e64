package dev.torpor.operator.admission;

import java.util.Optional;

/**
 * What is put into pods.
 *
 * @param launcherImage image of the init container
 * @param imageFolder folder of the agents' image stores on their nodes, if a VM's own part of it is to be mounted
 * @param readinessGate whether pods are ready only while their guest runs, as the node's agent says
 */
public record InjectionSettings(String launcherImage, Optional<String> imageFolder, boolean readinessGate) {}
