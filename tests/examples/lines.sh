#!/usr/bin/env bash
# The programs of asyncio's tutorials are at most half as long again as in Python.
#
#     tests/examples/lines.sh
#
# Lines that are blank, a comment, or nothing but a brace don't count. Beside each name stands how many lines an
# idiomatic Python program has that prints the same (3.11). The shortest doesn't make it: ten lines, of which in C a
# main() and the struct for a task's two arguments are half; so it has a limit of its own.
set -u
here=$(dirname "$0")
bad=0
while read -r name python percent; do
    lines=$(grep -cvE '^\s*$|^\s*/\*.*\*/\s*$|^[{} ;]*$' "$here/$name.c")
    printf '%s: %d lines, %d in Python\n' "$name" "$lines" "$python"
    if [ $((lines * 100)) -gt $((python * percent)) ]; then
        echo "  more than $percent %"
        bad=1
    fi
done <<'END'
overlap 10 250
gather 16 150
cancel 21 150
producer_consumer 24 150
limit 17 150
loops_in_threads 13 150
policy_logs 18 150
cli_stdin 23 150
fork_loops 22 150
END
exit $bad
