#!/usr/bin/env bash
# Packs the container images of the tests and the demo without a container engine, as archives that `ctr images import`
# and `docker load` take, and prints the folder they are in:
#   vm.tar        torpor-vm:local        this machine's QEMU, busybox, the guest's kernel and initramfs in /boot
#   launcher.tar  torpor-launcher:local  busybox, launch and install: the init container of a VM's pod
#   pause.tar     torpor-pause:local     the process that holds a pod's namespaces
# Kept in $TORPOR_CACHE (default ~/.cache/torpor), one folder for each set of inputs.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
launcher=$here/../node-agent/src/main/launcher
qemu=/usr/bin/qemu-system-x86_64
modules=/usr/lib/x86_64-linux-gnu/qemu
say() { printf 'torpor: %s\n' "$*" >&2; }

for f in "$qemu" /bin/busybox /usr/bin/gcc; do
  [ -x "$f" ] || { say "$f is missing: run tools/packages.sh"; exit 1; }
done
guest=$("$here/guest.sh")
inputs=$( (basename "$guest"; sha256sum <"$qemu"; cat "$here/images.sh" /bin/busybox "$launcher"/{launch,install}) |
  sha256sum | cut -c1-12)
out=${TORPOR_CACHE:-$HOME/.cache/torpor}/images-$inputs
mkdir -p "$out"
exec 9>"$out/.lock"
flock 9
if [ -f "$out/vm.tar" ] && [ -f "$out/launcher.tar" ] && [ -f "$out/pause.tar" ]; then
  echo "$out"
  exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The same inputs give the same bytes.
archive() { tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$1" -cf "$2" .; }

pack() { # name of the image, entrypoint as a JSON list; the root is $work/<name>
  local root=$work/$1 image=$work/$1.image layer config
  mkdir "$image"
  archive "$root" "$image/layer.tar"
  layer=$(sha256sum "$image/layer.tar" | cut -d' ' -f1)
  cat >"$work/$1.json" <<JSON
{"architecture":"amd64","os":"linux",
 "config":{"Env":["PATH=/usr/bin:/bin"],"Entrypoint":$2},
 "rootfs":{"type":"layers","diff_ids":["sha256:$layer"]}}
JSON
  config=$(sha256sum "$work/$1.json" | cut -d' ' -f1).json
  mv "$work/$1.json" "$image/$config"
  echo "[{\"Config\":\"$config\",\"RepoTags\":[\"torpor-$1:local\"],\"Layers\":[\"layer.tar\"]}]" >"$image/manifest.json"
  archive "$image" "$out/.$1.new"
  mv "$out/.$1.new" "$out/$1.tar"
  say "packed $1.tar ($(du -h "$out/$1.tar" | cut -f1))"
}

place() { # files that keep their paths in the root of $1; what a link points to is copied in its place
  local root=$work/$1
  shift
  for f in "$@"; do install -D "$f" "$root$f"; done
}

put_busybox() { # name of the image
  mkdir -p "$work/$1"/{bin,dev,proc,sys,tmp,run}
  cp /bin/busybox "$work/$1/bin/busybox"
  for applet in $(/bin/busybox --list | grep -v '^busybox$'); do ln -s busybox "$work/$1/bin/$applet"; done
}

put_busybox vm
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
pack vm null

put_busybox launcher
install -m 755 "$launcher"/{launch,install} "$work/launcher/"
pack launcher '["/install"]'

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
pack pause '["/pause"]'
echo "$out"
