#!/usr/bin/env bash
# Runs the tests of the given tiers (default all), each tier in JVMs of its own, also if one before it failed,
# and ends with the tally. Classes of the tiers that mostly wait for guests run two at a time. Those on the real node run one by
# one and wait for the kubelet most of the time: beside them run, one by one too, those of the tiers api and qemu, if they are
# asked for. What a tier needs must be there: `make test-<tier>` sees to that.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
JAVA_HOME=$(tools/jdk.sh)
export JAVA_HOME

tiers=("$@")
[ ${#tiers[@]} -gt 0 ] || tiers=(unit qemu api standin node)

# Arguments: tier, classes at once.
run() {
  local tier=$1 started=$SECONDS code=0
  echo "torpor: tests of tier $tier"
  case $tier in
    unit)
      rm -rf ./*/target/surefire-reports
      mvn -ntp -B -Dstyle.color=never -q -fae -T 2 verify -DskipITs || code=1
      ;;
    *)
      rm -f e2e/target/failsafe-reports/TEST-dev.torpor.e2e."$tier".*.xml
      mvn -ntp -B -Dstyle.color=never -q verify -pl e2e -am -DskipUTs -Dit.groups="$tier" -Dit.forks="$2" || code=1
      ;;
  esac
  echo "torpor: tier $tier took $((SECONDS - started)) s"
  return $code
}
# Maven builds before it tests: only one of them at a time.
beside_node() {
  local code=0
  for _ in $(seq 300); do
    [ -z "$(ls e2e/target/failsafe-node 2>/dev/null)" ] || break
    sleep 1
  done
  for tier in "$@"; do run "$tier" 1 || code=1; done
  return $code
}

mkdir -p target
code=0 first=() beside=() node=
for tier in "${tiers[@]}"; do
  case $tier in node) node=1 ;; api | qemu) beside+=("$tier") ;; *) first+=("$tier") ;; esac
done
if [ -z "$node" ]; then first=("${tiers[@]}"); fi
for tier in "${first[@]}"; do
  forks=1
  case $tier in qemu | standin) forks=2 ;; esac
  run "$tier" $forks || code=1
done
if [ -n "$node" ]; then
  rm -rf e2e/target/failsafe-node
  beside_node "${beside[@]}" >target/beside-node.log 2>&1 &
  run node 1 || code=1
  wait $! || code=1
  cat target/beside-node.log
fi
# Maven's own word counts too: a JVM that crashed has written no report.
[ $code -eq 0 ] || echo "torpor: Maven reported a failure; see above"
echo "torpor: all of it took $SECONDS s"
tools/tally.sh "${tiers[@]}" || code=1
exit $code
