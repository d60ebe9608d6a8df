#!/bin/bash
# gdb_parked.sh PROGRAM SOURCE_DIR - gdb shows the frames of a parked coroutine of a live process.
#
# PROGRAM is the switch_plain program. 77 without gdb, or where a process may not be traced.
set -u

program=$1
source_dir=$2
command -v gdb >/dev/null || exit 77

work=$(mktemp -d) || exit 1
mkfifo "$work/in" || exit 1
"$program" --park <"$work/in" >"$work/out" &
pid=$!
exec 3>"$work/in"
trap 'exec 3>&-; wait "$pid"; rm -rf "$work"' EXIT

for _ in $(seq 100); do
    [ -s "$work/out" ] && break
    sleep 0.1
done
read -r called in_place fresh <"$work/out"

gdb -nx -batch -p "$pid" -iex 'set debuginfod enabled off' -x "$source_dir/tools/raddle-gdb.py" \
    -ex 'echo called\n' -ex "raddle frames $called" \
    -ex 'echo in place\n' -ex "raddle frames $in_place" \
    -ex 'echo fresh\n' -ex "raddle frames $fresh" \
    -ex 'echo thread\n' -ex 'bt' >"$work/gdb" 2>&1
if grep -q 'ptrace: Operation not permitted' "$work/gdb"; then
    exit 77
fi
cat "$work/gdb"

# Prints the functions of the frames that follow a heading.
frames_of() {
    awk -v heading="$1" '
        $0 == heading { on = 1; next }
        on && !/^#/ { exit }
        on { for (i = 1; i < NF; i++) if ($i == "in") { printf "%s ", $(i + 1); break } }
    ' "$work/gdb"
}

failed=0
expect() {
    local found
    found=$(frames_of "$1")
    # shellcheck disable=SC2254 # it is a pattern
    case $found in
    $2) ;;
    *)
        echo "gdb_parked: $1: expected $2, found $found"
        failed=1
        ;;
    esac
}
# Nothing follows the trampoline: the backtrace ends there.
expect called '*waits_for_bread bakes breakfast *rdl_switch_start '
expect 'in place' '*waits_for_bread bakes breakfast_in_place *rdl_switch_start '
expect fresh 'rdl_switch_start '
grep -A 30 '^thread$' "$work/gdb" | grep -q ' main ' || {
    echo "gdb_parked: the thread's own frames are gone"
    failed=1
}
exit "$failed"
