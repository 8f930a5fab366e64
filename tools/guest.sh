#!/usr/bin/env bash
# Makes the guest that the tests and the demo save and restore, and prints the folder it is in: vmlinuz (Debian's cloud
# kernel, downloaded but never installed) and initrd.gz, whose init prints "tick N nonce UUID" each second. The nonce is
# made at boot and lives only in RAM, so a guest that was booted anew cannot pass for one that was restored.
#
# Kernel command line: torpor.fill=MIB has the guest keep that much random data and check it at each tick ("md5 ok").
# Kept in $TORPOR_CACHE (default ~/.cache/torpor), one folder for each version of this script.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
say() { printf 'torpor: %s\n' "$*" >&2; }

out=${TORPOR_CACHE:-$HOME/.cache/torpor}/guest-$(sha256sum "$here/guest.sh" | cut -c1-12)
mkdir -p "$out"
exec 9>"$out/.lock"
flock 9
if [ -f "$out/vmlinuz" ] && [ -f "$out/initrd.gz" ]; then
  echo "$out"
  exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
package=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null | sed -nE 's/.*Depends: (linux-image-[0-9].*-cloud-amd64)$/\1/p' | head -n 1)
if [ -z "$package" ]; then
  say "updating the package lists to find the cloud kernel"
  apt-get update -qq
  package=$(apt-cache depends linux-image-cloud-amd64 | sed -nE 's/.*Depends: (linux-image-[0-9].*-cloud-amd64)$/\1/p' | head -n 1)
fi
[ -n "$package" ] || { say "no package linux-image-cloud-amd64: is the suite bookworm configured?"; exit 1; }
say "fetching the guest's kernel ($package)"
apt-get download -qq "$package" >&2
dpkg -x "$package"*.deb kernel
cp kernel/boot/vmlinuz-* "$out/.vmlinuz.new"

mkdir -p root/{bin,dev,proc,sys,data}
cp /bin/busybox root/bin/busybox
cat >root/init <<'INIT'
#!/bin/busybox sh
B=/bin/busybox
$B mount -t proc proc /proc
$B mount -t sysfs sys /sys
$B mount -t devtmpfs dev /dev
$B mount -t tmpfs -o size=90% data /data
exec >/dev/ttyS0 2>&1
read -r nonce </proc/sys/kernel/random/uuid
read -r line </proc/cmdline
fill=0
for word in $line; do
  case $word in torpor.fill=*) fill=${word#torpor.fill=} ;; esac
done
if [ "$fill" -gt 0 ]; then
  $B dd if=/dev/urandom of=/data/random bs=1M count="$fill" 2>/dev/null
  sum=$($B md5sum /data/random)
fi
n=0
while :; do
  n=$((n + 1))
  check=
  if [ "$fill" -gt 0 ]; then
    [ "$($B md5sum /data/random)" = "$sum" ] && check=' md5 ok' || check=' md5 WRONG'
  fi
  echo "tick $n nonce $nonce$check"
  $B sleep 1
done
INIT
chmod 755 root/init
(cd root && find . -print0 | LC_ALL=C sort -z | cpio --null --quiet -o -H newc --owner 0:0 | gzip -9n) >"$out/.initrd.new"
mv "$out/.initrd.new" "$out/initrd.gz"
mv "$out/.vmlinuz.new" "$out/vmlinuz"
echo "$out"
