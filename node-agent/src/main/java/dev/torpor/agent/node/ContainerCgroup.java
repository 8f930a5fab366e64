package dev.torpor.agent.node;

import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Which container a process is in, as its cgroup tells. Both spellings of the kubelet are read:
 *
 * <pre>
 * cgroupfs  /kubepods/burstable/pod{uid}/{container}
 * systemd   /kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{uid with _}.slice/cri-containerd-{container}.scope
 * </pre>
 *
 * <p>A container may be able to make cgroups below its own, with names of its choice: the first pod on the path counts.
 *
 * @param podUID UID of the pod
 * @param containerID its id in the runtime, without the runtime's name
 */
record ContainerCgroup(String podUID, String containerID) {
    private static final Pattern CGROUPFS = Pattern.compile("pod([0-9a-fA-F-]+)");
    private static final Pattern SYSTEMD =
            Pattern.compile("kubepods(?:-burstable|-besteffort)?-pod([0-9a-fA-F_]+)\\.slice");
    private static final Pattern CONTAINER = Pattern.compile("(?:[a-z-]+-)?([0-9a-zA-Z]+)(?:\\.scope)?");

    /**
     * Reads the lines of {@code /proc/PID/cgroup} ({@code hierarchy:controllers:path}).
     *
     * @return empty if the process is in no pod's container
     */
    static Optional<ContainerCgroup> of(List<String> lines) {
        for (String line : lines) {
            String[] fields = line.split(":", 3);
            if (fields.length == 3) {
                Optional<ContainerCgroup> found = ofPath(fields[2]);
                if (found.isPresent()) {
                    return found;
                }
            }
        }
        return Optional.empty();
    }

    private static Optional<ContainerCgroup> ofPath(String path) {
        String[] names = path.split("/", -1);
        for (int i = 0; i + 1 < names.length; i++) {
            Optional<String> pod = pod(names[i]);
            if (pod.isPresent()) {
                Matcher container = CONTAINER.matcher(names[i + 1]);
                return container.matches()
                        ? Optional.of(new ContainerCgroup(pod.get(), container.group(1)))
                        : Optional.empty();
            }
        }
        return Optional.empty();
    }

    private static Optional<String> pod(String name) {
        Matcher cgroupfs = CGROUPFS.matcher(name);
        if (cgroupfs.matches()) {
            return Optional.of(cgroupfs.group(1));
        }
        Matcher systemd = SYSTEMD.matcher(name);
        return systemd.matches() ? Optional.of(systemd.group(1).replace('_', '-')) : Optional.empty();
    }
}
