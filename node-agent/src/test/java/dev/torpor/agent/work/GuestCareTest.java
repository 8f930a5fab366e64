package dev.torpor.agent.work;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.agent.qmp.FakeGuestAgent;
import dev.torpor.api.v1alpha1.GuestStatus;
import java.nio.file.Path;
import java.time.Instant;
import java.time.InstantSource;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class GuestCareTest {
    private static final InstantSource CLOCK = InstantSource.fixed(Instant.parse("2026-01-02T03:04:05Z"));
    private static final String SET_TIME =
            "{\"execute\":\"guest-set-time\",\"arguments\":{\"time\":1767323045000000000}}";
    private static final String THAW = "{\"execute\":\"guest-fsfreeze-thaw\"}";

    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path temp;

    private final FakeVms vms = new FakeVms();

    @Test
    void guestThatIsBackIsToldTheTime() throws Exception {
        try (FakeGuestAgent guest = guest();
                Vm vm = vms.connect("p1")) {
            assertThat(GuestCare.wake(vm, CLOCK, false)).contains(new GuestStatus("10.0.2", true, null));
            assertThat(guest.received).endsWith(SET_TIME).doesNotContain(THAW);
        }
    }

    @Test
    void guestThatWasSavedFrozenIsThawedFirst() throws Exception {
        try (FakeGuestAgent guest = guest();
                Vm vm = vms.connect("p1")) {
            assertThat(GuestCare.freeze(vm)).isTrue();
            var _ = GuestCare.wake(vm, CLOCK, true);

            assertThat(guest.received).containsSubsequence(THAW, SET_TIME);
            assertThat(GuestCare.canFreeze(vm)).as("nothing is frozen any more").contains(true);
        }
    }

    @Test
    void guestThatSomebodyElseFrozeIsLeftToThem() throws Exception {
        try (FakeGuestAgent _ = guest();
                Vm vm = vms.connect("p1")) {
            assertThat(GuestCare.canFreeze(vm)).contains(true);
            assertThat(GuestCare.freeze(vm)).isTrue();
            assertThat(GuestCare.canFreeze(vm)).contains(false);
        }
    }

    @Test
    void guestWithoutAChannelIsNoTrouble() throws Exception {
        try (Vm vm = vms.connect("p1")) {
            assertThat(GuestCare.wake(vm, CLOCK, true)).isEmpty();
            assertThat(GuestCare.canFreeze(vm)).isEmpty();
            assertThat(GuestCare.freeze(vm)).isFalse();
            GuestCare.thaw(vm);
        }
    }

    @Test
    void agentThatRefusesFailsNothingAndIsTold() throws Exception {
        vms.guestAgent = temp.resolve("qga.sock");
        try (FakeGuestAgent guest = new FakeGuestAgent(
                        temp.resolve("qga.sock"),
                        FakeGuestAgent.synchronizing(line -> line.contains("guest-info")
                                ? "{\"return\": {\"version\": \"9.2\"}}\n"
                                : "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no\"}}\n"));
                Vm vm = vms.connect("p1")) {
            assertThat(GuestCare.wake(vm, CLOCK, false))
                    .contains(new GuestStatus("9.2", false, "the guest agent refuses guest-set-time: no"));
            assertThat(GuestCare.freeze(vm)).isFalse();
            GuestCare.thaw(vm);
            assertThat(guest.received).as("thawing is tried again").containsSubsequence(THAW, THAW, THAW);
        }
    }

    @Test
    void announcementThatQemuRefusesFailsNothing() throws Exception {
        vms.refusesToAnnounce = true;
        try (Vm vm = vms.connect("p1")) {
            GuestCare.announce(vm);
        }
        assertThat(vms.announced.get()).isEqualTo(1);
    }

    private FakeGuestAgent guest() throws Exception {
        Path socket = temp.resolve("qga.sock");
        vms.guestAgent = socket;
        return new FakeGuestAgent(socket);
    }
}
