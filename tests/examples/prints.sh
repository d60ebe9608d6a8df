#!/usr/bin/env bash
# Runs an example: it succeeds, and prints so many lines of this form, no two alike, and nothing else but LAST.
#
#     tests/examples/prints.sh PROGRAM COUNT PATTERN [LAST]
set -u
program=$1 count=$2 pattern=$3 last=${4-}

output=$("$program" 2>&1)
status=$?
printf '%s\n' "$output"
if [ $status -ne 0 ]; then
    echo "ended with status $status"
    exit 1
fi
if [ -n "$last" ]; then
    if [ "$(tail -n 1 <<<"$output")" != "$last" ]; then
        echo "the last line is not \"$last\""
        exit 1
    fi
    output=$(head -n -1 <<<"$output")
fi
if [ "$(sort -u <<<"$output" | grep -cxE -- "$pattern")" -ne "$count" ] ||
    [ "$(wc -l <<<"$output")" -ne "$count" ]; then
    echo "expected $count different lines of the form $pattern"
    exit 1
fi
