#!/usr/bin/env bash
# Counts the tests of the last run by tier, from the XML reports of surefire and failsafe, repeats what tests told in
# figures (lines "figure: ..."), and names those that failed, were skipped or passed only when they were tried again; last, for
# who sees only the end. Arguments: the tiers that should have run; default all. Exits non-zero if a test failed or was
# skipped, or if one of these tiers ran nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# For a check of this script: another work tree to look at.
cd "${TORPOR_TALLY_IN:-.}"

tiers=("$@")
[ ${#tiers[@]} -gt 0 ] || tiers=(unit qemu api standin node)
passed=0 failed=0 skipped=0 empty=() reports=() unhappy=()

# Lines "passed|failed|skipped <class> <method>" of the given report files, with both ends of what a failure says; and one
# "flaky ..." beside the "passed ..." of what failed at first.
outcomes() {
  awk '
    function end() {
      if (test != "") print outcome, test (flaky ? "" : said)
      if (flaky) print "flaky", test said
      test = ""; said = ""; flaky = 0
    }
    function ends(text) {
      gsub(/&#10;/, " ", text); gsub(/&quot;/, "\"", text); gsub(/&apos;/, "\047", text)
      gsub(/&lt;/, "<", text); gsub(/&gt;/, ">", text); gsub(/&amp;/, "\\&", text)
      return length(text) <= 400 ? text : substr(text, 1, 200) " [...] " substr(text, length(text) - 199)
    }
    /^ *<testcase / {
      end()
      match($0, / name="[^"]*"/); name = substr($0, RSTART + 7, RLENGTH - 8)
      match($0, / classname="[^"]*"/); class = substr($0, RSTART + 12, RLENGTH - 13)
      test = class " " name; outcome = "passed"
      if ($0 ~ /\/>$/) end()
    }
    /^ *<(failure|error|flakyFailure|flakyError)[ >]/ {
      if ($0 ~ /<flaky/) flaky = 1; else outcome = "failed"
      if (said == "" && match($0, / message="[^"]*"/)) said = ": " ends(substr($0, RSTART + 10, RLENGTH - 11))
    }
    /^ *<skipped[ \/>]/ { outcome = "skipped" }
    /^ *<\/testcase>/ { end() }' "$@"
}

printf '\n%-10s%8s%8s%8s\n' tier passed failed skipped
for tier in "${tiers[@]}"; do
  case $tier in
    unit) files=(*/target/surefire-reports/TEST-*.xml) ;;
    *) files=(e2e/target/failsafe-reports/TEST-dev.torpor.e2e."$tier".*.xml) ;;
  esac
  found=
  [ ! -e "${files[0]}" ] || reports+=("${files[@]}")
  [ -e "${files[0]}" ] && found=$(outcomes "${files[@]}")
  p=$(grep -c '^passed' <<<"$found") || true
  f=$(grep -c '^failed' <<<"$found") || true
  s=$(grep -c '^skipped' <<<"$found") || true
  printf '%-10s%8d%8d%8d\n' "$tier" "$p" "$f" "$s"
  while read -r line; do unhappy+=("$tier: $line"); done < <(grep -E '^(failed|skipped|flaky)' <<<"$found")
  [ $((p + f)) -gt 0 ] || empty+=("$tier")
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
done
[ ${#reports[@]} -eq 0 ] || grep -Eho 'figure: .*' "${reports[@]}" | sed 's/^figure: /  /' || true
[ ${#unhappy[@]} -eq 0 ] || printf '%s\n' "${unhappy[@]}"
for tier in "${empty[@]}"; do echo "tier $tier ran nothing"; done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$skipped" -eq 0 ] && [ ${#empty[@]} -eq 0 ]
