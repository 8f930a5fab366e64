/**
 * What both controllers have to know of a VM: its pods, its recorded manifest, who is at work on it, and whether the
 * store of a node answers. Every read goes to the API server and is consistent, since admission rests on it; caches
 * only say when to look. Imports the API types and the client; knows no controller.
 */
@NullMarked
package dev.torpor.operator.vm;

import org.jspecify.annotations.NullMarked;
