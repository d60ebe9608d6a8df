/*
 * sched/rest.c - what a loop does when it has nothing to run: it searches, looks around for a while if others tend to
 * answer soon (sched/spin.h), sleeps.
 *
 * Sleeping and waking is sched/idle.c's protocol; the recheck before the driver waits is in sleep_on().
 */
#include "sched/rest.h"

#include <stddef.h>

#include "sched/atomic.h"
#include "sched/idle.h"
#include "sched/lock.h"
#include "sched/loop.h"
#include "sched/planted.h"
#include "sched/spin.h"
#include "sched/sys.h"
#include "sched/team.h"

/* Has something been sent here, or woken by a thread (or found a full queue, as that goes the same way)? */
static bool is_told(const struct rdl_loop *loop)
{
    return !rdl_inbox_empty(&loop->inbox) ||
           (loop->team && rdl_inject_count(&loop->team->woken) > 0);
}

/* From other threads. What was posted may be in the loop's own shared queues by now. */
static bool has_come(const struct rdl_loop *loop)
{
    if (!rdl_inbox_empty(&loop->inbox) || rdl_atomic_load_relaxed(&loop->stop_asked))
        return true;
    return loop->team && rdl_team_has_work(loop->team, NULL);
}

/* Whether something has come that this loop must not sleep over. After rdl_idle_sleep(). */
static bool recheck(struct rdl_loop *loop)
{
    return !RDL_PLANTED(WAKE) && has_come(loop);
}

static void sleep_on(struct rdl_loop *loop)
{
    struct rdl_idle *idle = loop->team ? &loop->team->idle : NULL;
    int64_t next, timeout = 0;
    struct rdl_runnable *r;
    enum rdl_sleep how;
    int64_t since = INT64_MAX; /* it hasn't slept */

    rdl_idle_sleep(idle, &loop->sleeper);
    if (!recheck(loop)) {
        loop->now_ns = rdl_sys_now();
        next = rdl_timers_next(&loop->timers);
        if (loop->trim_ns < next)
            next = loop->trim_ns;
        if (loop->pager.due_ns < next)
            next = loop->pager.due_ns;
        if (next == INT64_MAX)
            timeout = -1;
        else
            timeout = next > loop->now_ns ? next - loop->now_ns : 0;
        rdl_count(&loop->counters.parks);
        since = loop->now_ns;
    }
    rdl_loop_poll(loop, timeout);
    how = rdl_idle_awake(idle, &loop->sleeper);
    if (since != INT64_MAX && is_told(loop))
        rdl_spin_slept(&loop->spin, loop->now_ns - since);
    if (how == RDL_CALLED) {
        loop->searching = true;
        r = rdl_team_search(loop);
        if (r)
            rdl_loop_enqueue(loop, r);
    }
    rdl_loop_turn(loop);
}

/* Until something comes, or for as long as a spin may last. False: nothing has come. */
static bool look_around(struct rdl_loop *loop, int64_t since)
{
    bool came;

    do {
        rdl_cpu_relax();
        rdl_loop_poll(loop, 0);
        came = has_come(loop) || rdl_loop_busy(loop) || loop->stop ||
               rdl_timers_next(&loop->timers) <= loop->now_ns;
    } while (!came && rdl_spin_goes_on(&loop->spin, loop->now_ns - since));
    return came;
}

/*
 * Instead of a sleep, if that is likely to take longer. In a team the loop counts as a searcher meanwhile, unless there
 * are enough, so that nobody is called for what it sees first. As one it takes what it sees in other loops' queues, but
 * it isn't for that that it spins: to take each task of a spawner as soon as it is there costs both of them more than to
 * come now and then for half of them. Of what a thread has woken, who has got it as a searcher was told. False: nothing
 * has come.
 */
static bool spin(struct rdl_loop *loop)
{
    struct rdl_runnable *found = NULL;
    int64_t since;
    bool came, told, woken;

    if (!rdl_spin_pays(&loop->spin))
        return false;
    loop->searching = loop->team && rdl_idle_begin_search(&loop->team->idle);
    since = rdl_sys_now();
    came = look_around(loop, since);
    told = !rdl_inbox_empty(&loop->inbox);
    woken = is_told(loop);
    if (loop->searching)
        found = rdl_team_search(loop);
    rdl_spin_ended(&loop->spin, told || (woken && found), loop->now_ns - since);
    if (found)
        rdl_loop_enqueue(loop, found);
    if (came || found)
        rdl_loop_turn(loop);
    return came || found;
}

struct rdl_runnable *rdl_loop_rest(struct rdl_loop *loop)
{
    struct rdl_runnable *r;

    rdl_loop_drain(loop);
    if (loop->local_first)
        return NULL;
    if (loop->team && (r = rdl_team_search(loop)))
        return r;
    if (loop->now_ns >= loop->trim_ns || loop->trim_ns == INT64_MAX)
        loop->trim_ns = rdl_stack_trim(&loop->stacks, loop->now_ns);
    if (!spin(loop))
        sleep_on(loop);
    return NULL;
}
