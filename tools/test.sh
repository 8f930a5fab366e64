#!/usr/bin/env bash
# Runs the tests of the given tiers (default all), each tier in JVMs of its own, also if one before it failed,
# and ends with the tally. Classes of the tiers that mostly wait for guests run two at a time. What a tier needs must be
# there: `make test-<tier>` sees to that.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
JAVA_HOME=$(tools/jdk.sh)
export JAVA_HOME

tiers=("$@")
[ ${#tiers[@]} -gt 0 ] || tiers=(unit qemu api standin node)
began=$SECONDS
code=0
for tier in "${tiers[@]}"; do
  echo "torpor: tests of tier $tier"
  started=$SECONDS
  case $tier in
    unit)
      rm -rf ./*/target/surefire-reports
      mvn -ntp -B -Dstyle.color=never -q -fae -T 2 verify -DskipITs || code=1
      ;;
    *)
      rm -f e2e/target/failsafe-reports/TEST-dev.torpor.e2e."$tier".*.xml
      forks=1
      case $tier in qemu | standin) forks=2 ;; esac
      mvn -ntp -B -Dstyle.color=never -q verify -pl e2e -am -DskipUTs -Dit.groups="$tier" -Dit.forks=$forks || code=1
      ;;
  esac
  echo "torpor: tier $tier took $((SECONDS - started)) s"
done
# Maven's own word counts too: a JVM that crashed has written no report.
[ $code -eq 0 ] || echo "torpor: Maven reported a failure; see above"
echo "torpor: all of it took $((SECONDS - began)) s"
tools/tally.sh "${tiers[@]}" || code=1
exit $code
