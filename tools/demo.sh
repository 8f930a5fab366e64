#!/usr/bin/env bash
# The demo: installs and builds what is missing, then installs Torpor by its chart on a Kubernetes node that lives as long
# as the demo does, saves a VM and brings it back. Debian 12, as root, with JDK 25, Maven and Go. The first run on a machine
# compiles Kubernetes and helm.
#
#   TORPOR_K8S_BIN       folder with etcd and the Kubernetes binaries, kubectl and kube-proxy among them: none are compiled
#   KUBECONFIG           a cluster of version 1.32 or newer with a node that is this machine, with containerd, and a user
#                        who may do everything: no control plane or node is started. Torpor is installed on that node
#                        alone, unless the cluster has it, and taken away. Where they are not the usual ones:
#   TORPOR_NODE          the node's name (else the only one, or the one called like this machine)
#   TORPOR_KUBELET_ROOT  its kubelet's folder (else /var/lib/kubelet)
#   TORPOR_STORE         folder for the images on it, which is deleted in the end (else /var/lib/torpor-demo)
#   TORPOR_CONTAINERD    its containerd's socket (else /run/containerd/containerd.sock)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
say() { printf 'torpor: %s\n' "$*"; }

[ "$(id -u)" = 0 ] || { say "the demo runs containers: be root" >&2; exit 1; }
JAVA_HOME=$(tools/jdk.sh)
export JAVA_HOME
command -v mvn >/dev/null || { say "Maven is missing: install it" >&2; exit 1; }

say "Debian packages: QEMU, containerd, runc and what goes with them"
tools/packages.sh
if [ -n "${KUBECONFIG:-}" ]; then
  command -v kubectl >/dev/null || { say "kubectl is missing: KUBECONFIG is set, so the one of the PATH is used" >&2; exit 1; }
else
  say "Kubernetes, compiled from its sources"
  tools/kubernetes.sh >/dev/null
fi
say "helm, compiled from its sources"
tools/helm.sh >/dev/null
say "Torpor itself"
mvn -q -ntp -B -Dstyle.color=never package -DskipTests
say "the guest and the container images"
tools/images.sh >/dev/null
exec "$JAVA_HOME/bin/java" --enable-native-access=ALL-UNNAMED \
  -cp "e2e/target/classes:e2e/target/lib/*" dev.torpor.e2e.demo.Demo
