#!/usr/bin/env bash
# Runs the README's echo server: what is sent comes back, and Ctrl-C ends it.
#
#     tests/examples/echo.sh PROGRAM
set -u
program=$1

# talk LINE: sends it on a new connection, prints what comes back. Fails where nobody listens.
talk() {
    local answer
    { exec 3<>/dev/tcp/127.0.0.1/7000; } 2>/dev/null || return 1
    printf '%s\n' "$1" >&3
    IFS= read -r -t 10 answer <&3
    exec 3>&-
    printf '%s' "$answer"
}

if talk hello >/dev/null; then
    echo "port 7000 is in use"
    exit 77
fi

env --default-signal=INT "$program" &
server=$!
trap 'kill -KILL "$server" 2>/dev/null' EXIT

for ((i = 0; i < 100; i++)); do
    if answer=$(talk "hello $i"); then
        break
    fi
    kill -0 "$server" 2>/dev/null || exit 1
    sleep 0.1
done
if [ "$answer" != "hello $i" ]; then
    echo "instead of \"hello $i\" came \"$answer\""
    exit 1
fi
kill -INT "$server"
wait "$server"
status=$?
# raddle_serve() tells that it was cancelled, and the program passes that on.
if [ $status -ne 1 ]; then
    echo "the server ended with status $status"
    exit 1
fi
trap - EXIT
echo "one line came back, and SIGINT ended the server"
