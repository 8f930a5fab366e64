/** Tests of status writing, and a fake writer for servers that know no server-side apply. */
@NullMarked
package dev.torpor.api.status;

import org.jspecify.annotations.NullMarked;
