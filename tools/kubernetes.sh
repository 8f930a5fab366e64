#!/usr/bin/env bash
# Builds etcd and the Kubernetes binaries pinned in kubernetes/go.mod and etcd/go.mod, and prints the folder
# they are in. They are kept outside the work tree, in $TORPOR_CACHE (default ~/.cache/torpor), one folder for
# each set of pinned versions, so that a second run costs nothing.
# $TORPOR_K8S_BIN names a folder that already holds all of them: then nothing is built.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# In the order in which people wait for them: the first compiles what the others share.
kubernetes=(kube-apiserver kube-controller-manager kube-scheduler kubectl kubelet)

say() { printf 'torpor: %s\n' "$*" >&2; }

if [ -n "${TORPOR_K8S_BIN:-}" ]; then
  for b in etcd "${kubernetes[@]}"; do
    [ -x "$TORPOR_K8S_BIN/$b" ] || { say "TORPOR_K8S_BIN=$TORPOR_K8S_BIN has no executable $b"; exit 1; }
  done
  echo "$TORPOR_K8S_BIN"
  exit 0
fi

command -v go >/dev/null || { say "go is missing: install Go 1.24 or newer"; exit 1; }
version=$(sed -nE 's/^(require )?\s*k8s.io\/kubernetes (v[0-9.]+).*/\2/p' "$here/kubernetes/go.mod")
[ -n "$version" ] || { say "no version of k8s.io/kubernetes in tools/kubernetes/go.mod"; exit 1; }
pins=$(cat "$here"/{kubernetes,etcd}/go.mod | sha256sum | cut -c1-12)
out=${TORPOR_CACHE:-$HOME/.cache/torpor}/kubernetes-$version-$pins
mkdir -p "$out"
exec 9>"$out/.lock"
flock 9

minor=$(echo "$version" | cut -d. -f2)
stamp="-s -w"
for p in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
  stamp+=" -X $p.gitVersion=$version -X $p.gitMajor=1 -X $p.gitMinor=$minor"
done
build() { # name, folder of the module, package
  [ -x "$out/$1" ] && return
  local began=$SECONDS
  say "compiling $1 (once; kept in $out)"
  (cd "$here/$2" && CGO_ENABLED=0 GOFLAGS=-mod=readonly go build -trimpath -ldflags "$stamp" -o "$out/.$1.new" "$3") >&2
  mv "$out/.$1.new" "$out/$1"
  say "compiled $1 in $((SECONDS - began)) s"
}
build etcd etcd .
for b in "${kubernetes[@]}"; do build "$b" kubernetes "k8s.io/kubernetes/cmd/$b"; done
echo "$out"
