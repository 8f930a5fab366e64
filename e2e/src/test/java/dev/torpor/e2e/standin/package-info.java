/** Tests on a control plane and stand-ins for kubelets, with real VMs. */
@NullMarked
package dev.torpor.e2e.standin;

import org.jspecify.annotations.NullMarked;
