#!/usr/bin/env bash
# Packs torpor-vm-libvirt:local, in which a libvirt (libvirt.sh) starts this machine's QEMU, for tests, and prints the archive's path.
# It is the layer of torpor-vm:local (images.sh) and one of libvirt's.
# Kept in $TORPOR_CACHE (default ~/.cache/torpor), one folder for each set of inputs.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tools/images/pack.sh
source "$here/pack.sh"
from=$(dirname "$("$here/../libvirt.sh")")
vm=$("$here/../images.sh")/vm.tar
inputs=$( (basename "$from"; basename "$(dirname "$(readlink -f "$vm")")"; cat "$here"/{libvirt.sh,pack.sh}) | sha256sum | cut -c1-12)
out=${TORPOR_CACHE:-$HOME/.cache/torpor}/image-libvirt-$inputs
mkdir -p "$out"
exec 9>"$out/.lock"
flock 9
if [ ! -f "$out/libvirt.tar" ]; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  files=(usr/sbin/libvirtd usr/bin/virsh usr/lib/x86_64-linux-gnu/libvirt/connection-driver/libvirt_driver_qemu.so)
  # They are found where the packages have them: laid over this machine's.
  mapfile -t needed < <(unshare --mount --propagation private "$from/inside" ldd "${files[@]/#//}" |
    grep -oE '/[^ ]+\.so[^ ]* \(' | sed 's/ ($//' | sort -u)
  # shellcheck disable=SC2016
  unshare --mount --propagation private "$from/inside" \
    sh -c 'root=$1; shift; for file in "$@"; do install -D "$file" "$root$file"; done' sh "$work/root" "${files[@]/#//}" "${needed[@]}"
  mkdir -p "$work"/root/{etc,var,usr/share}
  ln -s /run "$work/root/var/run"
  cp -r "$from/root/usr/share/libvirt" "$work/root/usr/share/"
  cp "$from"/{passwd,group} "$work/root/etc/"
  archive "$work/root" "$work/libvirt.layer"
  tar -xOf "$vm" ./layer1.tar >"$work/vm.layer"
  pack vm-libvirt '"Env":["PATH=/usr/sbin:/usr/bin:/bin"],"Entrypoint":null' "$out/libvirt.tar" "$work/vm.layer" "$work/libvirt.layer"
fi
echo "$out/libvirt.tar"
