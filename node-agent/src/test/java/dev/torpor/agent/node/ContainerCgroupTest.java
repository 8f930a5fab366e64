package dev.torpor.agent.node;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ContainerCgroupTest {
    private static final String POD = "3fa7c1de-0000-4111-8222-1234567890ab";
    private static final String CONTAINER = "0f".repeat(32);

    @ParameterizedTest
    @ValueSource(
            strings = {
                "0::/kubepods/burstable/podUID/CID",
                "0::/kubepods/podUID/CID",
                "0::/kubepods/besteffort/podUID/CID/nested/cgroups",
                "0::/kubelet/kubepods/burstable/podUID/CID",
                "5:memory:/kubepods/burstable/podUID/CID",
                "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podU_ID.slice/cri-containerd-CID.scope",
                "0::/kubepods.slice/kubepods-podU_ID.slice/crio-CID.scope",
                "0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podU_ID.slice/cri-containerd-CID.scope/init",
            })
    void readsWhatKubeletsWrite(String line) {
        String real =
                line.replace("U_ID", POD.replace('-', '_')).replace("UID", POD).replace("CID", CONTAINER);
        assertThat(ContainerCgroup.of(List.of("12:cpuset:/", real)))
                .isEqualTo(Optional.of(new ContainerCgroup(POD, CONTAINER)));
    }

    @Test
    void aContainerCannotPassForAnothersByACgroupOfItsOwn() {
        String line = "0::/kubepods/burstable/pod" + POD + "/" + CONTAINER + "/pod00000000-1111/" + CONTAINER;
        assertThat(ContainerCgroup.of(List.of(line)).orElseThrow().podUID()).isEqualTo(POD);
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "0::/", "0::/user.slice/session-1.scope", "0::/kubepods/burstable/pod12", "garbage"})
    void whatIsInNoContainerIsInNone(String line) {
        assertThat(ContainerCgroup.of(List.of(line))).isEmpty();
    }
}
