#!/usr/bin/env bash
# Runs the tests of the given tiers (default all), each tier in JVMs of its own, also if one before it failed,
# and ends with the tally. Classes of the tiers that mostly wait for guests run two at a time; on the real node, which waits for
# the kubelet most of the time, one by one, with the tier of the API beside them if both are asked for. What a tier needs must be
# there: `make test-<tier>` sees to that.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
JAVA_HOME=$(tools/jdk.sh)
export JAVA_HOME

tiers=("$@")
[ ${#tiers[@]} -gt 0 ] || tiers=(unit qemu api standin node)

run() {
  local tier=$1 forks=1 started=$SECONDS code=0
  echo "torpor: tests of tier $tier"
  case $tier in
    unit)
      rm -rf ./*/target/surefire-reports
      mvn -ntp -B -Dstyle.color=never -q -fae -T 2 verify -DskipITs || code=1
      ;;
    *)
      rm -f e2e/target/failsafe-reports/TEST-dev.torpor.e2e."$tier".*.xml
      case $tier in qemu | standin) forks=2 ;; esac
      mvn -ntp -B -Dstyle.color=never -q verify -pl e2e -am -DskipUTs -Dit.groups="$tier" -Dit.forks=$forks || code=1
      ;;
  esac
  echo "torpor: tier $tier took $((SECONDS - started)) s"
  return $code
}
asked() { [[ " ${tiers[*]} " == *" $1 "* ]]; }
# Maven builds before it tests: only one of them at a time.
beside_node() {
  for _ in $(seq 300); do
    [ -z "$(ls e2e/target/failsafe-node 2>/dev/null)" ] || break
    sleep 1
  done
  run api
}

code=0
mkdir -p target
for tier in "${tiers[@]}"; do
  if [ "$tier" = node ] && asked api; then
    rm -rf e2e/target/failsafe-node
    beside_node >target/api-tier.log 2>&1 &
    run node || code=1
    wait $! || code=1
    cat target/api-tier.log
  elif [ "$tier" != api ] || ! asked node; then
    run "$tier" || code=1
  fi
done
# Maven's own word counts too: a JVM that crashed has written no report.
[ $code -eq 0 ] || echo "torpor: Maven reported a failure; see above"
echo "torpor: all of it took $SECONDS s"
tools/tally.sh "${tiers[@]}" || code=1
exit $code
