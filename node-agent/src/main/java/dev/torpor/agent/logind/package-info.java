/**
 * The logind of the host, over its D-Bus: holds back a shutdown of the node for a while, and hears of one. The only package
 * that knows D-Bus, by dbus-java; its transport there is ours, as that of the library cannot take descriptors, or brings a
 * native library of its own. It knows nothing of VMs.
 */
@NullMarked
package dev.torpor.agent.logind;

import org.jspecify.annotations.NullMarked;
