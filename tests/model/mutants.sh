#!/usr/bin/env bash
# tests/model/mutants.sh - weakens copies of the sources, one place at a time, and shows that the model
# checker finds each: what was weakened, after how many schedules it was found, with which seed, as what.
#
#     mutants.sh [--few] SOURCE_ROOT WORK_DIR [SCENARIO...]
#
# --few takes those without which nothing else is worth much: the deque's fences, the wait's compare-exchanges,
# the recheck before sleeping, and one of each other scenario.
# Fails if a mutant survives, if an edit no longer changes anything, or if an unweakened scenario fails.
set -uo pipefail

few=no
if [ "${1-}" = --few ]; then
    few=yes
    shift
fi
if [ $# -lt 2 ]; then
    sed -n '5p' "${BASH_SOURCE[0]}" >&2
    exit 2
fi
root=$(cd -- "$1" && pwd) || exit 2
mkdir -p -- "$2" || exit 2
work=$(cd -- "$2" && pwd) || exit 2
shift 2
only=" $* "

: "${CC:=cc}"
schedules=300000
flags=(-std=gnu11 -O2 -g -UNDEBUG -DRDL_MODEL)

# Which sources a scenario is made of.
hosted="sched/cancel.c sched/coroutine.c sched/deque.c sched/fiber.c sched/idle.c sched/inbox.c
    sched/inject.c sched/loop.c sched/timer.c sched/wait.c sched/switch_$(uname -m).S tests/model/host.c"
declare -A sources=(
    [deque]="sched/deque.c"
    [inject]="sched/inject.c"
    [inbox]="sched/inbox.c"
    [wait]="sched/wait.c"
    [handoff]="sched/handoff.c"
    [depot]="sched/stack.c sched/depot.c"
    [team]="$hosted"
    [cancel]="$hosted"
    [home]="$hosted"
    [group]="$hosted runtime/group.c runtime/scope.c runtime/task.c runtime/tree.c"
)

# name | scenario | file | sed -E expression
mutants='
deque: no fence in take|deque|sched/deque.c|/with \[F.\] in steal/d
deque: no fence in steal|deque|sched/deque.c|/with \[F\] in take/d
deque: push publishes relaxed|deque|sched/deque.c|s/store_release\(&d->bottom, bottom \+ 1\)/store_relaxed(\&d->bottom, bottom + 1)/
deque: take withdraws relaxed|deque|sched/deque.c|s/store_release\(&d->bottom, newest\)/store_relaxed(\&d->bottom, newest)/
deque: take the last without a compare-exchange|deque|sched/deque.c|s/if \(top < newest\)/if (top <= newest)/
deque: take_half without a fresh top|deque|sched/deque.c|s/while \(!rdl_atomic_cas_acq_rel\(&d->top, &top, top \+ count\)\)/while (rdl_atomic_store_release(\&d->top, top + count), 0)/
deque: links before owning|deque|sched/deque.c|s/while \(!rdl_atomic_cas_acq_rel\(&d->top, &top, top \+ count\)\)/while (rdl_atomic_load_relaxed(\&d->slots[top \& MASK])->next = NULL, !rdl_atomic_cas_acq_rel(\&d->top, \&top, top + count))/
inject: no lock to push|inject|sched/inject.c|/last->next = NULL;/,/^}/s/rdl_lock_[acquirels]+\(&inject->lock\);//
inject: lock taken relaxed|inject|sched/lock.h|s/exchange_acquire\(&lock->held/exchange_relaxed(\&lock->held/
inject: lock released relaxed|inject|sched/lock.h|s/store_release\(&lock->held/store_relaxed(\&lock->held/
inject: count forgotten by push|inject|sched/inject.c|s/set_count\(inject, rdl_inject_count\(inject\) \+ count\);//
inbox: push publishes relaxed|inbox|sched/inbox.c|s/cas_release\(&inbox->newest/cas_relaxed(\&inbox->newest/
inbox: taken relaxed|inbox|sched/inbox.c|s/exchange_acquire/exchange_relaxed/
inbox: closed without a compare-exchange|inbox|sched/inbox.c|s/return rdl_atomic_cas_relaxed\(&inbox->newest, &newest, &closed\)/return rdl_inbox_empty(inbox) \&\& (rdl_atomic_store_release(\&inbox->newest, \&closed), true)/
inbox: pushed without a compare-exchange|inbox|sched/inbox.c|s/while \(!rdl_atomic_cas_release\(&inbox->newest, &newest, r\)\)/while (rdl_atomic_store_release(\&inbox->newest, r), 0)/
wait: fired without a compare-exchange|wait|sched/wait.c|s/while \(!rdl_atomic_cas_acq_rel\(&ticket.wait->word, &seen, fired\(seen, result\)\)\)/while (rdl_atomic_store_release(\&ticket.wait->word, fired(seen, result)), 0)/
wait: parked without a compare-exchange|wait|sched/wait.c|s/if \(!rdl_atomic_cas_seq_cst\(&wait->word, &armed, parked\)\)/if (rdl_atomic_store_seq_cst(\&wait->word, parked), 0)/
wait: fire releases nothing|wait|sched/wait.c|s/cas_acq_rel\(&ticket/cas_acquire(\&ticket/
wait: fire acquires nothing|wait|sched/wait.c|s/cas_acq_rel\(&ticket/cas_release(\&ticket/
wait: poke releases nothing|wait|sched/wait.c|s/cas_acq_rel\(&wait->word, &seen/cas_acquire(\&wait->word, \&seen/
wait: poke acquires nothing|wait|sched/wait.c|s/cas_acq_rel\(&wait->word, &seen/cas_release(\&wait->word, \&seen/
wait: disarm acquires nothing|wait|sched/wait.c|s/cas_acq_rel\(&wait->word, &armed/cas_relaxed(\&wait->word, \&armed/
wait: armed relaxed|wait|sched/wait.c|s/store_release\(&wait->word/store_relaxed(\&wait->word/
wait: parked not seq_cst|wait|sched/wait.c|s/cas_seq_cst\(&wait->word, &armed, parked\)/cas_acq_rel(\&wait->word, \&armed, parked)/
wait: poked read acquire|wait|sched/wait.c|s/load_seq_cst\(&wait->poked/load_acquire(\&wait->poked/
wait: poked not read|wait|sched/wait.c|s/if \(!rdl_atomic_load_seq_cst\(&wait->poked\)\)/if (1)/
wait: poke by a plain store|wait|sched/wait.c|s/\(void\)rdl_atomic_exchange_seq_cst\(&wait->poked, 1u\)/rdl_atomic_store_seq_cst(\&wait->poked, 1u)/
wait: poke not seq_cst|wait|sched/wait.c|s/exchange_seq_cst/exchange_acq_rel/
wait: poke reads the word acquire|wait|sched/wait.c|s/load_seq_cst\(&wait->word/load_acquire(\&wait->word/
wait: any generation fires|wait|sched/wait.c|s/in_phase\(seen, ARMED\) != ticket.armed/false/
wait: shield ignored|wait|sched/wait.c|s/rdl_atomic_load_relaxed\(&wait->shield_depth\) > depth/false/
team: no recheck before sleeping|team|sched/loop.c|s/if \(!recheck\(loop\)\)/if (true)/
team: recheck forgets the inbox|team|sched/loop.c|s/!rdl_inbox_empty\(&loop->inbox\)/false/
team: recheck forgets the injector|team|sched/loop.c|s/^    if \(rdl_inject_count\(&team->inject\)\)$/    if (false)/
team: recheck forgets the rings|team|sched/loop.c|s/if \(rdl_deque_count\(&team->loops\[i\]->ready\) .*/if (false)/
team: no fence before the recheck|team|sched/idle.c|s/rdl_atomic_fence_seq_cst\(\); \/\* \[F2\] \*\///
team: no fence before a claim|team|sched/idle.c|/^bool rdl_idle_claim/,/^}/s/rdl_atomic_fence_seq_cst\(\);//
team: no fence before a call|team|sched/idle.c|/^int rdl_idle_call/,/searching/s/rdl_atomic_fence_seq_cst\(\);//
team: nobody calls after a search|team|sched/loop.c|s/if \(rdl_idle_end_search\(&team->idle\) && found\)/if (rdl_idle_end_search(\&team->idle) \&\& false)/
team: asleep by a plain store|team|sched/idle.c|s/rdl_atomic_exchange_acq_rel\(&sleeper->state, RDL_AWAKE\)/rdl_atomic_load_acquire(\&sleeper->state); rdl_atomic_store_release(\&sleeper->state, (uint32_t)RDL_AWAKE)/
team: inbox wakes nobody|team|sched/loop.c|/^bool rdl_loop_post/,/^}/s/rdl_idle_claim\(&loop->sleeper\)/false/
team: stop wakes nobody|team|sched/loop.c|/^void rdl_loop_stop/,/^}/s/rdl_idle_claim\(&loop->sleeper\)/false/
cancel: a plain store pokes|cancel|sched/cancel.c|s/\(void\)rdl_atomic_exchange_relaxed\(&self->stack->wait.poked, 1u\)/rdl_atomic_store_relaxed(\&self->stack->wait.poked, 1u)/
cancel: looks before it clears|cancel|sched/cancel.c|s/\(void\)rdl_atomic_exchange_acquire\(&self->stack->wait.poked, 0u\)/rdl_atomic_store_relaxed(\&self->stack->wait.poked, 0u)/
cancel: the timer stays armed|cancel|sched/fiber.c|s/rdl_timer_disarm\(&home->timers, &fiber->timer\);//
cancel: the operation stays|cancel|sched/fiber.c|s/if \(fiber->op\) \{/if (false) {/
home: the winner asks the timer and the operation|home|sched/fiber.c|s/!fiber->homebound/!fiber->op \&\& !rdl_timer_armed(\&fiber->timer)/
home: the winner asks, unwatched|home|sched/fiber.c|s/^static void route/static __attribute__((no_sanitize("thread"))) void route/;s/!fiber->homebound/!fiber->op \&\& !fiber->timer.link/
home: a timer binds nobody|home|sched/fiber.c|s/self->homebound = self->op \|\| rdl_timer_armed\(&self->timer\)/self->homebound = self->op/
home: an operation binds nobody|home|sched/fiber.c|s/self->homebound = self->op \|\| /self->homebound = /
group: the last child tells nobody|group|runtime/group.c|s/^    if \(--g->live == 0\)$/    if (--g->live == 0 \&\& false)/
group: a child is freed while it is looked at|group|runtime/group.c|s/while \(child->pins\)/while (false)/
handoff: signals without looking|handoff|sched/handoff.c|s/if \(rdl_atomic_exchange_acq_rel\(&worker->signal, RDL_HANDOFF_SIGNALLED\) == RDL_HANDOFF_ASLEEP\)/if (rdl_atomic_exchange_acq_rel(\&worker->signal, RDL_HANDOFF_SIGNALLED) == RDL_HANDOFF_AWAKE)/
handoff: leaves with a job queued|handoff|sched/handoff.c|s/if \(worker->idle\) \{/if (true) {/
depot: given out without the lock|depot|sched/depot.c|/^unsigned rdl_depot_take\(/,/^}/s/rdl_lock_[acquirels]+\(&depot.lock\);//
wait: poked cleared by a plain store|wait|tests/model/scenario_wait.c|s/\(void\)rdl_atomic_exchange_acq_rel\(&wait.poked, 0u\)/rdl_atomic_store_seq_cst(\&wait.poked, 0u)/
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
        sound=$work/sound_$scenario-$(basename "${source%.*}").o
        object=$output-$(basename "${source%.*}").o
        if [[ -n $edited && $edited != *.h && $edited != "$source" ]]; then
            object=$sound
        else
            [ -n "$edited" ] || object=$sound
            case $source in
            *.S) "$CC" -c "$from/$source" -o "$object" ;;
            */host.c) compile "$object" "$from" "$source" ;;
            *) compile "$object" "$from" "$source" -fsanitize=thread -include "$from/tests/model/watched.h" ;;
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

the_few='
deque: no fence in take
deque: no fence in steal
inject: no lock to push
inbox: pushed without a compare-exchange
wait: fired without a compare-exchange
wait: parked without a compare-exchange
wait: poked not read
team: no recheck before sleeping
team: no fence before the recheck
cancel: the timer stays armed
home: the winner asks the timer and the operation
group: a child is freed while it is looked at
handoff: leaves with a job queued
depot: given out without the lock
'

found=0
failed=0
declare -A sound=()
while IFS='|' read -r name scenario file edit; do
    [ -n "$name" ] || continue
    [ "$only" = "  " ] || [[ $only == *" $scenario "* ]] || continue
    [ $few = no ] || [[ $the_few == *$'\n'"$name"$'\n'* ]] || continue

    if [ -z "${sound[$scenario]-}" ]; then
        if build "$scenario" "$root" "$work/model_$scenario" "" &&
            output=$(timeout 120 "$work/model_$scenario" 5000 2>&1); then
            sound[$scenario]=yes
        else
            printf 'NOT SOUND  %s\n%s\n' "$scenario" "${output-it does not build}"
            sound[$scenario]=no
            failed=$((failed + 1))
        fi
    fi
    [ "${sound[$scenario]}" = yes ] || continue

    sed -E -e "$edit" "$root/$file" >"$copy/$file"
    if cmp -s "$root/$file" "$copy/$file"; then
        printf 'NO CHANGE  %s\n' "$name"
        failed=$((failed + 1))
    elif ! output=$(build "$scenario" "$copy" "$work/mutant" "$file" 2>&1); then
        printf 'NO BUILD   %s\n%s\n' "$name" "$output"
        failed=$((failed + 1))
    elif output=$(timeout 120 "$work/mutant" "$schedules" 2>&1); then
        printf 'SURVIVES   %s: %s schedules of each case\n' "$name" "$schedules"
        failed=$((failed + 1))
    else
        # The case that finds it first speaks for all.
        line=$(printf '%s\n' "$output" | grep '^FAIL ' |
            sed -E 's/^FAIL model ([^:]*): seed=([0-9]+) after ([0-9]+) schedules: (.*)/\3 \1 \2 \4/' |
            sort -n | head -n 1)
        if [ -z "$line" ]; then
            printf 'CRASHES    %s\n%s\n' "$name" "$output"
            failed=$((failed + 1))
        else
            read -r after where seed what <<<"$line"
            printf 'found      %-48s %6s schedules, %s seed %s: %s\n' "$name" "$after" "$where" \
                "$seed" "${what//"$copy/"/}"
            found=$((found + 1))
        fi
    fi
    cp -- "$root/$file" "$copy/$file"
done <<<"$mutants"

printf '%d mutants found, %d not\n' "$found" "$failed"
printf 'counted: %d mutants\n' "$found"
[ "$failed" -eq 0 ] && [ "$found" -gt 0 ]
