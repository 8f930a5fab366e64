package dev.torpor.e2e.standin;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.api.v1alpha1.GuestStatus;
import dev.torpor.e2e.cluster.FreePorts;
import dev.torpor.e2e.cluster.StandInPod;
import dev.torpor.e2e.guest.GuestImage;
import dev.torpor.e2e.guest.Tick;
import java.io.IOException;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** VMs with an agent in the guest, with a channel to one that does not answer, and with none: nothing waits long, and nothing fails. */
@Tag("standin")
class GuestAgentIT {
    private static final String SILENT = "no agent in the guest answers guest-sync-delimited in time";
    private static final byte[] RARP = {(byte) 0x80, 0x35};
    /** As often QEMU announces a guest by itself as soon as it is loaded, which may be long before it runs (announce-rounds). */
    private static final int OF_QEMU = 5;

    private static final String[] CHANNEL = {
        "-device", "virtio-serial-pci",
        "-chardev", "socket,path=/run/torpor/qga.sock,server=on,wait=off,id=qga0",
        "-device", "virtserialport,chardev=qga0,name=org.qemu.guest_agent.0"
    };

    @SuppressWarnings("NullAway.Init")
    private static StandInCluster cluster;

    @BeforeAll
    static void start() throws Exception {
        cluster = new StandInCluster();
    }

    @AfterAll
    static void stop() {
        cluster.close();
    }

    @Test
    void guestsAgentFreezesBeforeTheSaveThawsAfterItAndIsToldTheTime() throws Exception {
        List<String> arguments = new ArrayList<>(GuestImage.get().argumentsWithAgent(224));
        arguments.addAll(List.of("-serial", "stdio", "-monitor", "none"));
        arguments.addAll(List.of(CHANNEL));
        cluster.createPod("ga", List.of("/run/torpor/bin/launch", "--", "qemu-system-x86_64"), arguments);
        StandInPod pod = cluster.pod("ga");
        Tick tick = pod.awaitTick(counted(5)); // its agent starts beside the first ones

        cluster.snapshot("ga-checkpoint", "ga", "mode: Checkpoint");
        assertThat(cluster.awaitReady("ga-checkpoint").getStatus().getQuiesced())
                .isTrue();
        StandInCluster.awaitGoingOn(pod, tick);
        await("what the guest was told").atMost(StandInCluster.PATIENCE).untilAsserted(() -> assertThat(
                        pod.output().lines().filter(line -> line.startsWith("hook ")))
                .containsExactly("hook freeze", "hook thaw"));

        cluster.snapshot("ga-saved", "ga");
        cluster.awaitReady("ga-saved");
        Tick last = pod.lastTick().orElseThrow();
        long sleptSeconds = 8;
        TimeUnit.SECONDS.sleep(sleptSeconds);
        cluster.restore("ga-back", "ga-saved");
        GuestStatus guest =
                requireNonNull(cluster.awaitRunning("ga-back").getStatus().getGuest());
        assertThat(guest.agentVersion()).startsWith("7.2");
        assertThat(guest.clockSet()).isTrue();
        StandInPod again = cluster.pod("ga");
        // The first two ticks from here may be of before its clock was set, or in the middle of that.
        Tick now = StandInCluster.awaitGoingOn(again, last);
        now = again.awaitTick(counted(now.number() + 2));
        // Left alone, its clock would have gone on by its ticks only.
        assertThat(clockAt(again, now.number()) - clockAt(pod, last.number()))
                .isGreaterThanOrEqualTo(now.number() - last.number() + sleptSeconds);
    }

    private static Predicate<Tick> counted(long atLeast) {
        return tick -> tick.number() >= atLeast;
    }

    /** Returns the time of day that the guest printed before a tick. */
    private static long clockAt(StandInPod pod, long number) throws IOException {
        long clock = -1;
        for (String line : pod.output().lines().toList()) {
            if (line.startsWith("clock ")) {
                clock = Long.parseLong(line.substring("clock ".length()).strip());
            } else if (Tick.parse(line).filter(tick -> tick.number() == number).isPresent()) {
                return clock;
            }
        }
        throw new IllegalStateException("no tick " + number + " in:\n" + pod.output());
    }

    @Test
    void guestThatSaysNothingIsCheckpointedAndComesBack() throws Exception {
        StandInPod pod = cluster.startVm("web", 192, 0, CHANNEL);
        cluster.snapshot("web-checkpoint", "web", "mode: Checkpoint");
        assertThat(cluster.awaitReady("web-checkpoint").getStatus().getQuiesced())
                .isFalse();

        cluster.snapshot("web-saved", "web");
        cluster.awaitReady("web-saved");
        Tick last = pod.lastTick().orElseThrow();
        cluster.restore("web-back", "web-saved");
        GuestStatus guest =
                requireNonNull(cluster.awaitRunning("web-back").getStatus().getGuest());

        assertThat(guest).isEqualTo(new GuestStatus(null, false, SILENT));
        var _ = StandInCluster.awaitGoingOn(cluster.pod("web"), last);
        assertThat(cluster.agentLog()).noneMatch(line -> line.contains("is not served by the VM's QEMU"));
    }

    @Test
    void vmWithoutAChannelIsAskedNothingAndAnnouncedByUs() throws Exception {
        try (DatagramSocket network = new DatagramSocket(0, InetAddress.getLoopbackAddress())) {
            network.setSoTimeout((int) StandInCluster.PATIENCE.toMillis());
            cluster.startVm(
                    "db",
                    192,
                    0,
                    "-netdev",
                    "dgram,id=n0,local.type=inet,local.host=127.0.0.1,local.port=" + FreePorts.take()
                            + ",remote.type=inet,remote.host=127.0.0.1,remote.port=" + network.getLocalPort(),
                    "-device",
                    "virtio-net-pci,netdev=n0,romfile=");
            cluster.snapshot("db-saved", "db");
            assertThat(cluster.awaitReady("db-saved").getStatus().getQuiesced()).isNull();
            cluster.restore("db-back", "db-saved");

            var status = cluster.awaitRunning("db-back").getStatus();
            assertThat(status.getGuest()).isNull();
            assertThat(status.getPodIP()).isEqualTo("127.0.0.1");
            assertThat(status.getSavedPodIP()).isEqualTo("127.0.0.1");
            awaitAnnounced(network, OF_QEMU + 1);
        }
    }

    private static void awaitAnnounced(DatagramSocket network, int times) throws IOException {
        byte[] frame = new byte[2048];
        for (int heard = 0; heard < times; ) {
            network.receive(new DatagramPacket(frame, frame.length));
            heard += Arrays.equals(frame, 12, 14, RARP, 0, 2) ? 1 : 0;
        }
    }
}
