#!/usr/bin/env bash
# vm.sh VERSION: packs torpor-vm-VERSION:local, what VMs of another QEMU than this machine's run in (qemu.sh), for tests, and prints
# the archive's path. Kept in $TORPOR_CACHE (default ~/.cache/torpor), one folder for each set of inputs.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tools/images/pack.sh
source "$here/pack.sh"
# shellcheck source=tools/images/root.sh
source "$here/root.sh"
version=${1:?a version}
from=$(dirname "$("$here/../qemu.sh" "$version")")
guest=$("$here/../guest.sh")
inputs=$( (basename "$from"; basename "$guest"; cat "$here"/{vm.sh,pack.sh,root.sh} /bin/busybox) | sha256sum | cut -c1-12)
out=${TORPOR_CACHE:-$HOME/.cache/torpor}/image-vm-$version-$inputs
mkdir -p "$out"
exec 9>"$out/.lock"
flock 9
if [ ! -f "$out/vm.tar" ]; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  put_busybox "$work/vm"
  # Of one release, at the places where that has them: its loader looks there by itself.
  libraries=/usr/lib/x86_64-linux-gnu
  loader=$from/root$libraries/ld-linux-x86-64.so.2
  binaries=("$from/root/usr/bin/qemu-system-x86_64" "$from/root$libraries"/qemu/accel-*.so)
  mapfile -t needed < <(for binary in "${binaries[@]}"; do
    "$loader" --library-path "$from/root$libraries:$from/root$libraries/pulseaudio" --list "$binary"
  done | grep -oE "$from/root/[^ ]+" | sort -u)
  for file in "${binaries[@]}" "${needed[@]}"; do install -D "$file" "$work/vm/${file#"$from/root/"}"; done
  install -D "$loader" "$work/vm/lib64/ld-linux-x86-64.so.2"
  for data in usr/share/qemu usr/share/seabios usr/lib/ipxe/qemu; do
    mkdir -p "$work/vm/$data"
    cp -rL "$from/root/$data/." "$work/vm/$data/"
  done
  mkdir -p "$work/vm/boot"
  cp "$guest/vmlinuz" "$guest/initrd.gz" "$work/vm/boot/"
  archive "$work/vm" "$work/layer"
  pack "vm-$version" '"Env":["PATH=/usr/bin:/bin"],"Entrypoint":null' "$out/vm.tar" "$work/layer"
fi
echo "$out/vm.tar"
