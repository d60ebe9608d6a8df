#!/usr/bin/env bash
# tests/conformance/testing_fails.sh - what raddle/test.h says of tests that fail.
#
#     testing_fails.sh PROGRAM        of testing_fails.c
set -u
program=$1
[ -x "$program" ] || exit 2
work=$(mktemp -d) || exit 2
trap 'rm -rf -- "$work"' EXIT
source=$(cd -- "$(dirname -- "$0")" && pwd)/testing_fails.c
policy=${RADDLE_POLICY:-}
loops=${RADDLE_TEST_LOOPS:-1}
case $policy in
sim*) simulated=1 ;;
*) simulated= ;;
esac
bad=0
complain() {
    printf '%s: %s\n%s\n\n' "$test" "$1" "$output"
    bad=$((bad + 1))
}

# try NAME: leaves what one test says in $work/NAME, and its status in $work/NAME.status.
try() {
    local status=0
    "$program" --filter "fails/$1" --color=never >"$work/$1" 2>&1 || status=$?
    echo "$status" >"$work/$1.status"
}

# run NAME: looks at a test, which must have failed, and not crashed.
run() {
    test=$1
    output=$(<"$work/$test")
    status=$(<"$work/$test.status")
    [ "$status" -eq 1 ] || complain "exit status $status"
    grep -q "Tested: 1 | Passing: 0 | Failing: 1 | Crashing: 0" <<<"$output" || complain "should fail, and not crash"
    ! grep -qE "Sanitizer: |runtime error: " <<<"$output" || complain "a sanitizer has something to say"
    ! grep -q "said: not reached" <<<"$output" || complain "went on behind a failed assertion"
}

# says PATTERN...: each in the output. never PATTERN: not in it. in_order PATTERN...: the first lines that match.
says() {
    local pattern
    for pattern in "$@"; do
        grep -qE -- "$pattern" <<<"$output" || complain "doesn't say \"$pattern\""
    done
}
never() {
    ! grep -qE -- "$1" <<<"$output" || complain "says \"$1\""
}
in_order() {
    local pattern last=0 at
    for pattern in "$@"; do
        at=$(grep -nE -m 1 -- "$pattern" <<<"$output" | cut -d: -f1)
        [ "${at:-0}" -gt "$last" ] || complain "\"$pattern\" is not where it should be"
        last=${at:-0}
    done
}
# line WORD: testing_fails.c and the number of the line that ends in that comment.
line() {
    printf '[^( ]*testing_fails\\.c:%s' "$(grep -nE "/\* $1 \*/\$" "$source" | cut -d: -f1)"
}
of_test() {
    printf '[^( ]*testing_fails\\.c:%s' "$(grep -nE "^RADDLE_TEST\(fails, $1[,)]" "$source" | cut -d: -f1)"
}

# Most of them wait for a while: four at a time.
while read -r name; do
    case ${simulated:+$name} in # these aren't looked at there, see below
    leaves_a_loop_that_is_held | with_some_seed) continue ;;
    esac
    [ "$(jobs -rp | wc -l)" -lt 4 ] || wait -n
    try "$name" &
done < <(sed -nE 's/^RADDLE_TEST\(fails, ([a-z_]+)[,)].*/\1/p' "$source")
wait

run assert_in_the_body
in_order "$(line body): Assertion Failed" "said: teardown" "said: second clean-up" "said: first clean-up"
says "new style"
run assert_ok
says "fail\(NULL\) is -5: Input/output error" "said: teardown"
run expect_goes_on
says "expected" "said: reached" "said: teardown"
run assert_in_children
says "$(line child): Assertion Failed" "deep in a child" "said: an assertion of the test failed" "said: teardown"
never "reported:"
run assert_on_another_loop
in_order "there" "said: teardown"
says "said: cancelled"
[ "$loops" -eq 1 ] || says "said: on loop [1-9]"
run assert_with_a_lock
says "locked" "said: the owner is dead" "said: teardown" "reported: task \"body\" .* ended while it held a mutex"
run assert_in_a_callback
says "in a callback" "there is no teardown"
never "said: teardown"
run assert_in_a_thread
says "in a thread" "there is no teardown"

run setup_fails
says "part"
never "said: teardown"
run setup_fails_with_a_clean_up
says "said: first clean-up"
never "said: teardown"
run teardown_fails
in_order "part" "said: first clean-up"
run clean_ups_fail
in_order "said: teardown" "clean-up asserts" "$(line clean-up): Assertion Failed" \
    "the clean-up registered here failed: Input/output error" "said: first clean-up"
run group_fails
says "a task of raddle_test_group\(\) failed: Input/output error" "said: the body was cancelled" "said: teardown"
run group_asserts
says "clean-up asserts" "said: the body was cancelled" "said: teardown"
never "a task of raddle_test_group\(\) failed"
run group_fails_in_the_teardown
says "a task of raddle_test_group\(\) failed: Input/output error" "said: teardown"
never "raddle_(yield|sleep)"

late="body isn't over after its 0.500 s"
run hangs
[ -z "$simulated" ] || never "since -" # seen from outside, there is no virtual time
in_order "$late" "body \($(of_test hangs)\) .*waits for the tasks of its group" \
    "sleep_forever \($(line hangs)\) .*waits for a point in time that never comes"
in_order "said: the body was cancelled" "said: teardown"
run teardown_hangs
says "${late/body/teardown}"
in_order "said: it was cancelled" "said: first clean-up"
run is_stubborn
in_order "$late" "body was cancelled and doesn't end" "It is left there"
never "said: teardown"
run never_suspends
in_order "body isn't over after its 0.500 s" "body \($(of_test never_suspends)\) .*runnable or running" \
    "body was cancelled and doesn't end"
run spawns_without_end
says "body isn't over after its 0.200 s"
run waits_in_vain
in_order "body waits, and nothing can happen any more" "said: it was cancelled"
says "RADDLE_POLICY=sim:seed=1 has the same again" "said: teardown"

run leaves_tasks
says "2 tasks were left" "sleep_forever \($(line task)\)" "sleep_forever .* \[pinned\]" "said: teardown"
run leaves_a_callback
says "1 callbacks with a time were left" "callback nothing \($(line callback)\): in 3[56][0-9]{2}"
run leaves_descriptors
says "was left open: socket:\[[0-9]+\], listening at 127\.0\.0\.1:[0-9]+|was left open: socket:\[[0-9]+\], listening at 0\.0\.0\.0:[0-9]+" \
    "was left open: pipe:"
[ "$(grep -c "was left open" <<<"$output")" -eq 2 ] || complain "should name two descriptors"
run leaves_a_lock
says "reported: task \"body\" \($(of_test leaves_a_lock)\) ended while it held a mutex"
run a_child_leaves_a_lock
says "reported: task \"lock_in_a_child\" \($(line lock)\) ended while it held a mutex"
run leaves_a_failure
says "reported: task \"fail\" \($(line failure)\) failed: Input/output error"
run leaves_an_unread_future
says "reported: a future made at .*$(line future) failed, and nobody has read it"
run cleans_up_late
says "$(line late): Assertion Failed" "a clean-up was registered after the last one" "said: teardown"
never "said: first clean-up"
if [ -z "$simulated" ]; then # there all loops have one thread
    run leaves_a_loop_that_is_held
    in_order "said: teardown" "the search for what was left isn't over after its 0.500 s" "It is left there"
fi

run expects_a_cancellation_point
says "fail\(NULL\) met no cancellation point" "said: teardown"
run expects_no_cancellation_point
says "yields\(NULL\) met a cancellation point" "said: teardown"

# A failing seed is named in a way that can be pasted, and fails again.
if [ -z "$simulated" ]; then
    run with_some_seed
    says "order"
    again=$(grep -oE "RADDLE_POLICY=sim:seed=[0-9]+,latency=2ms" <<<"$output" | head -n 1)
    [ -n "$again" ] || complain "doesn't name the seed"
    export "${again?}"
    try with_some_seed
    run with_some_seed
    says "order" "$again has the same again"
fi

[ "$bad" -eq 0 ] || exit 1
echo "all of them fail as they should"
