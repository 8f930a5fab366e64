/**
 * The image of a VM and the store that keeps images: file format, commit protocol, checks, states. Imports {@code linux}
 * and failures; knows nothing of QMP, engines or Kubernetes. The format is described for users in
 * docs/image-format.md.
 *
 * <pre>
 *  create ──► Partial ──commit──► Complete ──► Verified
 *                │                    │  └──────────┤
 *             abandon                 ├─► Stale ◄───┤
 *                ▼                    ▼             │
 *            (nothing)           HandedOver ◄───────┘ ──► Consumed (file removed, record kept)
 * </pre>
 */
@NullMarked
package dev.torpor.agent.image;

import org.jspecify.annotations.NullMarked;
