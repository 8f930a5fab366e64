#!/usr/bin/env bash
# Makes the guest that the tests and the demo save and restore, and prints the folder it is in: vmlinuz (Debian's cloud
# kernel, downloaded but never installed) and initrd.gz, whose init prints "tick N nonce UUID" each second. The nonce is
# made at boot and lives only in RAM, so a guest that was booted anew cannot pass for one that was restored.
#
# Kernel command line: torpor.fill=MIB has the guest keep that much random data and check it at each tick ("md5 ok").
# torpor.disk=1 has it keep a line on its virtio disk and read it back at each tick ("disk ok").
# torpor.agent=1, with initrd-agent.gz, has it run Debian's qemu-ga on its first virtio port, whose hook prints "hook
# freeze" and "hook thaw", and print "clock SECONDS" (of the time of day) before each tick.
# Kept in $TORPOR_CACHE (default ~/.cache/torpor), one folder for each version of this script.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
say() { printf 'torpor: %s\n' "$*" >&2; }

out=${TORPOR_CACHE:-$HOME/.cache/torpor}/guest-$(sha256sum "$here/guest.sh" | cut -c1-12)
mkdir -p "$out"
exec 9>"$out/.lock"
flock 9
if [ -f "$out/vmlinuz" ] && [ -f "$out/initrd.gz" ] && [ -f "$out/initrd-agent.gz" ]; then
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
say "fetching the guest's kernel ($package) and agent"
apt-get download -qq "$package" qemu-guest-agent >&2
dpkg -x "$package"*.deb kernel
dpkg -x qemu-guest-agent*.deb agent
cp kernel/boot/vmlinuz-* "$out/.vmlinuz.new"

mkdir -p root/{bin,dev,proc,sys,data,lib}
for module in virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_blk virtio_console; do
  find kernel/lib/modules -name "$module.ko" -exec cp {} root/lib/ \;
done
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
disk=0
agent=0
for word in $line; do
  case $word in torpor.fill=*) fill=${word#torpor.fill=} ;; torpor.disk=1) disk=1 ;; torpor.agent=1) agent=1 ;; esac
done
if [ "$fill" -gt 0 ]; then
  $B dd if=/dev/urandom of=/data/random bs=1M count="$fill" 2>/dev/null
  sum=$($B md5sum /data/random)
fi
keep() {
  kept="$nonce $n"
  echo "$kept" | $B dd of=/dev/vda bs=512 count=1 conv=sync,fsync,notrunc 2>/dev/null
}
n=0
if [ "$disk" -gt 0 ] || [ "$agent" -gt 0 ]; then
  for module in virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_blk virtio_console; do
    $B insmod "/lib/$module.ko"
  done
fi
if [ "$agent" -gt 0 ]; then
  until [ -c /dev/vport0p1 ]; do $B sleep 0.1; done
  qemu-ga -m virtio-serial -p /dev/vport0p1 -t /data -F/bin/hook &
fi
if [ "$disk" -gt 0 ]; then
  until [ -b /dev/vda ]; do $B sleep 0.1; done
  keep
fi
while :; do
  n=$((n + 1))
  check=
  if [ "$fill" -gt 0 ]; then
    [ "$($B md5sum /data/random)" = "$sum" ] && check=' md5 ok' || check=' md5 WRONG'
  fi
  if [ "$disk" -gt 0 ]; then
    echo 3 >/proc/sys/vm/drop_caches
    read -r found </dev/vda
    [ "$found" = "$kept" ] && check="$check disk ok" || check="$check disk WRONG"
    keep
  fi
  [ "$agent" -eq 0 ] || $B date '+clock %s'
  echo "tick $n nonce $nonce$check"
  $B sleep 1
done
INIT
chmod 755 root/init
pack() { (cd "$1" && find . -print0 | LC_ALL=C sort -z | cpio --null --quiet -o -H newc --owner 0:0 | gzip -9n); }
pack root >"$out/.initrd.new"

# The kernel unpacks archives one after the other.
mkdir -p more/{bin,sbin,lib64}
cp agent/usr/sbin/qemu-ga more/bin/
ldd more/bin/qemu-ga | sed -nE 's/.*=> (\/[^ ]+) .*/\1/p; s/^\s*(\/[^ ]+) .*/\1/p' | while read -r library; do
  case $library in
    /lib64/*) cp -L "$library" more/lib64/ ;;
    *) mkdir -p more/lib/x86_64-linux-gnu && cp -L "$library" more/lib/x86_64-linux-gnu/ ;;
  esac
done
ln -s /bin/busybox more/sbin/hwclock
cat >more/bin/hook <<'HOOK'
#!/bin/busybox sh
echo "hook $1" >/dev/ttyS0
HOOK
chmod 755 more/bin/hook
{ cat "$out/.initrd.new"; pack more; } >"$out/.initrd-agent.new"
mv "$out/.initrd-agent.new" "$out/initrd-agent.gz"
mv "$out/.initrd.new" "$out/initrd.gz"
mv "$out/.vmlinuz.new" "$out/vmlinuz"
echo "$out"
