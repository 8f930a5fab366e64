import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpsConfigurator;
import com.sun.net.httpserver.HttpsServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.util.Map;
import java.util.concurrent.Executors;
import java.util.regex.Pattern;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;

/**
 * Answers as an API server would that has next to nothing, for the run in which an image's JVM learns what classes its
 * program loads. It is no API server and proves nothing: what it is asked is not checked, what it is sent is sent back.
 *
 * <p>Arguments: key store (PKCS12, password "training"), file to write the port to.
 */
public final class TrainingApi {
    private static final Pattern COLLECTION = Pattern.compile("/(?:api/[^/]+|apis/[^/]+/[^/]+)(?:/namespaces/[^/]+)?/([^/]+)");

    /** One object for each kind that the programs act on; all others are not there. */
    private static final Map<String, String> ITEMS = Map.of(
            "vmsnapshots", item("VMSnapshot", "{\"vmName\":\"training\",\"mode\":\"Save\"}"),
            "vmrestores", item("VMRestore", "{\"snapshotName\":\"training\"}"));

    private static final String MAY_ALL = """
            {"kind":"SelfSubjectRulesReview","apiVersion":"authorization.k8s.io/v1","metadata":{},"spec":{},
             "status":{"incomplete":false,"nonResourceRules":[],
              "resourceRules":[{"verbs":["*"],"apiGroups":["*"],"resources":["*"]}]}}""";

    private TrainingApi() {}

    public static void main(String[] arguments) throws Exception {
        char[] password = "training".toCharArray();
        KeyStore keys = KeyStore.getInstance(Path.of(arguments[0]).toFile(), password);
        KeyManagerFactory own = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        own.init(keys, password);
        SSLContext tls = SSLContext.getInstance("TLS");
        tls.init(own.getKeyManagers(), null, null);
        HttpsServer server = HttpsServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.setHttpsConfigurator(new HttpsConfigurator(tls));
        server.setExecutor(Executors.newVirtualThreadPerTaskExecutor());
        server.createContext("/", TrainingApi::answer);
        server.start();
        Path port = Path.of(arguments[1]);
        Path draft = port.resolveSibling("port.new");
        Files.writeString(draft, Integer.toString(server.getAddress().getPort()));
        Files.move(draft, port);
    }

    private static void answer(HttpExchange exchange) throws IOException {
        String query = String.valueOf(exchange.getRequestURI().getQuery());
        var collection = COLLECTION.matcher(exchange.getRequestURI().getPath());
        byte[] sent = exchange.getRequestBody().readAllBytes();
        if (collection.matches() && collection.group(1).equals("selfsubjectrulesreviews")) {
            respond(exchange, 201, MAY_ALL);
        } else if (!exchange.getRequestMethod().equals("GET")) {
            respond(exchange, 200, echo(new String(sent, StandardCharsets.UTF_8)));
        } else if (exchange.getRequestHeaders().containsKey("Upgrade")) {
            // No WebSockets here: the client takes 200 for that, and watches by plain HTTP.
            exchange.sendResponseHeaders(200, -1);
            exchange.close();
        } else if (query.contains("watch=true")) {
            // Held open without a word, until the program ends.
            exchange.getResponseHeaders().set("Content-Type", "application/json");
            exchange.sendResponseHeaders(200, 0);
            exchange.getResponseBody().flush();
        } else if (collection.matches()) {
            respond(exchange, 200, list(collection.group(1)));
        } else {
            respond(exchange, 404, """
                    {"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"not found",
                     "reason":"NotFound","code":404}""");
        }
    }

    private static String list(String resource) {
        return """
                {"kind":"List","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[%s]}"""
                .formatted(ITEMS.getOrDefault(resource, ""));
    }

    private static String item(String kind, String spec) {
        return """
                {"apiVersion":"torpor.dev/v1alpha1","kind":"%s","metadata":{"name":"training","namespace":"default",
                 "uid":"00000000-0000-4000-8000-000000000000","resourceVersion":"1","generation":1,
                 "creationTimestamp":"2026-01-01T00:00:00Z","finalizers":["torpor.dev/image"]},
                 "spec":%s,"status":{"nodeName":"training"}}""".formatted(kind, spec);
    }

    private static String echo(String object) {
        return object.replaceFirst("\"metadata\":\\{", """
                "metadata":{"uid":"00000000-0000-4000-8000-000000000001","resourceVersion":"2",""");
    }

    private static void respond(HttpExchange exchange, int code, String text) throws IOException {
        byte[] body = text.getBytes(StandardCharsets.UTF_8);
        exchange.getResponseHeaders().set("Content-Type", "application/json");
        exchange.sendResponseHeaders(code, body.length);
        try (var out = exchange.getResponseBody()) {
            out.write(body);
        }
    }
}
