/* Starts the Java program that this file is named after: there is no shell in the image that could do it.
 * /usr/bin/<program> becomes java @/opt/torpor/<program>.args <arguments>. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int count, char **arguments) {
    const char *slash = strrchr(arguments[0], '/');
    char options[256];
    char **all = calloc((size_t)count + 2, sizeof *all);
    if (all == NULL) return 1;
    snprintf(options, sizeof options, "@/opt/torpor/%s.args", slash == NULL ? arguments[0] : slash + 1);
    all[0] = "/opt/java/bin/java";
    all[1] = options;
    memcpy(all + 2, arguments + 1, (size_t)count * sizeof *all); /* with the NULL at the end */
    execv(all[0], all);
    fprintf(stderr, "%s: cannot start %s: %s\n", arguments[0], all[0], strerror(errno));
    return 127;
}
