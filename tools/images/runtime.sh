#!/usr/bin/env bash
# Makes what operator and agent run on, and prints the folder it is in: root/, and layer.tar of the same. It is a Java
# runtime of the modules below in /opt/java, this machine's libc, and the few files of /etc that libc reads; no shell,
# no package manager. Kept in $TORPOR_CACHE (default ~/.cache/torpor), one folder for each set of inputs.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tools/images/pack.sh
source "$here/pack.sh"
JAVA_HOME=$("$here/../jdk.sh")

# What the classes of ours and of the libraries use at run time; jdk.security.auth is for dbus-java alone, which asks it
# for the user's number. java.xml reads the definitions of libvirt's domains.
# Left out on purpose: java.desktop and java.sql, for which Jackson and SnakeYAML look and do without; java.compiler, for generators of the framework.
modules=java.base,java.logging,java.management,java.naming,java.net.http,java.xml,jdk.httpserver,jdk.management,jdk.security.auth,jdk.unsupported
loader=/lib64/ld-linux-x86-64.so.2
# Those that the runtime's libraries are linked with; the resolver of libc 2.34 and later is in libc itself.
libraries=(/lib/x86_64-linux-gnu/lib{c,m,dl,pthread,rt}.so.{6,2,0,1})

present=()
for f in "${libraries[@]}"; do [ ! -e "$f" ] || present+=("$f"); done
key=$( (cat "$JAVA_HOME/release" "$here/runtime.sh" "$here/pack.sh" "$here/start.c" "$loader" "${present[@]}"
  cat "$JAVA_HOME/lib/security/cacerts") | sha256sum | cut -c1-12)
out=${TORPOR_CACHE:-$HOME/.cache/torpor}/runtime-$key
mkdir -p "$out"
exec 9>"$out/.lock"
flock 9
if [ -f "$out/layer.tar" ]; then
  echo "$out"
  exit 0
fi

say "linking a Java runtime of ${modules//,/, }"
rm -rf "$out/root"
mkdir -p "$out"/root/{dev,etc,lib64,opt,proc,run,sys,tmp,usr/bin,lib/x86_64-linux-gnu}
"$JAVA_HOME/bin/jlink" --add-modules "$modules" --strip-debug --no-header-files --no-man-pages --compress=zip-6 \
  --output "$out/root/opt/java" >&2
# Of the programs only the JVM's launcher is of use.
find "$out/root/opt/java/bin" -type f ! -name java -delete
install -m 755 "$loader" "$out/root/lib64/"
install -m 755 "${present[@]}" "$out/root/lib/x86_64-linux-gnu/"
gcc -O1 -Wall -Werror -o "$out/root/usr/bin/start" "$here/start.c"
cat >"$out/root/etc/passwd" <<'PASSWD'
root:x:0:0:root:/:/nologin
torpor:x:65532:65532:torpor:/:/nologin
PASSWD
printf 'root:x:0:\ntorpor:x:65532:\n' >"$out/root/etc/group"
echo 'hosts: files dns' >"$out/root/etc/nsswitch.conf"
chmod -R u+w,go-w,a+rX "$out/root"
chmod 1777 "$out/root/tmp"
find "$out/root" -exec touch --no-dereference --date="@$image_epoch" {} +
archive "$out/root" "$out/.layer.new"
mv "$out/.layer.new" "$out/layer.tar"
echo "$out"
