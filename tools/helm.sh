#!/usr/bin/env bash
# Builds helm and helm-unittest as pinned in helm/go.mod, and prints the folder that they are in. They are kept outside
# the work tree: see go.sh.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/go.sh"

version=$(sed -nE 's/^\s*helm.sh\/helm\/v3 (v[0-9.]+).*/\1/p' "$here/helm/go.mod")
[ -n "$version" ] || { say "no version of helm.sh/helm/v3 in tools/helm/go.mod"; exit 1; }
open_cache "helm-$version" "$here/helm/go.mod"
# Without a cluster helm takes these for the version of Kubernetes.
minor=$(sed -nE 's/^\s*k8s.io\/client-go v0\.([0-9]+)\..*/\1/p' "$here/helm/go.mod")
stamp="-X helm.sh/helm/v3/internal/version.version=$version"
for p in chartutil lint/rules; do
  stamp+=" -X helm.sh/helm/v3/pkg/$p.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/$p.k8sVersionMinor=$minor"
done
build helm "$here/helm" helm.sh/helm/v3/cmd/helm "$stamp"
build helm-unittest "$here/helm" github.com/helm-unittest/helm-unittest/cmd/helm-unittest
echo "$out"
