#!/usr/bin/env bash
# tests/conformance/table.sh - which tests show which rows of asyncio's contract, as a table.
#
#     table.sh SOURCE_ROOT [OUTPUT [LOG]]
#
# The rows are in tests/conformance/rows.txt, whose head says how one is written. A test names the rows that it
# shows in a comment in the line above it, which has nothing else in it, or after them a colon and words:
#
#     /* G1 TC1 */
#     RuntimeTest(tasks, they_begin_in_order)
#
#     /* H4: it begins all the same. */
#     RuntimeTest(tasks, one_that_is_cancelled_before_it_begins_sees_it)
#
# In a plain program, which is one test, the comment stands above a function. OUTPUT receives the table in Markdown
# (default: standard output). With LOG, the LastTest.log that ctest writes to Testing/Temporary, it says of each row
# how many of the runs of its tests' programs have passed, by driver.
#
# Fails if a row has neither a test nor a reason, if a test names a row that there isn't, and if the words that a
# row quotes from a header don't stand there.
set -u
root=$1
output=${2:-/dev/stdout}
log=${3:-/dev/null}
rows=$root/tests/conformance/rows.txt

mapfile -t headers < <(find "$root/include" -name '*.h' | LC_ALL=C sort)
mapfile -t sources < <(find "$root/tests" -name '*.c' | LC_ALL=C sort)
complaints=$(mktemp)
trap 'rm -f "$complaints"' EXIT

has_log=1
[ "$log" = /dev/null ] && has_log=
LC_ALL=C awk -v root="$root/" -v complaints="$complaints" -v rows="$rows" -v log_file="$log" -v has_log="$has_log" \
    -f "$root/tests/conformance/table.awk" "$rows" "${headers[@]}" "${sources[@]}" "$log" >"$output" || exit 1

[ $# -ge 2 ] && tail -n 1 "$output"
cat "$complaints"
[ ! -s "$complaints" ]
