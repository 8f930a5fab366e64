#!/usr/bin/env bash
# Packs the container images without a container engine or a registry, as archives that `ctr images import` and
# `docker load` take, and prints the folder they are in, target/images:
#   operator.tar  torpor-operator:local  the operator on a Java runtime of its own   } of what Maven built:
#   agent.tar     torpor-agent:local     the agent, the same                         } images/java.sh
#   launcher.tar  torpor-launcher:local  busybox, launch and install: the init container of a VM's pod
#   vm.tar        torpor-vm:local        this machine's QEMU, busybox, the guest's kernel and initramfs in /boot: for tests
#   pause.tar     torpor-pause:local     the process that holds a pod's namespaces: for tests
# The last three are links into $TORPOR_CACHE (default ~/.cache/torpor), one folder for each set of inputs.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
launcher=$here/../node-agent/src/main/launcher
qemu=/usr/bin/qemu-system-x86_64
modules=/usr/lib/x86_64-linux-gnu/qemu
# shellcheck source=tools/images/pack.sh
source "$here/images/pack.sh"
# shellcheck source=tools/images/root.sh
source "$here/images/root.sh"

for f in "$qemu" /bin/busybox /usr/bin/gcc; do
  [ -x "$f" ] || { say "$f is missing: run tools/packages.sh"; exit 1; }
done
guest=$("$here/guest.sh")
inputs=$( (basename "$guest"; sha256sum <"$qemu"; cat "$here"/{images.sh,images/pack.sh,images/root.sh} /bin/busybox "$launcher"/{launch,install}) |
  sha256sum | cut -c1-12)
out=${TORPOR_CACHE:-$HOME/.cache/torpor}/images-$inputs
mkdir -p "$out"
exec 9>"$out/.lock"
flock 9

# The images of this work tree: what is kept, beside what is packed of Maven's jars.
finish() {
  local folder
  folder=$(cd "$here/.." && pwd)/target/images
  mkdir -p "$folder"
  for name in launcher vm pause; do ln -sfn "$out/$name.tar" "$folder/$name.tar"; done
  for name in operator agent; do "$here/images/java.sh" "$name" "$folder"; done
  echo "$folder"
}

if [ -f "$out/vm.tar" ] && [ -f "$out/launcher.tar" ] && [ -f "$out/pause.tar" ]; then
  flock --unlock 9
  finish
  exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

pack_root() { # name of the image, entrypoint as a JSON list; the root is $work/<name>
  archive "$work/$1" "$work/$1.layer"
  pack "$1" "\"Env\":[\"PATH=/usr/bin:/bin\"],\"Entrypoint\":$2" "$out/$1.tar" "$work/$1.layer"
}

place() { # files that keep their paths in the root of $1; what a link points to is copied in its place
  local root=$work/$1
  shift
  for f in "$@"; do install -D "$f" "$root$f"; done
}

put_busybox "$work/vm"
binaries=("$qemu")
for m in "$modules"/accel-*.so "$modules"/hw-display-virtio-*.so; do [ ! -e "$m" ] || binaries+=("$m"); done
place vm "${binaries[@]}"
mapfile -t libraries < <(ldd "${binaries[@]}" | grep -oE '/[^ ]+\.so[^ ]* \(' | sed 's/ ($//' | sort -u)
place vm "${libraries[@]}"
# Firmware and option ROMs are links into packages of their own: seabios, ipxe.
for data in $("$qemu" -L help); do
  [ ! -d "$data" ] || { mkdir -p "$work/vm$data" && cp -rL "$data/." "$work/vm$data/"; }
done
mkdir -p "$work/vm/boot"
cp "$guest/vmlinuz" "$guest/initrd.gz" "$work/vm/boot/"
pack_root vm null

put_busybox "$work/launcher"
install -m 755 "$launcher"/{launch,install} "$work/launcher/"
pack_root launcher '["/install"]'

mkdir -p "$work/pause"
cat >"$work/pause.c" <<'C'
/* Process 1 of a pod: reaps what is left to it, ends at a signal. */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void leave(int signal) { (void)signal; _exit(0); }
static void reap(int signal) { (void)signal; while (waitpid(-1, NULL, WNOHANG) > 0) {} }

int main(void) {
    signal(SIGINT, leave);
    signal(SIGTERM, leave);
    signal(SIGCHLD, reap);
    for (;;) pause();
}
C
gcc -O1 -static -o "$work/pause/pause" "$work/pause.c"
pack_root pause '["/pause"]'
flock --unlock 9
finish
