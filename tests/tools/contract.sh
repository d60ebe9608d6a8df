#!/usr/bin/env bash
# tests/tools/contract.sh - every line of the tables of tests/README.md names tests, and they exist.
#
#     contract.sh SOURCE_ROOT
set -u
tests=$1/tests
lines=0
names=0
bad=0
complain() {
    printf '%s\n' "$*"
    bad=$((bad + 1))
}

while IFS= read -r line; do
    case $line in
    '| --- '* | '| What you can rely on '* | '| What | '*) continue ;;
    '| '*) ;;
    *) continue ;;
    esac
    lines=$((lines + 1))
    # shellcheck disable=SC2016 # Markdown's backticks
    named=$(grep -oE '`[a-z_/]+\.(c|sh): [A-Za-z_0-9]+`' <<<"${line##* | }" | tr -d '`')
    [ -n "$named" ] || complain "no test is named: $line"
    while IFS=: read -r file name; do
        [ -n "$file" ] || continue
        names=$((names + 1))
        # A Criterion test, a function of a plain program, or one line of a table.
        if [ ! -f "$tests/$file" ]; then
            complain "there is no tests/$file"
        elif ! grep -qE "(, |^static [a-z_ ]*\*?|^int |[ ,]|^)${name# }([,);( =|]|\$)" "$tests/$file"; then
            complain "tests/$file has no ${name# }"
        fi
    done <<<"$named"
done <"$tests/README.md"

printf '%d lines name %d tests, %d complaints\n' "$lines" "$names" "$bad"
[ "$bad" -eq 0 ] && [ "$lines" -gt 30 ]
