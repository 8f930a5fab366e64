#!/usr/bin/env bash
# Installs the Debian packages that the tests and the demo need, if they are missing. Debian 12, as root.
# QEMU comes from bookworm-backports (10.x): mapped-ram needs 9.0, direct-io 9.1. Its apt entry is the
# machine's own bookworm entry with another suite, so that whichever mirror the machine uses is used here too.
set -euo pipefail

say() { printf 'torpor: %s\n' "$*" >&2; }

backported=(qemu-system-x86 qemu-utils)
plain=(btrfs-progs busybox-static bzip2 containerd containernetworking-plugins cpio dbus-daemon fio iptables iproute2 libcurl3-gnutls make runc strace systemd
  xz-utils zstd gcc libc6-dev)

missing=()
for p in "${plain[@]}"; do
  dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$p")
done
qemu_major() { qemu-system-x86_64 --version 2>/dev/null | sed -nE '1s/.*version ([0-9]+)\..*/\1/p'; }
need_qemu=no
[ "$(qemu_major || true)" ] && [ "$(qemu_major)" -ge 10 ] || need_qemu=yes

if [ ${#missing[@]} -eq 0 ] && [ "$need_qemu" = no ]; then
  exit 0
fi
if [ "$(id -u)" != 0 ]; then
  say "must be root to install: ${missing[*]} ${backported[*]}"
  exit 1
fi

export DEBIAN_FRONTEND=noninteractive
backports=/etc/apt/sources.list.d/torpor-backports.sources
if [ "$need_qemu" = yes ] && ! apt-cache policy qemu-system-x86 2>/dev/null | grep -q bookworm-backports; then
  say "adding the suite bookworm-backports for QEMU 10"
  if [ -f /etc/apt/sources.list.d/debian.sources ]; then
    # First stanza, suite replaced, components kept.
    awk 'BEGIN{RS=""} /Suites:.*bookworm/ && !/security/ {print; exit}' /etc/apt/sources.list.d/debian.sources |
      sed -E 's/^Suites:.*/Suites: bookworm-backports/' >"$backports"
  else
    sed -nE 's/^(deb .*) bookworm( main.*)$/\1 bookworm-backports\2/p' /etc/apt/sources.list | head -n 1 \
      >"${backports%.sources}.list"
  fi
fi
say "installing Debian packages: ${missing[*]}$([ "$need_qemu" = yes ] && echo " ${backported[*]} (backports)")"
apt-get update -qq
# Services must not start on a build machine: the tests start their own containerd under their own directory.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
  trap 'rm -f "$policy"' EXIT
fi
[ ${#missing[@]} -eq 0 ] || apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null
[ "$need_qemu" = no ] ||
  apt-get install -qq -y --no-install-recommends -t bookworm-backports "${backported[@]}" >/dev/null
say "$(qemu-system-x86_64 --version | head -n 1)"
