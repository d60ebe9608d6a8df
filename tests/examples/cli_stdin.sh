#!/usr/bin/env bash
# The program that reads standard input beside a background task: from a pipe, a file and a terminal.
#
#     tests/examples/cli_stdin.sh PROGRAM
set -u
input=$'one\ntwo\nquit\nthree'
wanted=$'you said: one\nyou said: two\nthe background task is stopped\nbye'
bad=0

check() {
    if [ "$2" != "$wanted" ]; then
        printf 'from %s it printed\n%s\ninstead of\n%s\n' "$1" "$2" "$wanted"
        bad=1
    fi
}

check 'a pipe' "$(printf '%s\n' "$input" | "$1")"

file=$(mktemp)
printf '%s\n' "$input" >"$file"
check 'a file' "$("$1" <"$file")"
printf 'one\ntwo' >"$file"
check 'a file without a last newline' "$("$1" <"$file")"
rm -f "$file"

# Somebody who types: what is typed ahead is echoed, and each line is ended by \r\n.
if command -v script >/dev/null; then
    check 'a terminal' "$(printf '%s\n' "$input" | script -qec "$1" /dev/null | tr -d '\r' | grep -E '^(you said|the background|bye)')"
else
    echo 'no script(1) here: not tried with a terminal'
fi
exit $bad
