#!/usr/bin/env bash
# Runs a program of asyncio's tutorials, written for raddle: it prints what it should.
#
#     tests/examples/tasks.sh PROGRAM NAME
set -u
case $2 in
overlap) wanted=$'started\nhello\nworld\nfinished' ;;
gather) wanted=$'gather: Numerical argument out of domain\n2: 1\n3: Numerical argument out of domain\n4: 2\n5: Numerical argument out of domain' ;;
cancel) wanted=$'working\nstopped because of: the work is done\ncleaned up\nit was cancelled' ;;
producer_consumer) wanted=$'all are handed out\n3 workers did 20 jobs, 210 ms of work' ;;
limit) wanted='at most 5 of 20 at a time' ;;
*)
    echo "no such example: $2"
    exit 1
    ;;
esac

if ! printed=$("$1"); then
    echo "$2 failed; it printed: $printed"
    exit 1
fi
if [ "$printed" != "$wanted" ]; then
    printf '%s printed\n%s\ninstead of\n%s\n' "$2" "$printed" "$wanted"
    exit 1
fi
echo "$2 printed what it should"
