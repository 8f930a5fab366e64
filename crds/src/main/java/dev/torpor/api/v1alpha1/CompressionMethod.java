package dev.torpor.api.v1alpha1;

/** How QEMU compresses what it saves. */
public enum CompressionMethod {
    /** Not at all. */
    None,
    /** With zlib; slow. */
    Zlib,
    /** With Zstandard. */
    Zstd
}
