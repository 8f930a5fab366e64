#!/usr/bin/env bash
# Makes a real libvirt 11.3 (of Debian's backports), and prints a virsh command with the QEMU driver in its own process:
# `virsh -c qemu:///embed?root=DIR`. Beside it is `libvirtd`, the daemon. Packages are downloaded and unpacked, never
# installed; the commands run in mount namespaces of their own, in which the unpacked files are laid over /usr. As root. Its
# QEMU is the installed one.
# Kept in $TORPOR_CACHE (default ~/.cache/torpor), one folder for each version of this script.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
say() { printf 'torpor: %s\n' "$*" >&2; }

packages=(libvirt-clients/bookworm-backports libvirt-common/bookworm-backports libvirt-daemon/bookworm-backports
  libvirt-daemon-common/bookworm-backports
  libvirt-daemon-driver-qemu/bookworm-backports libvirt0/bookworm-backports libssh-4/bookworm)
out=${TORPOR_CACHE:-$HOME/.cache/torpor}/libvirt-$(sha256sum "$here/libvirt.sh" | cut -c1-12)
mkdir -p "$out"
exec 9>"$out/.lock"
flock 9
if [ ! -x "$out/virsh" ]; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  cd "$work"
  say "fetching libvirt of Debian's backports"
  apt-get download -qq "${packages[@]}" >&2 || { apt-get update -qq && apt-get download -qq "${packages[@]}" >&2; }
  rm -rf "$out/root"
  for deb in ./*.deb; do
    dpkg -x "$deb" "$out/root"
  done
  # The driver looks its user up even where its configuration names another.
  { cat /etc/passwd; echo 'libvirt-qemu:x:64055:64055::/:/usr/sbin/nologin'; } >"$out/passwd"
  { cat /etc/group; echo 'libvirt-qemu:x:64055:'; } >"$out/group"
  cat >"$out/inside" <<INSIDE
#!/bin/sh
set -e
mount -t overlay overlay -o lowerdir="$out/root/usr":/usr /usr
mount --bind "$out/passwd" /etc/passwd
mount --bind "$out/group" /etc/group
# This folder may be the first one on the path.
PATH=/usr/sbin:/usr/bin:/sbin:/bin exec "\$@"
INSIDE
  for command in libvirtd .virsh; do
    cat >"$out/$command" <<COMMAND
#!/bin/sh
exec unshare --mount --propagation private "$out/inside" ${command#.} "\$@"
COMMAND
    chmod 755 "$out/inside" "$out/$command"
  done
  "$out/.virsh" --version | grep -q '^11\.' || { say "what was fetched is not libvirt 11"; exit 1; }
  "$out/libvirtd" --version | grep -q ' 11\.' || { say "its daemon is not libvirt 11"; exit 1; }
  mv "$out/.virsh" "$out/virsh"
fi
echo "$out/virsh"
