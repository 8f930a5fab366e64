/** What is to be done before Torpor is uninstalled: VMs that only it can start again must not be left asleep. */
@NullMarked
package dev.torpor.operator.uninstall;

import org.jspecify.annotations.NullMarked;
