#!/usr/bin/env bash
# Packs the image of a Java program of ours from what Maven built, into a folder:
#   java.sh operator|agent FOLDER   writes FOLDER/<name>.tar, unless it is there and made of the same
# Layers from below: runtime and libc (runtime.sh), libraries, our own jars with the bill of materials, the JVM's archive
# of loaded classes (AOT cache). The archive is made by a run of the program before it is packed; it depends on the
# jars' order, sizes and times, so those are fixed here. Everything but the archive is the same for the same inputs.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tools/images/pack.sh
source "$here/pack.sh"
name=$1
folder=$2
program=torpor-$name
case $name in
  operator) module=operator main=dev.torpor.operator.OperatorMain user=65532:65532 command='' ;;
  agent) module=node-agent main=dev.torpor.agent.cli.TorporAgent user=0:0 command='"Cmd":["run"],' ;;
  *) say "no Java image is called $name"; exit 1 ;;
esac
built=$here/../../$module
bill=$built/target/$program.cdx.json
shopt -s nullglob
own=("$built"/target/torpor-"$module"-*.jar "$built"/target/lib/torpor-*.jar)
libraries=()
for jar in "$built"/target/lib/*.jar; do [[ $(basename "$jar") == torpor-* ]] || libraries+=("$jar"); done
if [ ${#own[@]} -lt 2 ] || [ ${#libraries[@]} -eq 0 ] || [ ! -f "$bill" ]; then
  say "$module is not built: run 'make build'"
  exit 1
fi
runtime=$("$here/runtime.sh")
options=$built/src/main/image/jvm.options
key=$( (basename "$runtime"; cat "$here"/{java.sh,pack.sh,TrainingApi.java} "$options"
  basename -a "${own[@]}" "${libraries[@]}"; cat "${own[@]}" "${libraries[@]}" "$bill") | sha256sum | cut -c1-12)
mkdir -p "$folder"
exec 9>"$folder/.$name.lock"
flock 9
if [ -f "$folder/$name.tar" ] && [ "$(cat "$folder/.$name.key" 2>/dev/null)" = "$key" ]; then exit 0; fi

work=$(mktemp -d)
api=
finish() {
  [ -z "$api" ] || kill "$api" 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT
stamp() { find "$1" -exec touch --no-dereference --date="@$image_epoch" {} +; }

# The root as it will be, in one place for the training run, and the layers beside it as hard links.
root=$work/root
cp -a "$runtime/root" "$root"
mkdir -p "$work"/{libraries,own}/opt/torpor/lib "$work"/own/usr/{bin,share/sbom} "$work/classes/opt/torpor"
install -m 644 "${libraries[@]}" "$work/libraries/opt/torpor/lib/"
install -m 644 "${own[@]}" "$work/own/opt/torpor/lib/"
ln -s start "$work/own/usr/bin/$program"
install -m 644 "$bill" "$work/own/usr/share/sbom/"
# The library of D-Bus connects to no bus without an identity of the machine, which it would tell whoever asks it. A
# container has none: the image's own does.
if [ "$name" = agent ]; then
  mkdir -p "$work/own/etc"
  printf '%s' "torpor-$name" | md5sum | cut -c1-32 >"$work/own/etc/machine-id"
fi
# Ours first; one order for the training and for ever.
jars=()
for jar in "${own[@]}" "${libraries[@]}"; do jars+=("/opt/torpor/lib/$(basename "$jar")"); done
class_path=$(IFS=:; echo "${jars[*]}")
{
  cat "$options"
  printf '%s\n' "-XX:AOTCache=/opt/torpor/$program.aot" -cp "$class_path" "$main"
} >"$work/own/opt/torpor/$program.args"
for layer in libraries own; do
  find "$work/$layer" -type d -exec chmod 755 {} +
  stamp "$work/$layer"
  cp -a "$work/$layer/." "$root/"
done

# The training: the program against something that answers like an API server, until it has been at work for a while.
say "training $program: the classes that it loads"
JAVA_HOME=$("$here/../jdk.sh")
"$JAVA_HOME/bin/keytool" -genkeypair -alias training -keyalg EC -dname CN=localhost -ext san=dns:localhost,ip:127.0.0.1 \
  -keystore "$work/keys.p12" -storepass training 2>/dev/null
"$JAVA_HOME/bin/keytool" -exportcert -rfc -alias training -keystore "$work/keys.p12" -storepass training \
  >"$work/ca.crt" 2>/dev/null
"$JAVA_HOME/bin/java" -XX:TieredStopAtLevel=1 "$here/TrainingApi.java" "$work/keys.p12" "$work/port" &
api=$!
for _ in $(seq 300); do
  [ ! -f "$work/port" ] || break
  kill -0 "$api" 2>/dev/null || { say "the API of the training has ended"; exit 1; }
  sleep 0.1
done
cat >"$work/kubeconfig" <<YAML
apiVersion: v1
kind: Config
clusters: [{name: training, cluster: {server: "https://127.0.0.1:$(cat "$work/port")", certificate-authority: "$work/ca.crt"}}]
users: [{name: training, user: {token: training}}]
contexts: [{name: training, context: {cluster: training, user: training, namespace: default}}]
current-context: training
YAML
case $name in
  operator) arguments=(--identity training) ready='leads' ;;
  agent)
    mkdir -p "$work/kubelet/pods"
    arguments=(run --node training --store "$work/store" --kubelet-root "$work/kubelet")
    ready='serves'
    ;;
esac
log=$work/training.log
mapfile -t flags < <(grep -v '^#' "$options")
(cd / && KUBECONFIG=$work/kubeconfig exec "$root/opt/java/bin/java" "${flags[@]}" \
  -XX:AOTCacheOutput="$work/classes/opt/torpor/$program.aot" -cp "${class_path//\/opt\/torpor/$root/opt/torpor}" "$main" \
  "${arguments[@]}" >"$log" 2>&1) &
trained=$!
for _ in $(seq 1200); do
  ! grep -q " $ready" "$log" || break
  kill -0 "$trained" 2>/dev/null || break
  sleep 0.1
done
grep -q " $ready" "$log" || { cp "$log" "$folder/$name.training.log"; say "$program did not start in its training: see $folder/$name.training.log"; exit 1; }
sleep 2 # its first work, and the lease
kill -TERM "$trained"
wait "$trained" || true
[ -s "$work/classes/opt/torpor/$program.aot" ] || { say "no archive of classes came of the training:"; cat "$log" >&2; exit 1; }
cp "$log" "$folder/$name.training.log"
chmod 644 "$work/classes/opt/torpor/$program.aot"
find "$work/classes" -type d -exec chmod 755 {} +

for layer in libraries own classes; do archive "$work/$layer" "$work/$layer.tar"; done
pack "$name" "\"User\":\"$user\",\"Env\":[\"PATH=/usr/bin\"],${command}\"Entrypoint\":[\"/usr/bin/$program\"],\"WorkingDir\":\"/\"" \
  "$folder/$name.tar" "$runtime/layer.tar" "$work"/{libraries,own,classes}.tar
echo "$key" >"$folder/.$name.key"
