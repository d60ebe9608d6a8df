#!/usr/bin/env bash
# tests/plants.sh - plants twelve bugs, one build each, and shows which gate catches it.
#
#     plants.sh SOURCE_ROOT WORK_DIR [NAME...]
#
# A gate is a test of CTest. Each must pass without a bug first, and fail with its own: one that is skipped or
# can't be built has caught nothing. sim_seeds goes through up to 10,000 seeds, and the one that it fails with has to
# fail again, by the command that it prints. The last line is "N caught, N not". The exit status is 0 only if all are
# caught, and if a Release refuses to be built with a bug.
set -u
if [ $# -lt 2 ]; then
    sed -n '4p' "${BASH_SOURCE[0]}" >&2
    exit 2
fi
root=$(cd -- "$1" && pwd) || exit 2
mkdir -p -- "$2" || exit 2
work=$(cd -- "$2" && pwd) || exit 2
shift 2
only=" $* "
: "${CC:=cc}"

# bug | gate | what it is
plants='
FENCE|model_deque|take without its fence: one task runs on two threads
WAKE|model_team|no second look before a loop sleeps: a wake is missed
LEAK|test_spawn.epoll.1|a spawn that finds no memory keeps its stack
JUMP|test_stack|a guard of one page, which a frame jumps over
REUSE|test_socket_waits.uring.1|a task goes on before its operation has been reaped
SHORT|test_stream.epoll.1|a part that was sent is taken for all
INTERRUPT|test_socket.epoll.1|an interruption is handed on instead of tried again
CLOEXEC|cloexec.epoll.1|accept without CLOEXEC
ERRNO|test_move.epoll.4|the address of errno is kept over a suspension
ACCEPT|race_io.epoll.4|a cancel that comes late drops the connection
POKE|sim_seeds|who completes leaves the wake to a cancel that a shield holds off
GRANT|sim_seeds|what is granted to one who is just being cancelled is lost
'

configure() { # BUILD_TYPE BUG: in the one folder, so that only what the bug is in is built again
    cmake -G Ninja -S "$root" -B "$work/build" "-DCMAKE_C_COMPILER=$CC" "-DCMAKE_BUILD_TYPE=$1" -DRADDLE_BUILD_TESTS=ON \
        -DRADDLE_BUILD_TOOLS=OFF -DRADDLE_INSTALL=OFF -DRADDLE_MODEL_SCHEDULES=20000 "-DRADDLE_PLANT=$2" \
        >"$work/log" 2>&1 </dev/null
}

# seeds COUNT: the same of sim_seeds, which has been built.
seeds() {
    local first again
    if "$work/build/tests/sim_seeds" --seeds "$1" >"$work/log" 2>&1 </dev/null; then
        echo passed
        return
    fi
    first=$(sed -n 's/^failed: //p' "$work/log")
    # shellcheck disable=SC2086 # a program and its arguments
    if [ -z "$first" ]; then
        echo "not run: it names no seed"
    elif $first >"$work/log.again" 2>&1 </dev/null; then
        echo "not run: ${first#*sim_seeds } doesn't fail again"
    else
        again=$(sed -n 's/^failed: //p' "$work/log.again")
        if [ "$again" = "$first" ]; then
            echo "failed: ${first#*sim_seeds }, and again"
        else
            echo "not run: ${first#*sim_seeds } fails elsewhere: ${again#*sim_seeds }"
        fi
    fi
}

# gate TEST SEEDS: "passed", "failed: why" or "not run: why".
gate() {
    local test=$1 status line
    if ! cmake --build "$work/build" --target "${test%%.*}" >"$work/log" 2>&1 </dev/null; then
        printf 'not run: %s\n' "$(grep -m1 -E 'error|FAILED' "$work/log")"
        return
    fi
    if [ "$test" = sim_seeds ]; then
        seeds "$2"
        return
    fi
    ctest --test-dir "$work/build" --no-tests=error --timeout 120 --output-on-failure -R "^${test//./\\.}\$" \
        >"$work/log" 2>&1 </dev/null
    status=$?
    # What the test says first of what is wrong.
    line=$(grep -aE -m1 '^FAIL|[^ ]+\.[ch]:[0-9]+: |CRASH!|ssertion|Sanitizer|\[FAIL\]|wrong|lost|returned' "$work/log" |
        sed "s#$root/##g" | cut -c1-110)
    if grep -qE '\*\*\*(Not Run|Skipped)' "$work/log"; then
        echo "not run: skipped"
    elif grep -qE '\*\*\*(Failed|Timeout|Exception)' "$work/log"; then
        grep -q '\*\*\*Timeout' "$work/log" && line="it hangs${line:+: $line}"
        printf 'failed: %s\n' "${line:-it fails}"
    elif [ $status -eq 0 ]; then
        echo passed
    else
        printf 'not run: ctest exited with %d\n' $status
    fi
}

caught=0
missed=0
# mark WORD NAME GATE REMARK
mark() { printf '%-9s %-10s %-25s %s\n' "$@"; }

if configure Release FENCE || ! grep -q 'is a bug' "$work/log"; then
    mark "NO" "-" "cmake" "a Release is built with a bug"
    missed=$((missed + 1))
fi
while IFS='|' read -r name test what; do
    [ -n "$name" ] || continue
    [ "$only" = "  " ] || [[ $only == *" $name "* ]] || continue
    if ! configure RelWithDebInfo ""; then
        cat -- "$work/log"
        exit 1
    fi
    sound=$(gate "$test" 1000)
    if [ "$sound" != passed ]; then
        mark "NO" "$name" "$test" "without a bug: $sound"
        missed=$((missed + 1))
        continue
    fi
    configure RelWithDebInfo "$name" || {
        cat -- "$work/log"
        exit 1
    }
    said=$(gate "$test" 10000)
    case $said in
    failed:*)
        mark "caught" "$name" "$test" "$what"
        mark "" "" "" "${said#failed: }"
        caught=$((caught + 1))
        ;;
    *)
        mark "SURVIVES" "$name" "$test" "$what ($said)"
        missed=$((missed + 1))
        ;;
    esac
done <<<"$plants"

printf '%d caught, %d not\n' "$caught" "$missed"
[ "$missed" -eq 0 ] && [ "$caught" -gt 0 ]
