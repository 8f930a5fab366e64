#!/usr/bin/env bash
# Builds etcd and the Kubernetes binaries pinned in kubernetes/go.mod and etcd/go.mod, and prints the folder
# they are in. They are kept outside the work tree: see go.sh.
# $TORPOR_K8S, oldest or newest, names another pinned version, of the control plane alone: for the API's tests.
# $TORPOR_K8S_BIN names a folder that already holds all of them: then nothing is built.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# In the order in which people wait for them: the first compiles what the others share.
kubernetes=(kube-apiserver kube-controller-manager kube-scheduler kubectl)
module=$here/kubernetes${TORPOR_K8S:+-$TORPOR_K8S}
[ -n "${TORPOR_K8S:-}" ] || kubernetes+=(kubelet kube-proxy)
. "$here/go.sh"

if [ -n "${TORPOR_K8S_BIN:-}" ]; then
  for b in etcd "${kubernetes[@]}"; do
    [ -x "$TORPOR_K8S_BIN/$b" ] || { say "TORPOR_K8S_BIN=$TORPOR_K8S_BIN has no executable $b"; exit 1; }
  done
  echo "$TORPOR_K8S_BIN"
  exit 0
fi

[ -f "$module/go.mod" ] || { say "TORPOR_K8S=${TORPOR_K8S:-} is neither oldest nor newest"; exit 1; }
version=$(sed -nE 's/^(require )?\s*k8s.io\/kubernetes (v[0-9.]+).*/\2/p' "$module/go.mod")
[ -n "$version" ] || { say "no version of k8s.io/kubernetes in $module/go.mod"; exit 1; }
open_cache "kubernetes-$version" "$module/go.mod" "$here/etcd/go.mod"

minor=$(echo "$version" | cut -d. -f2)
stamp=
for p in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
  stamp+=" -X $p.gitVersion=$version -X $p.gitMajor=1 -X $p.gitMinor=$minor"
done
build etcd "$here/etcd" .
for b in "${kubernetes[@]}"; do build "$b" "$module" "k8s.io/kubernetes/cmd/$b" "$stamp"; done
echo "$out"
