package dev.torpor.e2e.cluster;

import dev.torpor.e2e.tree.WorkTree;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.spi.ToolProvider;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * Archives of loaded classes (the JVM's AOT caches) for programs of ours that tests start by the hundred, as our images have
 * them. With one an agent takes 2.4 s of the processor until it is at work, without it 4.0. They are made once for a build.
 */
public final class ClassArchives {
    /** An archive is good for JVMs with the options that it was made with, and stays where it was made for. */
    private static final List<String> OPTIONS = List.of(
            "-XX:+UseSerialGC",
            "-XX:+UseCompactObjectHeaders",
            "-XX:TieredStopAtLevel=1",
            "-XX:+UnlockDiagnosticVMOptions",
            "-XX:ArchiveRelocationMode=0");

    /** Something that starts each of the programs, and ends it as one ends that may write its archive. */
    @FunctionalInterface
    public interface Training {
        void run() throws IOException;
    }

    private final Path folder = WorkTree.root().resolve("e2e/target/class-archives");
    private final List<String> directories;
    private final List<String> jars;
    private boolean asked;
    private boolean training;

    public ClassArchives() {
        var entries = Arrays.stream(System.getProperty("java.class.path").split(":", -1))
                .collect(Collectors.partitioningBy(entry -> Files.isDirectory(Path.of(entry))));
        directories = entries.getOrDefault(true, List.of());
        jars = entries.getOrDefault(false, List.of());
    }

    /** Returns the JVM's options, class path included, for a program that is started now. */
    public synchronized List<String> options(String main) {
        List<String> options = new ArrayList<>(OPTIONS);
        Path archive = folder.resolve(main + ".aot");
        if (training) {
            options.add("-XX:AOTCacheOutput=" + archive);
        } else if (Files.exists(archive) && isMade()) {
            options.add("-XX:AOTCache=" + archive);
        } else {
            options.addAll(List.of("-cp", System.getProperty("java.class.path")));
            return options;
        }
        // No archive is made of classes that lie in a folder.
        options.addAll(List.of("-cp", String.join(":", jars) + ":" + folder.resolve("folders.jar")));
        return options;
    }

    /** Makes the archives, unless they are there or another JVM is about it: programs start without them, too. */
    public synchronized void make(Training programs) throws IOException {
        if (asked) {
            return;
        }
        asked = true;
        Files.createDirectories(folder);
        try (FileChannel lock =
                        FileChannel.open(folder.resolve("lock"), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
                FileLock held = lock.tryLock()) {
            if (held == null || isMade()) {
                return;
            }
            Files.deleteIfExists(madeOf());
            packFolders();
            training = true;
            programs.run();
            Files.writeString(madeOf(), classPath());
        } finally {
            training = false;
        }
    }

    private boolean isMade() {
        try {
            return Files.exists(madeOf()) && Files.readString(madeOf()).equals(classPath());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private Path madeOf() {
        return folder.resolve("made-of");
    }

    /** What the archives depend on: the JVM, and each file of the class path. */
    private String classPath() throws IOException {
        StringBuilder all = new StringBuilder(System.getProperty("java.vm.version")).append('\n');
        for (String jar : jars) {
            all.append(state(Path.of(jar)));
        }
        for (String directory : directories) {
            try (Stream<Path> files = Files.walk(Path.of(directory))) {
                for (Path file : files.filter(Files::isRegularFile).sorted().toList()) {
                    all.append(state(file));
                }
            }
        }
        return all.toString();
    }

    private static String state(Path file) throws IOException {
        return file + " " + Files.size(file) + " " + Files.getLastModifiedTime(file) + "\n";
    }

    private void packFolders() {
        List<String> arguments = new ArrayList<>(
                List.of("--create", "--file", folder.resolve("folders.jar").toString()));
        for (String directory : directories) {
            arguments.addAll(List.of("-C", directory, "."));
        }
        StringWriter said = new StringWriter();
        PrintWriter writer = new PrintWriter(said);
        int code = ToolProvider.findFirst("jar").orElseThrow().run(writer, writer, arguments.toArray(String[]::new));
        if (code != 0) {
            throw new IllegalStateException("jar " + String.join(" ", arguments) + " ended with " + code + ": " + said);
        }
    }
}
