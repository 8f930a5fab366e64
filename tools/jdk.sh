#!/usr/bin/env bash
# Prints the home of a JDK 25, or says what is missing. Looks at $JAVA_HOME, the PATH, then where packages put JDKs.
set -euo pipefail
is25() { [ -x "$1/bin/javac" ] && "$1/bin/javac" -version 2>&1 | grep -q '^javac 25\b'; }
candidates=("${JAVA_HOME:-}")
if javac=$(command -v javac); then candidates+=("$(dirname "$(dirname "$(readlink -f "$javac")")")"); fi
for d in /usr/lib/jvm/*25* /opt/java/* /opt/jdk* "$HOME"/.sdkman/candidates/java/25*; do candidates+=("$d"); done
for d in "${candidates[@]}"; do
  if [ -n "$d" ] && is25 "$d"; then
    echo "$d"
    exit 0
  fi
done
echo "torpor: JDK 25 is missing: install one (for example Temurin 25) or set JAVA_HOME to its folder" >&2
exit 1
