#!/usr/bin/env bash
# tests/model/mutants.sh - weakens copies of the sources, one place at a time, and shows that the model
# checker finds each: by which scenario, after how many schedules, with which seed, as what.
#
#     mutants.sh [--few | --part N/OF] SOURCE_ROOT WORK_DIR [TEXT...]
#
# The mutants are those that mutants.awk makes of the shipping sources - every ordering one step weaker, every fence
# dropped, every compare-exchange torn - and those of mutants.txt. Each has to be found, or to be in equivalent.txt
# with the reason why it is right; then it has to survive. --few tries a sample, --part every OF-th from the N-th on.
# TEXT takes the mutants whose name has one of these in it.
#
# Fails if a mutant is neither found nor explained, if one that is explained is found or isn't one, if an edit no
# longer changes anything, or if an unweakened scenario fails.
set -uo pipefail

few=no
share=1
shares=1
if [ "${1-}" = --few ]; then
    few=yes
    shift
elif [ "${1-}" = --part ]; then
    share=${2%%/*}
    shares=${2##*/}
    shift 2
fi
if [ $# -lt 2 ]; then
    sed -n '5p' "${BASH_SOURCE[0]}" >&2
    exit 2
fi
root=$(cd -- "$1" && pwd) || exit 2
mkdir -p -- "$2" || exit 2
work=$(cd -- "$2" && pwd) || exit 2
shift 2
wanted=("$@")

: "${CC:=cc}"
flags=(-std=gnu11 -O2 -g -UNDEBUG -DRDL_MODEL)

# How many schedules of each case, and which: most mutants are found in the first two. What is equivalent has to get
# through these. The numbers are for scenarios with whole loops, which take long; others get ten times as many.
rounds=("1000" "1000 --random" "3000 --first 10000" "3000 --random --first 20000" "10000 --first 50000"
    "10000 --random --first 100000" "100000 --first 200000" "50000 --depth 5 --first 500000"
    "100000 --random --first 1000000")
equivalent_rounds=2
last_round=${RADDLE_MUTANT_ROUNDS:-${#rounds[@]}} # fewer, to look for what may survive

# Which sources a scenario is made of. Those that take least time first.
hosted="sched/cancel.c sched/coroutine.c sched/deque.c sched/fiber.c sched/idle.c sched/inbox.c
    sched/inject.c sched/loop.c sched/rest.c sched/spin.c sched/strand.c sched/team.c sched/timer.c sched/wait.c sched/switch_$(uname -m).S tests/model/host.c"
tasks="runtime/context.c runtime/group.c runtime/local.c runtime/map.c runtime/scope.c runtime/started.c runtime/task.c runtime/tree.c tests/model/model_describe.c"
read -ra scenarios <<<"${RADDLE_MUTANT_SCENARIOS:-map inject inbox wait idle deque table handoff depot cancel home strand turn fd group closing team sync server executor}" # to look closer
declare -A sources=(
    [deque]="sched/deque.c"
    [inject]="sched/inject.c"
    [inbox]="sched/inbox.c"
    [wait]="sched/wait.c"
    [idle]="sched/idle.c"
    [handoff]="sched/handoff.c"
    [depot]="sched/stack.c sched/depot.c"
    [table]="io/table.c"
    [map]="runtime/map.c"
    [team]="$hosted tests/model/model_libc.c"
    [cancel]="$hosted"
    [home]="$hosted"
    [strand]="$hosted"
    [turn]="$hosted sched/turn.c"
    [group]="$hosted $tasks"
    [closing]="$hosted $tasks runtime/loop.c tests/model/model_libc.c"
    [executor]="$hosted sched/handoff.c sched/pool.c runtime/executor.c tests/model/model_libc.c"
    [sync]="$hosted $tasks runtime/condition.c runtime/event.c runtime/mutex.c runtime/semaphore.c runtime/waiter.c"
    [server]="$hosted $tasks runtime/server.c runtime/time.c"
    [fd]="$hosted io/fd.c io/op.c io/table.c tests/model/model_libc.c"
)

# Of what mutants.awk makes, those of the quick tier.
the_few='
sched/cancel.c rdl_scope_canceller load_acquire(&scope->state) becomes: load_relaxed
sched/deque.c rdl_deque_steal fence_seq_cst() becomes: fence_dropped
sched/deque.c rdl_deque_take fence_seq_cst() becomes: fence_dropped
sched/idle.c rdl_idle_sleep fence_seq_cst() becomes: fence_dropped
sched/inbox.c rdl_inbox_push cas_release(&inbox->newest, &newest, r) becomes: torn_release
sched/lock.h rdl_lock_acquire exchange_acquire(&lock->held, 1u) becomes: exchange_relaxed
sched/wait.c rdl_wait_park cas_seq_cst(&wait->word, &armed, parked) becomes: torn_seq_cst
sched/wait.c rdl_wait_fire cas_acq_rel(&ticket.wait->word, &seen, fired(seen, result)) becomes: torn_acq_rel
'

compile() { # OUTPUT SOURCE_ROOT SOURCE [FLAG...]
    local output=$1 from=$2 source=$3
    shift 3
    "$CC" "${flags[@]}" "-I$from" "-I$from/include" "$@" -c "$from/$source" -o "$output"
}

# The checker itself is never weakened.
checker=()
for part in memory plain run thread tsan_hooks main; do
    compile "$work/$part.o" "$root" "tests/model/$part.c" -O3 || exit 1
    checker+=("$work/$part.o")
done
"$CC" -c "$root/tests/model/switch.S" -o "$work/switch.o" || exit 1
checker+=("$work/switch.o")

# The objects of the scenario as it is stay; a mutant needs only what was edited, or all after a header.
build() { # SCENARIO SOURCE_ROOT OUTPUT EDITED
    local scenario=$1 from=$2 output=$3 edited=$4 objects=() source object sound
    for source in "tests/model/scenario_$scenario.c" tests/model/model_lock.c ${sources[$scenario]}; do
        sound=$work/sound_$scenario-${source//\//_}.o
        object=$output-${source//\//_}.o
        if [[ -n $edited && $edited != *.h && $edited != "$source" ]]; then
            object=$sound
        else
            [ -n "$edited" ] || object=$sound
            case $source in
            *.S) "$CC" -c "$from/$source" -o "$object" ;;
            */host.c) compile "$object" "$from" "$source" ;;
            *)
                compile "$object" "$from" "$source" -fsanitize=thread -include "$from/tests/model/watched.h" \
                    -include "$from/tests/model/weakened.h"
                ;;
            esac || return 1
        fi
        objects+=("$object")
    done
    "$CC" -o "$output" "${objects[@]}" "${checker[@]}"
}

copy=$work/copy
rm -rf -- "$copy"
mkdir -p -- "$copy/tests"
cp -R -- "$root/sched" "$root/io" "$root/runtime" "$root/include" "$copy/" || exit 1
cp -R -- "$root/tests/model" "$copy/tests/" || exit 1
mkdir -p -- "$copy/tests/support" && cp -- "$root/tests/support/counted.h" "$copy/tests/support/" || exit 1

killed=0
equivalent=0
failed=0

fail() { # WHAT NAME [MORE]
    printf '%-10s  %s%s\n' "$1" "$2" "${3:+: $3}"
    failed=$((failed + 1))
}

verdict=""

# Each scenario is built once as it is, and has to be clean.
declare -A sound=()
is_sound() { # SCENARIO
    local output="it does not build"
    if [ -z "${sound[$1]-}" ]; then
        sound[$1]=yes
        if ! build "$1" "$root" "$work/model_$1" "" || ! output=$(timeout 300 "$work/model_$1" 2000 2>&1); then
            fail "NOT SOUND" "$1" "$output"
            sound[$1]=no
        fi
    fi
    [ "${sound[$1]}" = yes ]
}

turn=0
is_wanted() { # NAME
    local text
    turn=$((turn % shares + 1))
    [ $turn -eq "$share" ] || return 1
    [ ${#wanted[@]} -gt 0 ] || return 0
    for text in "${wanted[@]}"; do
        [[ $1 != *"$text"* ]] || return 0
    done
    return 1
}

# The scenarios that a file is part of.
scenarios_of() { # FILE
    local scenario
    for scenario in "${scenarios[@]}"; do
        case $1 in
        *.h) printf '%s ' "$scenario" ;;
        *) [[ " ${sources[$scenario]} tests/model/scenario_$scenario.c" != *[[:space:]]"$1"* ]] || printf '%s ' "$scenario" ;;
        esac
    done
}

# Tries the mutant that is in the copy. verdict is which scenario found it, and how; 1: none did; 2: it can't be tried,
# and verdict is why.
try() { # FILE ROUNDS SCENARIO...
    local file=$1 last=$2 round scenario line status after where seed what output schedules
    shift 2
    rm -f -- "$work"/mutant_*
    for round in "${rounds[@]:0:$last}"; do
        for scenario in "$@"; do
            if [ ! -e "$work/mutant_$scenario" ]; then
                verdict="$scenario isn't sound"
                is_sound "$scenario" || return 2
                verdict="it does not build in $scenario"
                build "$scenario" "$copy" "$work/mutant_$scenario" "$file" >"$work/build.log" 2>&1 || return 2
            fi
            schedules=${round%% *}
            [[ ${sources[$scenario]} == *host.c* ]] || schedules=${schedules}0
            # shellcheck disable=SC2086 # options
            output=$(timeout 900 "$work/mutant_$scenario" "$schedules" ${round#"${round%% *}"} 2>&1)
            status=$?
            [ $status -ne 0 ] || continue
            # The case that finds it first speaks for all.
            line=$(printf '%s\n' "$output" | grep '^FAIL ' |
                sed -E 's/^FAIL model ([^:]*): seed=([0-9]+) after ([0-9]+) schedules: (.*)/\3 \1 \2 \4/' |
                sort -n | head -n 1)
            verdict="$scenario ends with status $status and says nothing"
            [ -n "$line" ] || return 2
            read -r after where seed what <<<"$line"
            verdict="$where after $after schedules (${round#* }, seed $seed): ${what//"$copy/"/}"
            verdict=${verdict/(${round%% *}, /(}
            return 0
        done
    done
    verdict="none of $*"
    return 1
}

# Judges the mutant that is in the copy, and puts the source back.
judge() { # NAME FILE REASON SCENARIO...
    local name=$1 file=$2 reason=$3 last=$last_round
    shift 3
    [ -z "$reason" ] || [ "$last" -lt $equivalent_rounds ] || last=$equivalent_rounds
    if [ $# -eq 0 ]; then
        fail "NOT TRIED" "$name" "it is part of no scenario"
    elif cmp -s "$root/$file" "$copy/$file"; then
        fail "NO CHANGE" "$name"
    else
        try "$file" "$last" "$@"
        case $?$reason in
        0)
            printf 'killed      %s: by %s\n' "$name" "$verdict"
            killed=$((killed + 1))
            ;;
        0*) fail "NOT EQUAL" "$name" "is listed as equivalent, but found by $verdict" ;;
        1) fail "SURVIVES" "$name" "found by $verdict" ;;
        1*)
            printf 'equivalent  %s: %s\n' "$name" "$reason"
            equivalent=$((equivalent + 1))
            ;;
        *) fail "NOT TRIED" "$name" "$verdict" ;;
        esac
    fi
    cp -- "$root/$file" "$copy/$file"
}

# A scenario that nobody has told this script about.
for file in "$root"/tests/model/scenario_*.c; do
    name=${file##*/scenario_}
    [ -n "${sources[${name%.c}]-}" ] || fail "NOT LISTED" "$name"
done

# Why those that are equivalent are.
declare -A reasons=() made=()
while IFS= read -r line; do
    case $line in
    "#"* | "") ;;
    "    "*) reasons[$name]+="${reasons[$name]:+ }${line#    }" ;;
    *) name=$line reasons[$line]="" ;;
    esac
done <"$root/tests/model/equivalent.txt"

mapfile -t all < <(cd -- "$root" && {
    printf '%s\n' sched/*.h
    tr ' ' '\n' <<<"${sources[*]}"
} | grep -E '^(sched|io|runtime)/.*\.[ch]$' | grep -v '^sched/atomic.h$' | sort -u)
while IFS=$'\t' read -r file line column is becomes name; do
    made[$name]=yes
    is_wanted "$name" || continue
    [ $few = no ] || [[ $the_few == *$'\n'"$name"$'\n'* ]] || continue
    sed "${line}s/^\(.\{$((column - 1))\}\)$is/\1$becomes/" "$root/$file" >"$copy/$file"
    # shellcheck disable=SC2046 # words
    judge "$name" "$file" "${reasons[$name]-}" $(scenarios_of "$file")
done < <(cd -- "$root" && awk -f tests/model/mutants.awk "${all[@]}")

for name in "${!reasons[@]}"; do
    [ -n "${made[$name]-}" ] || fail "NO MUTANT" "$name" "is listed as equivalent"
    [ -n "${reasons[$name]}" ] || fail "NO REASON" "$name"
done

while IFS='|' read -r name scenario file edit; do
    tried=$([ $few = yes ] || echo yes)
    case $name in
    "#"* | "") continue ;;
    +*) name=${name#+} tried=yes ;;
    esac
    is_wanted "$name" || continue
    sed -E -e "$edit" "$root/$file" >"$copy/$file"
    if [ -n "$tried" ]; then
        judge "$name" "$file" "" "$scenario"
    else
        # That it still is an edit costs nothing to see.
        cmp -s "$root/$file" "$copy/$file" && fail "NO CHANGE" "$name"
        cp -- "$root/$file" "$copy/$file"
    fi
done <"$root/tests/model/mutants.txt"

printf '%d mutants: %d killed, %d equivalent, %d neither\n' $((killed + equivalent + failed)) $killed $equivalent \
    $failed
printf 'counted: %d mutants\n' $killed
[ $failed -eq 0 ] && [ $killed -gt 0 ]
