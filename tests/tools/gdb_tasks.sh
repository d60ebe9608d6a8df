#!/bin/bash
# gdb_tasks.sh RADDLE SOURCE_DIR live|core - gdb lists the tasks of a live server, or of its core file.
#
# RADDLE is the command, built with debugging information. 77 without gdb, where a process may not be traced,
# or where the kernel leaves no core file in the working directory.
set -u

raddle=$1
source_dir=$2
what=$3
command -v gdb >/dev/null || exit 77

work=$(mktemp -d) || exit 1
ulimit -c unlimited
(cd "$work" && exec "$raddle" serve http --listen tcp:127.0.0.1:0 --loops 2) >"$work/out" 2>&1 &
pid=$!
trap 'kill -KILL "$pid" 2>/dev/null; rm -rf "$work"' EXIT
for _ in $(seq 100); do
    grep -q '^listening' "$work/out" && break
    sleep 0.1
done
port=$(sed -n 's/^listening on .*:\([0-9]*\)$/\1/p' "$work/out")
exec 3<>"/dev/tcp/127.0.0.1/$port" || exit 1

look() {
    gdb -nx -batch -iex 'set debuginfod enabled off' "$@" -x "$source_dir/tools/raddle-gdb.py" \
        -ex 'raddle tasks' -ex 'echo --\n' -ex 'raddle tasks connection' 2>&1
}

if [ "$what" = live ]; then
    # The connection's task may still be on its way to its first read.
    for _ in $(seq 20); do
        look -p "$pid" >"$work/gdb"
        if grep -q 'ptrace: Operation not permitted' "$work/gdb"; then
            exit 77
        fi
        grep -q '"connection".* waits for ' "$work/gdb" && break
        sleep 0.1
    done
else
    # The kernel's core file: gdb's own lacks what is mapped behind the guard of a stack.
    sleep 0.5
    kill -ABRT "$pid"
    wait "$pid" 2>/dev/null
    core=$(find "$work" -name 'core*' | head -n 1)
    if [ -z "$core" ]; then
        echo "gdb_tasks: no core file; the pattern is $(cat /proc/sys/kernel/core_pattern)"
        exit 77
    fi
    look "$raddle" "$core" >"$work/gdb"
fi
cat "$work/gdb"

failed=0
expect() {
    grep -qE "$1" "$work/gdb" || {
        echo "gdb_tasks: there is no line like $1"
        failed=1
    }
}
expect '^0x[0-9a-f]+ "main" \[pinned\] waits for '
expect '^0x[0-9a-f]+ "listen_task" .*, spawned at .*serve\.c:[0-9]+$'
expect '^0x[0-9a-f]+ "acceptor" .* waits for accept\([0-9]+\) on loop 1$'
expect '^#[0-9]+ .* in rdl_fiber_park( |$)'
expect '^#[0-9]+ .* in rdl_switch_start( |$)'
expect '^1 tasks$'
exit "$failed"
