#!/usr/bin/env bash
# tests/conformance/seeds.sh - runs suites through many seeds, each on one loop and on four.
#
#     seeds.sh COUNT PROGRAM...
#
# What fails is printed as a command that has it again. The exit status is 0 only if nothing failed.
set -u
if [ $# -lt 2 ]; then
    sed -n '4p' "${BASH_SOURCE[0]}" >&2
    exit 2
fi
count=$1
shift
runs=0
failed=0
log=$(mktemp) || exit 2
trap 'rm -f -- "$log"' EXIT
for program; do
    for loops in 1 4; do
        for ((seed = 1; seed <= count; seed++)); do
            runs=$((runs + 1))
            RADDLE_POLICY=sim:seed=$seed RADDLE_TEST_LOOPS=$loops "$program" -j1 >"$log" 2>&1 </dev/null && continue
            failed=$((failed + 1))
            grep -aE '^\[FAIL\]|[a-z_]+\.[ch]:[0-9]+: |Assertion Failed|^raddle: RADDLE' "$log" | head -n 20
            printf 'failed: RADDLE_POLICY=sim:seed=%d RADDLE_TEST_LOOPS=%d %s\n' "$seed" "$loops" "$program"
        done
    done
done
printf '%d suites, %d runs, %d failed\n' $# "$runs" "$failed"
[ "$failed" -eq 0 ]
