package dev.torpor.e2e.cluster;

import java.io.IOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** A folder's tree that others change while it is read: {@link Files#walk} fails at an entry that goes in the middle. */
public final class LiveTree {
    private LiveTree() {}

    /** Returns the regular files that were seen, none if there is no such folder. */
    public static List<Path> files(Path root) throws IOException {
        Seen seen = new Seen();
        Files.walkFileTree(root, seen);
        return seen.files;
    }

    /** Returns the folders that were seen, the root first, none if there is no such folder. */
    public static List<Path> folders(Path root) throws IOException {
        Seen seen = new Seen();
        Files.walkFileTree(root, seen);
        return seen.folders;
    }

    /** Deletes a tree, sockets included; fails if somebody changes it meanwhile. */
    static void delete(Path root) throws IOException {
        Files.walkFileTree(root, new SimpleFileVisitor<>() {
            @Override
            public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) throws IOException {
                Files.delete(file);
                return FileVisitResult.CONTINUE;
            }

            @Override
            public FileVisitResult postVisitDirectory(Path folder, @Nullable IOException failure) throws IOException {
                if (failure != null) {
                    throw failure;
                }
                Files.delete(folder);
                return FileVisitResult.CONTINUE;
            }
        });
    }

    private static final class Seen extends SimpleFileVisitor<Path> {
        private final List<Path> files = new ArrayList<>();
        private final List<Path> folders = new ArrayList<>();

        @Override
        public FileVisitResult preVisitDirectory(Path folder, BasicFileAttributes attributes) {
            folders.add(folder);
            return FileVisitResult.CONTINUE;
        }

        @Override
        public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) {
            if (attributes.isRegularFile()) {
                files.add(file);
            }
            return FileVisitResult.CONTINUE;
        }

        @Override
        public FileVisitResult visitFileFailed(Path file, IOException failure) throws IOException {
            if (failure instanceof NoSuchFileException) {
                return FileVisitResult.CONTINUE;
            }
            throw failure;
        }

        @Override
        public FileVisitResult postVisitDirectory(Path folder, @Nullable IOException failure) throws IOException {
            if (failure == null || failure instanceof NoSuchFileException) {
                return FileVisitResult.CONTINUE;
            }
            throw failure;
        }
    }
}
