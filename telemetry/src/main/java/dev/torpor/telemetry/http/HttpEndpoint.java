package dev.torpor.telemetry.http;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.HttpURLConnection;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Serves {@code GET /livez}, {@code /readyz} (200, or 503 with the checks that fail) and {@code /metrics} on one port of
 * all addresses, until closed.
 */
public final class HttpEndpoint implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(HttpEndpoint.class);
    private static final String TEXT = "text/plain; charset=utf-8";
    private static final String PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8";

    private final HttpServer server;
    private final ExecutorService executor;

    private HttpEndpoint(HttpServer server, ExecutorService executor) {
        this.server = server;
        this.executor = executor;
    }

    /**
     * Begins to serve.
     *
     * @param port where; 0 takes a free one
     * @param live whether the process should go on
     * @param ready whether it does its work
     * @param metrics writes all metrics as Prometheus' text format 0.0.4
     * @throws IOException if the port cannot be had
     */
    public static HttpEndpoint start(int port, Health live, Health ready, Supplier<String> metrics) throws IOException {
        limitClients();
        HttpServer server;
        try {
            server = HttpServer.create(new InetSocketAddress(port), 0);
        } catch (IOException e) {
            throw new IOException("cannot serve HTTP on port " + port + ": " + e.getMessage(), e);
        }
        // Virtual threads: a client that is slow costs nobody else.
        ExecutorService executor = Executors.newThreadPerTaskExecutor(
                Thread.ofVirtual().name("http-", 0).factory());
        server.setExecutor(executor);
        server.createContext("/", exchange -> {
            try (exchange) {
                serve(exchange, live, ready, metrics);
            }
        });
        server.start();
        LOG.info("health and metrics are served on port {}", server.getAddress().getPort());
        return new HttpEndpoint(server, executor);
    }

    // The JDK's server takes these from properties only, at its first use: seconds for a request to be read whole, and
    // for an answer; connections at a time. Anybody in the pod network may connect.
    private static void limitClients() {
        System.setProperty("sun.net.httpserver.maxReqTime", "10");
        System.setProperty("sun.net.httpserver.maxRspTime", "10");
        System.setProperty("jdk.httpserver.maxConnections", "64");
    }

    /** Returns the port that is served. */
    public int port() {
        return server.getAddress().getPort();
    }

    private static void serve(HttpExchange exchange, Health live, Health ready, Supplier<String> metrics)
            throws IOException {
        if (!exchange.getRequestMethod().equals("GET")) {
            exchange.getResponseHeaders().set("Allow", "GET");
            send(exchange, HttpURLConnection.HTTP_BAD_METHOD, TEXT, "only GET is served here\n");
            return;
        }
        switch (exchange.getRequestURI().getPath()) {
            case "/livez" -> send(exchange, live.report());
            case "/readyz" -> send(exchange, ready.report());
            case "/metrics" -> {
                try {
                    send(exchange, HttpURLConnection.HTTP_OK, PROMETHEUS, metrics.get());
                } catch (RuntimeException e) {
                    LOG.error("the metrics cannot be written", e);
                    send(exchange, HttpURLConnection.HTTP_INTERNAL_ERROR, TEXT, "see the log\n");
                }
            }
            default -> send(exchange, HttpURLConnection.HTTP_NOT_FOUND, TEXT, "there are /livez, /readyz, /metrics\n");
        }
    }

    private static void send(HttpExchange exchange, Health.Report report) throws IOException {
        int code = report.healthy() ? HttpURLConnection.HTTP_OK : HttpURLConnection.HTTP_UNAVAILABLE;
        send(exchange, code, TEXT, report.text());
    }

    private static void send(HttpExchange exchange, int code, String type, String text) throws IOException {
        byte[] body = text.getBytes(StandardCharsets.UTF_8);
        exchange.getResponseHeaders().set("Content-Type", type);
        exchange.sendResponseHeaders(code, body.length == 0 ? -1 : body.length);
        exchange.getResponseBody().write(body);
    }

    @Override
    public void close() {
        server.stop(0);
        executor.shutdownNow();
    }
}
