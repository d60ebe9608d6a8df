/*
 * sched/team.c - work that goes from loop to loop.
 *
 * The injector is two queues, woken fibers and fresh ones, so that who is woken doesn't stand behind what nobody has
 * waited for yet. From woken a loop takes a batch; from fresh, if it has something else to do, one. The two take
 * turns, so that neither starves the other.
 *
 * Nothing that is queued is slept over, by the protocol of sched/idle.c: whoever queues something calls
 * rdl_team_call() after it, whose fence comes between the push and its look for sleepers; a loop that goes to sleep
 * asks rdl_team_has_work() after rdl_idle_sleep(), whose fence comes between its being listed and that look; and the
 * last searcher after rdl_idle_end_search(), whose fence comes between its being no searcher any more and that look.
 */
#include "sched/team.h"

#include <stddef.h>

#include "sched/fiber.h"
#include "sched/loop.h"
#include "sched/strand.h"

enum {
    INJECTED_BATCH = 32,
    EVERY_CROWDED = 8, /* picks between two looks while ready is full and a crowd waits behind it */
};

void rdl_team_init(struct rdl_team *team, struct rdl_loop **loops, struct rdl_sleeper **sleepers,
                   unsigned count)
{
    rdl_atomic_init(&team->posting, 0u);
    rdl_idle_init(&team->idle, sleepers, count);
    rdl_inject_init(&team->woken);
    rdl_inject_init(&team->fresh);
    team->count = count;
    team->loops = loops;
}

void rdl_team_fini(struct rdl_team *team)
{
    rdl_posters_wait(&team->posting);
}

void rdl_team_call(struct rdl_team *team)
{
    int which = rdl_idle_call(&team->idle);

    if (which >= 0)
        rdl_loop_wake(team->loops[which]);
}

void rdl_team_woken(struct rdl_team *team, struct rdl_fiber *fiber)
{
    if (!rdl_strand_has_turn(fiber))
        return;
    rdl_post_begin(&team->posting);
    if (!__builtin_expect(team->moves, 0) || !rdl_loop_send_on(team, NULL, fiber)) {
        rdl_inject_push(fiber->started ? &team->woken : &team->fresh, &fiber->run);
        rdl_team_call(team);
    }
    rdl_post_end(&team->posting);
}

bool rdl_team_has_work(const struct rdl_team *team, const struct rdl_loop *but)
{
    if (rdl_team_injected(team))
        return true;
    for (unsigned i = 0; i < team->count; i++) {
        const struct rdl_loop *loop = team->loops[i];
        if (loop != but && (rdl_deque_count(&loop->ready) || rdl_deque_count(&loop->fresh)))
            return true;
    }
    return false;
}

/* The injector. */

/* What is full stays as it is: with its older half in the injector, some would go round and round and never run. */
void rdl_team_push_ready(struct rdl_loop *loop, struct rdl_runnable *r)
{
    if (!rdl_deque_push(&loop->ready, r))
        rdl_inject_push(&loop->team->woken, r);
}

/* Of a queue that is full, unless thieves have made room: its older half goes to the injector. */
static __attribute__((noinline)) void make_room(struct rdl_loop *loop)
{
    struct rdl_runnable *first, *last;
    unsigned count = rdl_deque_take_half(&loop->fresh, &first);

    if (!count)
        return;
    for (last = first; last->next; last = last->next)
        ;
    rdl_inject_push_list(&loop->team->fresh, first, last, count);
}

void rdl_team_push_fresh(struct rdl_loop *loop, struct rdl_runnable *r)
{
    while (!rdl_deque_push(&loop->fresh, r))
        make_room(loop);
}

/* What a queue of the injector gives to one loop, at most so many: the first is returned, the rest pushed. */
static struct rdl_runnable *take_injected(struct rdl_loop *loop, struct rdl_inject *inject,
                                          unsigned most,
                                          void (*push)(struct rdl_loop *, struct rdl_runnable *))
{
    unsigned waiting = rdl_inject_count(inject);
    unsigned max = waiting / loop->team->count + 1;
    unsigned count;
    struct rdl_runnable *first, *r, *next;

    if (!waiting)
        return NULL;
    first = rdl_inject_take(inject, max < most ? max : most, &count);
    if (!first)
        return NULL;
    for (r = first->next; r; r = next) {
        next = r->next;
        push(loop, r);
    }
    /* Whoever queued this may have trusted a searcher that has found nothing, because we took it: the
     * rest is worth another loop's while. A searcher says so itself when it ends. */
    if (!loop->searching && (count > 1 || rdl_team_injected(loop->team)))
        rdl_team_call(loop->team);
    return first;
}

static bool is_nearly_full(const struct rdl_deque *deque)
{
    return rdl_deque_count(deque) + INJECTED_BATCH > RDL_DEQUE_SLOTS;
}

/* As many as ready has room for: none is pushed back into the injector, behind those that came later. */
static struct rdl_runnable *take_woken(struct rdl_loop *loop)
{
    unsigned used = rdl_deque_count(&loop->ready), most = INJECTED_BATCH;

    if (is_nearly_full(&loop->ready))
        most = used < RDL_DEQUE_SLOTS ? RDL_DEQUE_SLOTS - used : 1;
    return take_injected(loop, &loop->team->woken, most, rdl_team_push_ready);
}

static struct rdl_runnable *take_fresh(struct rdl_loop *loop, unsigned most)
{
    return take_injected(loop, &loop->team->fresh, most, rdl_team_push_fresh);
}

struct rdl_runnable *rdl_team_take(struct rdl_loop *loop)
{
    struct rdl_runnable *r = take_woken(loop);

    return r ? r : take_fresh(loop, INJECTED_BATCH);
}

/* With a batch of fresh ones each time, trees of tasks that overflow are opened at 32 more places at once, their tasks
 * leave the caches, and two loops take longer for fib(32) than one. */
struct rdl_runnable *rdl_team_take_in_turn(struct rdl_loop *loop)
{
    bool crowded =
        is_nearly_full(&loop->ready) && rdl_inject_count(&loop->team->woken) > INJECTED_BATCH;
    struct rdl_runnable *r;

    /* Nothing can run in step with a count since it was served. While a crowd waits behind a full queue, of which each
     * look takes as many as there is room for, looks are closer: 1 in 61 would be all that it gets. */
    loop->since_injected = crowded ? RDL_EVERY_INJECTED - EVERY_CROWDED : 0;
    loop->woken_next = !loop->woken_next;
    if (loop->woken_next)
        return (r = take_woken(loop)) ? r : take_fresh(loop, 1);
    return (r = take_fresh(loop, 1)) ? r : take_woken(loop);
}

/* Stealing. */

static struct rdl_runnable *rob(struct rdl_loop *loop, struct rdl_loop *victim)
{
    struct rdl_runnable *first = NULL;
    unsigned count = rdl_deque_steal_half(&victim->ready, &loop->ready, &first);

    if (!count)
        count = rdl_deque_steal_half(&victim->fresh, &loop->fresh, &first);
    if (count)
        rdl_atomic_store_relaxed(&loop->counters.steals,
                                 rdl_atomic_load_relaxed(&loop->counters.steals) + count);
    return first;
}

struct rdl_runnable *rdl_team_search(struct rdl_loop *loop)
{
    struct rdl_team *team = loop->team;
    struct rdl_runnable *found;
    unsigned start;

    if (!loop->searching && !rdl_idle_begin_search(&team->idle))
        return NULL;
    loop->searching = true;
    found = rdl_team_take(loop);
    start = rdl_loop_random_below(loop, team->count);
    for (unsigned i = 0; i < team->count && !found; i++) {
        struct rdl_loop *victim = team->loops[(start + i) % team->count];
        if (victim != loop)
            found = rob(loop, victim);
    }
    loop->searching = false;
    /* Makers of work have elided their calls because of us, some of them behind our look. */
    if (rdl_idle_end_search(&team->idle) && (found || rdl_team_has_work(team, loop)))
        rdl_team_call(team);
    return found;
}
