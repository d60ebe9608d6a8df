#!/usr/bin/env bash
# tests/conformance/table_bites.sh - tests/conformance/table.sh sees what is missing, in a small tree of its own.
#
#     table_bites.sh SOURCE_ROOT
set -u
root=$1
work=$(mktemp -d) || exit 1
trap 'rm -rf -- "$work"' EXIT
bad=0

mkdir -p "$work/include/raddle" "$work/tests/conformance"
cp "$root/tests/conformance/table.awk" "$work/tests/conformance/"

# A tree in which all is well.
fresh() {
    printf '/*\n * A thing is done\n * otherwise here.\n */\n' >"$work/include/raddle/thing.h"
    printf '%s\n' 'open: A4' '= A. Things' 'A1 one' '    differs: raddle/thing.h: is done otherwise here' 'A2 two' \
        'A3 three' '    later: things' 'A4 four' '    open' >"$work/tests/conformance/rows.txt"
    printf '%s\n' 'TestSuite(thing, .timeout = 1);' '' '/* A2 */' 'RuntimeTest(thing, is_done)' '{' '}' \
        >"$work/tests/conformance/test_thing.c"
    printf '%s\n' '/* A2 A1 */' 'int main(int argc, char **argv)' '{' '}' >"$work/tests/race_thing.c"
}

table() {
    "$root/tests/conformance/table.sh" "$work" "$work/table.md" "$@" >"$work/said" 2>&1
}

# bites WHAT: the table fails, and says so.
bites() {
    if table || ! grep -qF -- "$1" "$work/said"; then
        printf 'not seen: %s; it said:\n' "$1"
        cat "$work/said"
        bad=1
    fi
}

# has LINE: the table has it.
has() {
    if ! grep -qxF -- "$1" "$work/table.md"; then
        printf 'not in the table: %s\n' "$1"
        cat "$work/table.md" "$work/said"
        bad=1
    fi
}

fresh
table || bad=1
has '4 rows: 2 shown by tests, 0 differ on purpose without one, 1 are for later, 1 open.'
# shellcheck disable=SC2016 # Markdown's backticks
has '| A2 | two | `conformance/test_thing.c: thing.is_done`<br>`race_thing.c: main` |'

for driver in uring.1 epoll.4; do
    printf '1/2 Testing: test_thing.%s\nTest Passed.\n' "$driver"
done >"$work/log"
printf '2/2 Testing: race_thing.epoll.1\nTest Failed.\n' >>"$work/log"
table "$work/log" || bad=1
# shellcheck disable=SC2016 # Markdown's backticks
has '| A2 | two | `conformance/test_thing.c: thing.is_done`<br>`race_thing.c: main` | uring 1/1, epoll 1/2 **failed** |'

sed -i 's|/\* A2 \*/|/* A2 A1: it is done (now). */|' "$work/tests/conformance/test_thing.c"
sed -i '1a /* A2: a helper. */' "$work/tests/conformance/test_thing.c"
table || bad=1
# shellcheck disable=SC2016 # Markdown's backticks
has '| A2 | two | `conformance/test_thing.c: thing.is_done`<br>`race_thing.c: main` |'
fresh

printf 'A5 five\n' >>"$work/tests/conformance/rows.txt"
bites 'A5 has no test and no reason: five'
fresh
printf 'A2 again\n' >>"$work/tests/conformance/rows.txt"
bites 'rows.txt: twice: A2'
fresh
sed -i '/^open:/d' "$work/tests/conformance/rows.txt"
bites 'A4 is open: four'
fresh
sed -i 's/^open: A4/open: A4 A2/' "$work/tests/conformance/rows.txt"
bites 'A2 is on the list of open rows, but is not one'
fresh
sed -i 's/    later: things/    afterwards/' "$work/tests/conformance/rows.txt"
bites 'A3: no remark: afterwards'
fresh
sed -i 's/otherwise/as usual/' "$work/include/raddle/thing.h"
bites "A1: raddle/thing.h doesn't say: is done otherwise here"
fresh
sed -i 's/A2/A9/' "$work/tests/conformance/test_thing.c"
bites 'conformance/test_thing.c: thing.is_done names A9, which is no row'
fresh
sed -i 's|/\* A2 \*/|/* A2, A1 */|' "$work/tests/conformance/test_thing.c"
bites 'rows are named otherwise than by themselves: /* A2, A1 */'
fresh
sed -i 's/RuntimeTest(thing, is_done)/static int helper(void)/' "$work/tests/conformance/test_thing.c"
bites 'rows are named, but there is no test: /* A2 */'
fresh
sed -i '1i /* A2 */\nstatic int helper(void)' "$work/tests/conformance/test_thing.c"
bites 'conformance/test_thing.c: rows are named, but it is no test: helper'
exit "$bad"
