#!/usr/bin/env bash
# Makes an older QEMU beside the installed one, and prints its command: that of Debian 12 (7.2, which has no mapped-ram),
# downloaded and unpacked, never installed. Its libraries and firmware are those of the installed packages.
# Kept in $TORPOR_CACHE (default ~/.cache/torpor), one folder for each version of this script.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
say() { printf 'torpor: %s\n' "$*" >&2; }

out=${TORPOR_CACHE:-$HOME/.cache/torpor}/qemu-old-$(sha256sum "$here/qemu-old.sh" | cut -c1-12)
mkdir -p "$out"
exec 9>"$out/.lock"
flock 9
if [ ! -x "$out/qemu-system-x86_64" ]; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  cd "$work"
  say "fetching QEMU of Debian 12"
  apt-get download -qq qemu-system-x86/bookworm qemu-system-common/bookworm qemu-system-data/bookworm >&2 ||
    { apt-get update -qq && apt-get download -qq qemu-system-x86/bookworm qemu-system-common/bookworm qemu-system-data/bookworm >&2; }
  rm -rf "$out/root"
  for deb in ./*.deb; do
    dpkg -x "$deb" "$out/root"
  done
  # Its own files first; firmware that comes in packages of its own is where those put it.
  cat >"$out/.command" <<COMMAND
#!/bin/sh
exec "$out/root/usr/bin/qemu-system-x86_64" -L "$out/root/usr/share/qemu" -L /usr/share/seabios -L /usr/share/qemu -L /usr/lib/ipxe/qemu "\$@"
COMMAND
  chmod 755 "$out/.command"
  "$out/.command" --version | grep -q 'version 7\.' || { say "what was fetched is not QEMU 7"; exit 1; }
  mv "$out/.command" "$out/qemu-system-x86_64"
fi
echo "$out/qemu-system-x86_64"
