#!/bin/bash
# The raddle command from outside: options, answers, limits, hostile clients, an orderly end.
#
#   cli.sh RADDLE [fast]      fast leaves out what has to wait for a time limit of the server
#
# Runs with the policy that RADDLE_POLICY names. Ends with 0 if all was as expected.
set -u

raddle=$1
patience=${RADDLE_TEST_PATIENCE:-1}
fast=${2:-}
work=$(mktemp -d) || exit 1
servers=()
failed=0
passed=0

finish() {
    local pid
    for pid in "${servers[@]:-}"; do
        [ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null
    done
    rm -rf -- "$work"
}
trap finish EXIT

pass() { passed=$((passed + 1)); }
fail() {
    failed=$((failed + 1))
    echo "FAILED: $*" >&2
}
# same WHAT GOT WANTED
same() { if [ "$2" = "$3" ]; then pass; else fail "$1: got '$2', wanted '$3'"; fi; }
# contains WHAT TEXT PART
contains() { case $2 in *"$3"*) pass ;; *) fail "$1: no '$3' in '$2'" ;; esac; }

# serve ARGUMENT...: starts a server, with at most $files descriptors; its process in $server, its port
# in $port, its output in $log.
files=""
serve() {
    log=$work/server.${#servers[@]}
    : >"$log"
    # A shell without job control starts what it puts in the background with SIGINT ignored.
    (
        [ -z "$files" ] || ulimit -n "$files"
        exec env --default-signal=INT "$raddle" serve "$@" >"$log" 2>&1 </dev/null
    ) &
    server=$!
    servers+=("$server")
    for _ in $(seq 100); do
        grep -q '^listening on ' "$log" && break
        kill -0 "$server" 2>/dev/null || break
        sleep 0.05
    done
    port=$(sed -nE 's/^listening on tcp:.*:([0-9]+)$/\1/p' "$log")
    grep -q '^listening on ' "$log" || fail "serve $*: $(cat "$log")"
}

# stop SIGNAL: ends the server and checks how it went; how many tenths of a second in $took.
stop() {
    local status
    took=0
    kill "-$1" "$server"
    while kill -0 "$server" 2>/dev/null && [ $took -lt 600 ]; do
        sleep 0.1
        took=$((took + 1))
    done
    kill -0 "$server" 2>/dev/null && fail "the server still runs $took tenths after SIG$1"
    wait "$server"
    status=$?
    same "status after SIG$1" $status 0
    contains "summary after SIG$1" "$(cat "$log")" "served "
}

# status REQUEST: the status line's number for raw bytes (as printf takes them), or nothing.
status() {
    local fd line
    exec {fd}<>"/dev/tcp/127.0.0.1/$port" || return
    # shellcheck disable=SC2059
    printf "$1" >&"$fd"
    IFS= read -r -t 8 line <&"$fd"
    exec {fd}>&-
    line=${line#HTTP/1.1 }
    echo "${line%% *}"
}
# answers REQUEST: all that comes back until the server closes.
answers() {
    local fd
    exec {fd}<>"/dev/tcp/127.0.0.1/$port" || return
    # shellcheck disable=SC2059
    printf "$1" >&"$fd"
    timeout 8 cat <&"$fd"
    exec {fd}>&-
}

echo "== options"
# wrong ARGUMENT...: status 2, one line on standard error, nothing on standard output.
wrong() {
    local out status
    out=$("$raddle" "$@" 2>"$work/err" </dev/null)
    status=$?
    same "raddle $*: status" "$status" 2
    same "raddle $*: lines" "$(wc -l <"$work/err")" 1
    same "raddle $*: output" "$out" ""
}
wrong
wrong nonsense
wrong --nonsense
wrong serve
wrong serve ftp
wrong serve echo http
wrong serve http --nonsense
wrong serve http --listen
wrong serve http --listen localhost
wrong serve http --listen tcp:127.0.0.1
wrong serve http --listen tcp:127.0.0.1:65536
wrong serve http --listen unix:
wrong serve http --loops 0
wrong serve http --loops 2x
wrong serve http --loops -1
wrong serve http --policy kqueue
wrong serve http --mobility sideways
wrong serve http --drain -1
wrong serve http --drain 1h
wrong serve http --nice 20
wrong serve http --threads 0
wrong serve http --max-connections 0
wrong load
wrong load http --url ftp://127.0.0.1/
wrong load http --url http://
wrong load http --connections 0
wrong load http --rate nan
wrong load http --duration 0
wrong load echo --url http://127.0.0.1/
wrong load echo --size 0
wrong load echo --pipeline 1000
wrong doctor now
wrong doctor --nonsense
wrong bench
wrong bench nonsense
wrong bench switch --samples 0
wrong bench all nonsense
wrong bench echo --pipeline 0
wrong bench idle --connections 0
wrong bench idle --connect tcp:127.0.0.1:80
wrong bench idle --connect localhost:80 --server-pid 1
for command in "" serve load doctor bench; do
    # shellcheck disable=SC2086
    out=$("$raddle" $command --help 2>&1)
    same "raddle $command --help" $? 0
    contains "raddle $command --help" "$out" "Usage: "
done
contains "version" "$("$raddle" --version)" "raddle "

echo "== addresses"
out=$(timeout 10 "$raddle" serve echo --listen tcp:not.numeric:1 2>&1)
same "a name instead of a number: status" $? 2
contains "a name instead of a number" "$out" "tcp:not.numeric:1"
out=$(timeout 10 "$raddle" serve echo --listen unix:/nonexistent/folder/socket 2>&1)
same "a socket in no folder: status" $? 1
# Beside what is said where io_uring is denied.
same "a socket in no folder: lines" "$(grep -vc "; using epoll$" <<<"$out")" 1
out=$(timeout 10 "$raddle" load echo --connect tcp:127.0.0.1:1 --duration 1 2>&1)
same "load without a server: status" $? 1
contains "load without a server" "$out" "refused"

echo "== http"
serve http --listen tcp:127.0.0.1:0 --loops 2 --drain 60
same "the port is taken: status" "$(
    timeout 10 "$raddle" serve echo --listen "tcp:127.0.0.1:$port" >"$work/taken" 2>&1
    echo $?
)" 1
contains "the port is taken" "$(cat "$work/taken")" "in use"

h='Host: a\r\n'
same "/" "$(status "GET / HTTP/1.1\r\n$h\r\n")" 200
same "/stats" "$(status "GET /stats HTTP/1.1\r\n$h\r\n")" 200
same "/hash" "$(status "GET /hash?n=1000 HTTP/1.1\r\n$h\r\n")" 200
same "/hash?n=x" "$(status "GET /hash?n=x HTTP/1.1\r\n$h\r\n")" 400
same "/nothing" "$(status "GET /nothing HTTP/1.1\r\n$h\r\n")" 404
same "POST /" "$(status "POST / HTTP/1.1\r\n${h}Content-Length: 0\r\n\r\n")" 405
same "no Host" "$(status 'GET / HTTP/1.1\r\n\r\n')" 400
same "garbage" "$(status '\x16\x03\x01\x00\xff\x01\r\n\r\n')" 400
same "HTTP/2" "$(status 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')" 505
same "a large body" "$(status "POST / HTTP/1.1\r\n${h}Content-Length: 2000000\r\n\r\n")" 413
same "smuggling" "$(status "POST / HTTP/1.1\r\n${h}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n")" 400
same "Expect" "$(status "POST / HTTP/1.1\r\n${h}Content-Length: 4\r\nExpect: 100-continue\r\n\r\n")" 100
same "a long URL" "$(status "GET /$(head -c 9000 /dev/zero | tr '\0' x) HTTP/1.1\r\n$h\r\n")" 414
same "a long head" "$(status "GET / HTTP/1.1\r\n${h}X: $(head -c 40000 /dev/zero | tr '\0' x)")" 431

out=$(answers "GET / HTTP/1.1\r\n$h\r\nHEAD / HTTP/1.1\r\n$h\r\nGET /no HTTP/1.1\r\n${h}Connection: close\r\n\r\n")
same "pipelined: answers" "$(grep -c '^HTTP/1.1 ' <<<"$out")" 2
same "pipelined: bodies" "$(grep -o 'Hello, World!' <<<"$out" | wc -l)" 1
contains "pipelined: the last" "$out" "404 Not Found"
out=$(answers "POST / HTTP/1.1\r\n${h}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET / HTTP/1.0\r\n\r\n")
contains "after a chunked body" "$out" "Hello, World!"
out=$(answers 'GET / HTTP/1.0\r\n\r\n')
contains "HTTP/1.0 closes" "$out" "Connection: close"

# Reads back what the server said before it cut off a head that does not end.
exec {fd}<>"/dev/tcp/127.0.0.1/$port"
{
    printf 'GET / HTTP/1.1\r\nHost: a\r\nX: '
    timeout 60 head -c 1073741824 /dev/zero | tr '\0' x
} 2>/dev/null 1>&"$fd"
IFS= read -r -t 8 line <&"$fd"
exec {fd}>&-
contains "a head of 1 GiB" "$line" " 431 "

if command -v curl >/dev/null; then
    url=http://127.0.0.1:$port
    code() { curl -s -o "$work/body" -w '%{http_code}' --max-time 20 "$@"; }
    same "curl /" "$(code "$url/")" 200
    same "curl /: body" "$(cat "$work/body")" "Hello, World!"
    same "curl --head" "$(code --head "$url/")" 200
    head -c 1000000 /dev/zero >"$work/data"
    same "curl, 1 MB" "$(code --data-binary "@$work/data" "$url/")" 405
    same "curl, 1 MB, chunked" "$(code -H 'Transfer-Encoding: chunked' -H 'Expect:' --data-binary "@$work/data" "$url/")" 405
    cat "$work/data" "$work/data" >"$work/more"
    same "curl, 2 MB" "$(code --data-binary "@$work/more" "$url/")" 413
    same "curl, two requests" "$(code "$url/" --next -s -o "$work/body" -w '%{http_code}' "$url/no")" 200404
fi

if [ -z "$fast" ]; then
    # One byte a second: 408, although bytes keep coming.
    (
        exec {fd}<>"/dev/tcp/127.0.0.1/$port"
        printf 'GET / HTTP/1.1\r\nX: ' >&"$fd"
        for _ in $(seq 14); do
            printf 'x' 2>/dev/null 1>&"$fd" || break
            sleep 1
        done &
        IFS= read -r -t 14 line <&"$fd"
        echo "$line" >"$work/slow"
    ) &
    slow=$!
fi

echo "== load"
out=$(timeout 30 "$raddle" load http --url "http://127.0.0.1:$port/" --connections 20 --duration 1 --json)
same "load http: status" $? 0
contains "load http" "$out" '"errors":0,'
contains "load http" "$out" '"p999_us":'
out=$(timeout 30 "$raddle" load http --url "http://127.0.0.1:$port/" --connections 4 --duration 1 --pipeline 16 --loops 2)
same "load http, pipelined: status" $? 0
out=$(timeout 30 "$raddle" load http --url "http://127.0.0.1:$port/" --connections 4 --duration 1 --rate 500 --json)
same "load http, open loop: status" $? 0
requests=$(sed -nE 's/.*"requests":([0-9]+).*/\1/p' <<<"$out")
# Fewer where the machine is busy with something else, never more.
if [ "${requests:-0}" -ge 100 ] && [ "${requests:-0}" -le 520 ]; then pass; else fail "open loop: $requests requests instead of 500"; fi
out=$(timeout 30 "$raddle" load http --url "http://127.0.0.1:$port/no" --connections 2 --duration 0.2 --json)
same "load on what is not there: status" $? 1
contains "load on what is not there" "$out" '"closed":0,'

if [ -z "$fast" ]; then
    wait "$slow"
    contains "1 byte a second" "$(cat "$work/slow")" " 408 "
fi

echo "== stop"
# One connection that does nothing, one in the middle of a request, one whose answer takes a while.
exec {idle}<>"/dev/tcp/127.0.0.1/$port"
exec {busy}<>"/dev/tcp/127.0.0.1/$port"
sleep 1.2
printf 'GET /hash?n=300000 HTTP/1.1\r\nHost: a\r\n\r\n' >&"$busy"
sleep 0.1
stop INT
IFS= read -r -t 60 line <&"$busy"
contains "a request during the stop" "$line" " 200 "
IFS= read -r -t 1 line <&"$idle"
same "an idle connection during the stop" "$line" ""
exec {idle}>&- {busy}>&-
same "after the stop" "$(status 'GET / HTTP/1.1\r\n\r\n' 2>/dev/null)" ""

serve http --listen tcp:127.0.0.1:0 --drain 0
exec {idle}<>"/dev/tcp/127.0.0.1/$port"
stop TERM
exec {idle}>&-
if [ "$took" -lt 30 ]; then pass; else fail "a stop without drain took $took tenths"; fi

echo "== echo"
serve echo --listen tcp:127.0.0.1:0
for size in 1 64 16384 1M; do
    timeout 30 "$raddle" load echo --connect "tcp:127.0.0.1:$port" --connections 8 --size $size --duration 1 --warmup 0 >"$work/out"
    same "load echo, $size: status" $? 0
done
timeout 30 "$raddle" load echo --connect "tcp:127.0.0.1:$port" --connections 8 --pipeline 8 --duration 0.3 --server-pid "$server" >"$work/out"
same "load echo, pipelined: status" $? 0
contains "load echo" "$(cat "$work/out")" "server"
stop INT
serve echo --listen "unix:$work/socket"
timeout 30 "$raddle" load echo --connect "unix:$work/socket" --connections 8 --duration 0.3 >"$work/out"
same "load echo, unix socket: status" $? 0
stop TERM

echo "== few descriptors"
files=64
serve http --listen tcp:127.0.0.1:0 --loops 1
files=""
# More connections than it can have, for a while.
for _ in 1 2; do
    (
        for _ in $(seq 50); do
            exec {fd}<>"/dev/tcp/127.0.0.1/$port"
        done 2>/dev/null
        sleep 0.5
    ) &
    crowd=$!
done
wait "$crowd"
same "after a burst beyond the descriptors" "$(status "GET / HTTP/1.1\r\n$h\r\n")" 200
stop INT

echo "== doctor, bench"
out=$("$raddle" doctor 2>&1)
same "doctor: status" $? 0
contains "doctor" "$out" "io_uring"
out=$("$raddle" doctor --json)
same "doctor --json: status" $? 0
contains "doctor --json" "$out" '"findings":['
# bench ARGUMENT...: status 0, and nothing but figures, each with a value.
bench() {
    local out status
    out=$(timeout $((120 * patience)) "$raddle" bench "$@" --quick --samples 1 --json)
    status=$?
    same "bench $*: status" $status 0
    same "bench $*: lines" "$(grep -cE '^\{"name":"[a-z_.0-9]+","value":-?[0-9]' <<<"$out")" "$(wc -l <<<"$out")"
}
bench switch yield sync --loops 1
bench spawn --count 100000
bench wake channel --loops 2
bench skynet timers executor --count 1000
bench fib --count 12
bench parked --count 1000
# Long enough for one answer, whatever else runs here.
bench stall --duration 0.5
bench echo http idle --connections 4 --size 64 --duration 0.5
out=$(ulimit -n 40 && timeout 60 "$raddle" bench idle --connections 100 --quick 2>&1 >/dev/null)
same "bench of what can't be done: status" $? 1
contains "bench of what can't be done" "$out" "of 100 connections"

echo "$passed passed, $failed failed"
[ $failed -eq 0 ] && [ $passed -gt 0 ]
