#!/usr/bin/env bash
# The programs of asyncio's tutorials are at most half as long again as in Python.
#
#     tests/examples/lines.sh
#
# Lines that are blank, a comment, or nothing but a brace don't count. Beside each name stands how many lines an
# idiomatic Python program has that prints the same (3.11).
set -u
here=$(dirname "$0")
bad=0
while read -r name python; do
    lines=$(grep -cvE '^\s*$|^\s*/\*.*\*/\s*$|^[{} ;]*$' "$here/$name.c")
    printf '%s: %d lines, %d in Python\n' "$name" "$lines" "$python"
    if [ $((lines * 2)) -gt $((python * 3)) ]; then
        echo "  more than half as long again"
        bad=1
    fi
done <<'END'
overlap 12
gather 16
cancel 21
producer_consumer 24
limit 17
loops_in_threads 13
policy_logs 18
cli_stdin 23
fork_loops 22
END
exit $bad
