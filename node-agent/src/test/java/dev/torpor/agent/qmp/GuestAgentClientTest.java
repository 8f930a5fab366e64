package dev.torpor.agent.qmp;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.function.Function;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The client against agents that are honest, absent, lying or flooding. */
class GuestAgentClientTest {
    private static final Duration PATIENCE = Duration.ofSeconds(20);
    private static final Duration SHORT = Duration.ofMillis(300);

    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path temp;

    @SuppressWarnings("NullAway.Init")
    private Path socket;

    @BeforeEach
    void nameTheSocket() {
        socket = temp.resolve("qga.sock");
    }

    @Test
    void clockIsSetToTheNanosecond() throws Exception {
        try (FakeGuestAgent guest = new FakeGuestAgent(socket);
                GuestAgentClient client = GuestAgentClient.connect(socket, PATIENCE)) {
            assertThat(client.version()).isEqualTo("10.0.2");
            client.setTime(Instant.parse("2026-01-02T03:04:05.000000006Z"));

            assertThat(guest.received)
                    .containsExactly(
                            "{\"execute\":\"guest-info\"}",
                            "{\"execute\":\"guest-set-time\",\"arguments\":{\"time\":1767323045000000006}}");
        }
    }

    @Test
    void frozenFileSystemsAreThawed() throws Exception {
        try (FakeGuestAgent _ = new FakeGuestAgent(socket);
                GuestAgentClient client = GuestAgentClient.connect(socket, PATIENCE)) {
            assertThat(client.frozen()).isFalse();
            client.freeze();
            assertThat(client.frozen()).isTrue();
            client.thaw();
            assertThat(client.frozen()).isFalse();
        }
    }

    @Test
    void answersToAnEarlierClientAreDropped() throws Exception {
        // Half a message, an answer to somebody else, and his sync.
        String left = "urn\": 7}\n{\"return\": {\"version\": \"wrong\"}}\n\u00ff{\"return\": 1}\n";
        try (FakeGuestAgent _ = new FakeGuestAgent(
                        socket,
                        line -> line.contains("guest-sync-delimited")
                                ? left
                                        + FakeGuestAgent.synchronizing(other -> "")
                                                .apply(line)
                                : "{\"return\": {\"version\": \"right\"}}\n");
                GuestAgentClient client = GuestAgentClient.connect(socket, PATIENCE)) {
            assertThat(client.version()).isEqualTo("right");
        }
    }

    @Test
    void guestWithoutAnAgentIsGivenUp() throws Exception {
        try (FakeGuestAgent _ = new FakeGuestAgent(socket, line -> "")) {
            assertThatThrownBy(() -> GuestAgentClient.connect(socket, SHORT))
                    .isInstanceOf(GuestAgentException.class)
                    .hasMessage("no agent in the guest answers guest-sync-delimited in time");
        }
        assertThatThrownBy(() -> GuestAgentClient.connect(temp.resolve("none"), SHORT))
                .isInstanceOf(GuestAgentException.class)
                .hasMessageStartingWith("cannot connect to the guest agent's socket");
    }

    @Test
    void oneDeadlineIsForTheWholeConversation() throws Exception {
        try (FakeGuestAgent _ = agent(line -> "");
                GuestAgentClient client = GuestAgentClient.connect(socket, Duration.ofSeconds(3))) {
            assertThatThrownBy(client::version).hasMessage("no agent in the guest answers guest-info in time");
            assertThatThrownBy(() -> client.setTime(Instant.EPOCH)).isInstanceOf(GuestAgentException.class);
        }
    }

    @Test
    void refusalIsTold() throws Exception {
        try (FakeGuestAgent _ = agent(
                        line ->
                                "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"guest-set-time has been disabled\"}}\n");
                GuestAgentClient client = GuestAgentClient.connect(socket, PATIENCE)) {
            assertThatThrownBy(() -> client.setTime(Instant.EPOCH))
                    .hasMessage("the guest agent refuses guest-set-time: guest-set-time has been disabled");
        }
    }

    @Test
    void floodIsGivenUp() throws Exception {
        String flood = "x".repeat(300 << 10);
        try (FakeGuestAgent _ = new FakeGuestAgent(socket, line -> flood)) {
            assertThatThrownBy(() -> GuestAgentClient.connect(socket, PATIENCE))
                    .hasMessageContaining("more than 262144 bytes before its answer");
        }
    }

    @Test
    void floodInAnAnswerIsGivenUp() throws Exception {
        String flood = "{\"return\": \"" + "x".repeat(300 << 10);
        try (FakeGuestAgent _ = agent(line -> flood);
                GuestAgentClient client = GuestAgentClient.connect(socket, PATIENCE)) {
            assertThatThrownBy(client::version).hasMessageContaining("a message of more than 262144 bytes");
        }
    }

    @Test
    void deepNestingIsGivenUp() throws Exception {
        try (FakeGuestAgent _ = agent(line -> "[".repeat(1000) + "\n");
                GuestAgentClient client = GuestAgentClient.connect(socket, PATIENCE)) {
            assertThatThrownBy(client::version).hasMessageContaining("what answers in the guest is no guest agent");
        }
    }

    @Test
    void versionIsCutDownToWhatAVersionIsMadeOf() throws Exception {
        try (FakeGuestAgent _ =
                        agent(line -> "{\"return\": {\"version\": \"10.0\\u001b[31m <b>" + "9".repeat(100) + "\"}}\n");
                GuestAgentClient client = GuestAgentClient.connect(socket, PATIENCE)) {
            assertThat(client.version()).isEqualTo("10.031mb" + "9".repeat(19));
        }
    }

    private FakeGuestAgent agent(Function<String, String> answers) throws IOException {
        return new FakeGuestAgent(socket, FakeGuestAgent.synchronizing(answers));
    }
}
