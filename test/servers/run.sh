#!/bin/bash
# npm run test:servers: the suites of test/servers over each real S3 server. A server that was not running is brought up,
# and brought down again whatever happens. One that cannot be had here is skipped, in one line.
#   run.sh [NAME...]    default: versitygw rgw swift
# OBJMOUNT_REPORTS: a directory for one vitest report per server.
set -u
HERE=$(cd "$(dirname "$0")" && pwd)
STATE=${OBJMOUNT_SERVERS_DIR:-${TMPDIR:-/tmp}/objmount-test-servers}
SERVERS=("$@")
[ ${#SERVERS[@]} -gt 0 ] || SERVERS=(versitygw rgw swift)
mkdir -p "$STATE"
table=$(mktemp "$STATE/table.XXXXXX")
report=$(mktemp "$STATE/report.XXXXXX")
started=
finish() {
  [ -n "$started" ] && bash "$HERE/$started.sh" stop
  rm -f "$table" "$report"
}
trap finish EXIT
trap 'exit 130' INT TERM
status=0
row() { printf '%-12s %-22s %8s %8s %8s\n' "$@" >>"$table"; }
row server version passed failed skipped
running() { ls "$STATE/$1/run/"*.pid >/dev/null 2>&1; }
for name in "${SERVERS[@]}"; do
  running "$name" && mine= || mine=1
  [ -n "$mine" ] && started=$name
  bash "$HERE/$name.sh" start
  case $? in
    0) ;;
    3) row "$name" - - - "not here"; started=; continue ;;
    *) row "$name" - - "no start" -; status=1; started=; continue ;;
  esac
  (
    eval "$(bash "$HERE/$name.sh" env)"
    cd "$HERE/../.." && OBJMOUNT_SUITE=servers npx vitest run --config test/vitest.config.ts --reporter=default --reporter=json --outputFile.json="$report"
  ) || status=1
  counts=$(node -e '
    const { numPassedTests, numFailedTests, numPendingTests, testResults } = JSON.parse(require("node:fs").readFileSync(process.argv[1], "utf8"));
    const broken = testResults.filter((file) => file.status === "failed" && file.assertionResults.every((test) => test.status !== "failed")).length;
    console.log(numPassedTests, numFailedTests + broken, numPendingTests);' "$report" 2>/dev/null || echo "- - -")
  # shellcheck disable=SC2086 # three words
  row "$name" "$(bash "$HERE/$name.sh" version)" $counts
  if [ -n "${OBJMOUNT_REPORTS:-}" ]; then mkdir -p "$OBJMOUNT_REPORTS" && cp "$report" "$OBJMOUNT_REPORTS/$name.json"; fi
  [ -n "$mine" ] && bash "$HERE/$name.sh" stop
  started=
  : >"$report"
done
echo
cat "$table"
exit $status
