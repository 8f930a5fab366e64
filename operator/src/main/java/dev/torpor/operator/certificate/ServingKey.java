package dev.torpor.operator.certificate;

import java.net.Socket;
import java.security.Principal;
import java.security.PrivateKey;
import java.security.cert.X509Certificate;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.X509ExtendedKeyManager;
import org.jspecify.annotations.Nullable;

/**
 * The key and certificate that the server shows, exchanged while it serves: each new connection gets the newest. An
 * alias names one of them for the length of a handshake. Safe for use by several threads.
 */
public final class ServingKey extends X509ExtendedKeyManager {
    private record Entry(String alias, List<X509Certificate> chain, PrivateKey key) {}

    private volatile List<Entry> entries = List.of();

    ServingKey() {}

    /** Serves another certificate from now on. Serving the same again changes nothing. */
    synchronized boolean serve(List<X509Certificate> chain, PrivateKey key) {
        Optional<Entry> before = newest();
        if (before.isPresent() && before.get().chain().equals(chain)) {
            return false;
        }
        Entry entry = new Entry(chain.getFirst().getSerialNumber().toString(36), List.copyOf(chain), key);
        // The one before is kept for handshakes that have begun with it.
        entries = before.map(last -> List.of(entry, last)).orElseGet(() -> List.of(entry));
        return true;
    }

    /** Returns the certificate that is served. */
    Optional<X509Certificate> certificate() {
        return newest().map(entry -> entry.chain().getFirst());
    }

    private Optional<Entry> newest() {
        return entries.stream().findFirst();
    }

    @Override
    public @Nullable String chooseEngineServerAlias(
            String keyType, Principal @Nullable [] issuers, @Nullable SSLEngine engine) {
        return newest().filter(entry -> entry.key().getAlgorithm().equals(keyType))
                .map(Entry::alias)
                .orElse(null);
    }

    @Override
    public @Nullable String chooseServerAlias(String keyType, Principal @Nullable [] issuers, @Nullable Socket socket) {
        return chooseEngineServerAlias(keyType, issuers, null);
    }

    @Override
    public X509Certificate @Nullable [] getCertificateChain(String alias) {
        return find(alias)
                .map(entry -> entry.chain().toArray(X509Certificate[]::new))
                .orElse(null);
    }

    @Override
    public @Nullable PrivateKey getPrivateKey(String alias) {
        return find(alias).map(Entry::key).orElse(null);
    }

    private Optional<Entry> find(String alias) {
        return entries.stream()
                .filter(entry -> Objects.equals(entry.alias(), alias))
                .findFirst();
    }

    @Override
    public String @Nullable [] getServerAliases(String keyType, Principal @Nullable [] issuers) {
        String alias = chooseEngineServerAlias(keyType, issuers, null);
        return alias == null ? null : new String[] {alias};
    }

    // We are a server only.
    @Override
    public String @Nullable [] getClientAliases(String keyType, Principal @Nullable [] issuers) {
        return null;
    }

    @Override
    public @Nullable String chooseClientAlias(
            String[] keyType, Principal @Nullable [] issuers, @Nullable Socket socket) {
        return null;
    }
}
