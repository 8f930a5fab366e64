/** What of the host below the kubelet tests need: its bus, and who shuts it down. */
@org.jspecify.annotations.NullMarked
package dev.torpor.e2e.host;
