package dev.torpor.agent.image;

import java.util.Locale;
import java.util.OptionalInt;

/**
 * How QEMU compresses what it sends over its channels (multifd-compression of qapi/migration.json).
 *
 * @param method the method
 * @param level how hard it tries; empty leaves that to QEMU. Of no account to whoever reads it
 */
public record Compression(Method method, OptionalInt level) {
    /** Nothing is compressed. */
    public static final Compression NONE = new Compression(Method.NONE, OptionalInt.empty());

    /** The methods, with the levels that QEMU takes. */
    public enum Method {
        NONE(0),
        ZLIB(9),
        ZSTD(20);

        private final int levelMax;

        Method(int levelMax) {
            this.levelMax = levelMax;
        }

        /** Returns the highest level; the lowest is 0. */
        public int levelMax() {
            return levelMax;
        }

        /** Returns QEMU's word for it. */
        public String word() {
            return name().toLowerCase(Locale.ROOT);
        }
    }
}
