#!/usr/bin/env bash
# qemu.sh VERSION: makes another QEMU beside the installed one, and prints its command. It is that of a Debian release, from where this
# machine's apt gets its own, or of an Ubuntu release, from the archive that TORPOR_UBUNTU_ARCHIVE names; with all libraries of that
# release and its loader: downloaded and unpacked, never installed. Kept in $TORPOR_CACHE (default ~/.cache/torpor), one folder for
# each version of this script.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
say() { printf 'torpor: %s\n' "$*" >&2; }

version=${1:-}
case $version in
  4.2) suite=focal ;;
  5.2) suite=bullseye ;;
  6.2) suite=jammy ;;
  7.2) suite=bookworm ;;
  8.2) suite=noble ;;
  9.2) suite=plucky ;;
  10.1) suite=questing ;;
  10.2) suite=resolute ;;
  11.1) suite=sid ;;
  *) say "usage: $0 4.2|5.2|6.2|7.2|8.2|9.2|10.1|10.2|11.1"; exit 2 ;;
esac
case $suite in
  bullseye | bookworm | sid)
    archive=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -m 1 '/debian/*$' || true)
    keyring=/usr/share/keyrings/debian-archive-keyring.gpg source="$archive $suite main" ;;
  *)
    archive=${TORPOR_UBUNTU_ARCHIVE:-}
    keyring='' source="$archive $suite main universe" ;;
esac

out=${TORPOR_CACHE:-$HOME/.cache/torpor}/qemu-$version-$(sha256sum "$here/qemu.sh" | cut -c1-12)
mkdir -p "$out"
exec 9>"$out/.lock"
flock 9
if [ ! -x "$out/qemu-system-x86_64" ]; then
  [ -n "$archive" ] || { say "QEMU $version is of $suite, and no archive of that distribution is known"; exit 1; }
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  cd "$work"
  say "fetching QEMU $version of $suite"
  if [ -z "$keyring" ]; then
    get() { apt-get -qq -o APT::Sandbox::User=root download ubuntu-keyring >&2; }
    get || { apt-get -qq update >&2 && get; }
    dpkg -x ubuntu-keyring_*.deb keyring
    keyring=$work/keyring/usr/share/keyrings/ubuntu-archive-keyring.gpg
  fi
  echo "deb [signed-by=$keyring] $source" >sources
  # An apt that knows of that release alone, and of no installed package.
  mkdir -p lists/partial archives/partial
  touch status
  apt=(-qq -o APT::Sandbox::User=root
    -o "Dir::Etc::SourceList=$work/sources" -o Dir::Etc::SourceParts=/dev/null
    -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null
    -o "Dir::State=$work" -o "Dir::State::Lists=$work/lists" -o "Dir::State::Status=$work/status"
    -o "Dir::Cache=$work" -o "Dir::Cache::Archives=$work/archives"
    -o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false)
  apt-get "${apt[@]}" update >&2
  apt-get "${apt[@]}" -y --no-install-recommends --download-only install qemu-system-x86 seabios ipxe-qemu libc6 >&2
  rm -rf "$out/root"
  mkdir "$out/root"
  # Where /bin and /lib are links to /usr, as all packages have it by now.
  mkdir -p "$out"/root/usr/{bin,sbin,lib,lib64}
  for link in bin sbin lib lib64; do ln -s "usr/$link" "$out/root/$link"; done
  for deb in archives/*.deb; do
    dpkg --fsys-tarfile "$deb" | tar -x --keep-directory-symlink -C "$out/root" --no-same-owner --exclude=./dev --exclude=./usr/share/doc
  done
  root=$out/root
  libraries=$root/usr/lib/x86_64-linux-gnu
  cat >"$out/.command" <<COMMAND
#!/bin/sh
export QEMU_MODULE_DIR="$libraries/qemu"
exec "$libraries/ld-linux-x86-64.so.2" --library-path "$libraries:$libraries/pulseaudio" "$root/usr/bin/qemu-system-x86_64" -L "$root/usr/share/qemu" -L "$root/usr/share/seabios" -L "$root/usr/lib/ipxe/qemu" "\$@"
COMMAND
  chmod 755 "$out/.command"
  "$out/.command" --version | grep -qF "version $version." || { say "what was fetched is not QEMU $version"; exit 1; }
  mv "$out/.command" "$out/qemu-system-x86_64"
fi
echo "$out/qemu-system-x86_64"
