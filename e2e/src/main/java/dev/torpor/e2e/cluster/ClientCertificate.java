package dev.torpor.e2e.cluster;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.util.Base64;

/**
 * The certificate by which the API server shows kubelets who it is, self-signed, as PEM files. A kubelet that trusts
 * this one certificate serves logs and exec to nobody else on the machine.
 *
 * @param certificate file with the certificate
 * @param key file with its private key
 */
record ClientCertificate(Path certificate, Path key) {
    private static final String ALIAS = "client";
    private static final String PASSWORD = "torpor";
    private static final int PEM_LINE = 64;

    /** Writes a new certificate and key to these files, by way of the JDK's keytool. */
    static ClientCertificate generate(Path certificate, Path key) throws IOException {
        Path store = key.resolveSibling(key.getFileName() + ".p12");
        Command.run(
                Path.of(System.getProperty("java.home"), "bin", "keytool").toString(),
                "-genkeypair",
                "-keystore",
                store.toString(),
                "-storepass",
                PASSWORD,
                "-alias",
                ALIAS,
                "-keyalg",
                "EC",
                "-validity",
                "30",
                "-dname",
                "CN=kube-apiserver-kubelet-client");
        try {
            KeyStore entries = KeyStore.getInstance(store.toFile(), PASSWORD.toCharArray());
            Files.writeString(
                    certificate,
                    pem("CERTIFICATE", entries.getCertificate(ALIAS).getEncoded()));
            Files.writeString(
                    key,
                    pem(
                            "PRIVATE KEY",
                            entries.getKey(ALIAS, PASSWORD.toCharArray()).getEncoded()));
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException("keytool wrote a store that the JDK cannot read", e);
        }
        Files.delete(store);
        return new ClientCertificate(certificate, key);
    }

    private static String pem(String label, byte[] der) {
        String body = Base64.getMimeEncoder(PEM_LINE, new byte[] {'\n'}).encodeToString(der);
        return "-----BEGIN " + label + "-----\n" + body + "\n-----END " + label + "-----\n";
    }
}
