/*
 * sched/loop.c - what a loop runs next, and how it goes from one fiber to the next.
 *
 * The way of a fiber through this file: it is queued (rdl_loop_woken, _enqueue, _start, _post),
 * picked (pick), switched to (run, or directly from the fiber that leaves: rdl_loop_leave), and
 * when it leaves its stack, whoever lands after it does what it left for (rdl_loop_land): a fiber
 * can't be queued or freed while it still stands on its stack, because another thread might run it
 * at once.
 *
 * Time slices. Fibers switch straight to each other for as long as the slice lasts: RDL_SLICE
 * switches, then a look at the clock, and on until RDL_QUANTUM_NS have passed since the driver was
 * polled. Then, or when nothing is left to run, the loop's own stack gets its turn: timers, inbox,
 * driver.
 *
 * Queues. Fibers that may not move are in local, which thieves can't see. Fresh ones are in fresh:
 * taken newest first by the loop, so that fork-join programs go depth first and need few stacks,
 * and oldest first by thieves, which gives them the largest share. What finds no room, and what comes from
 * threads that are no loop of the team, is in the injector (sched/team.c).
 *
 * Nobody starves, however long tasks take. A slice begins with the oldest fresh task and a look into the injector,
 * unless the one before had room for no pick from the loop's queues. If the loop comes to fresh by itself, it is every
 * fourth slice that begins with the oldest: each opens the tree of tasks at another place and needs stacks there. For
 * the same reason a loop that has something to do takes one fresh task from the injector, and woken ones in batches.
 *
 * Eager starts, on a loop that is alone. The new fiber is switched to without being queued, and its spawner is put
 * first in local: so it goes on as soon as the new one leaves its stack, before anything else of this loop runs,
 * and spawners of spawners after it, the innermost first. Nothing else is put there. The spawner keeps the turn of
 * its strand, on which the new fiber runs (lent) until it leaves: neither is another one's turn in between, nor is
 * there one to pass on.
 *
 * Strands. A fiber of one is queued only with the strand's turn, which it asks for where it becomes runnable, and
 * which whoever lands after it passes on (sched/strand.h).
 *
 * What a loop does when it has nothing to run: sched/rest.c.
 */
#define _GNU_SOURCE
#include "sched/loop.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>

#include "sched/rest.h"
#include "sched/strand.h"
#include "sched/sys.h"

enum {
    LIFO_STREAK = 3,
    TIMERS_PER_TURN = 1024,
    FRAME_LINES = 6, /* prefetched of a fiber that runs next */
    BLOCK_LINES = 5,
    CROWD = 16, /* fewer fibers than this are in the cache still */
};

/* The only thread-local of the library. Set at the entry of rdl_loop_run(), and by a driver that has several
 * loops share a thread. used: a linker that compiles the whole program must know that assembly names it. */
#if defined(__x86_64__) && defined(__LP64__)
_Thread_local struct rdl_loop *rdl_loop_here __attribute__((tls_model("initial-exec"), used));
#else
static _Thread_local struct rdl_loop *rdl_loop_here __attribute__((tls_model("initial-exec")));

__attribute__((noinline)) struct rdl_loop *rdl_loop_current(void)
{
    struct rdl_loop *loop = rdl_loop_here;

    __asm__ volatile("" : "+r"(loop) : : "memory");
    return loop;
}
#endif

/* errno's address belongs to the thread, as the loop does. */
__attribute__((noinline)) void rdl_loop_set_current(struct rdl_loop *loop)
{
    rdl_loop_here = loop;
    if (loop)
        loop->errno_at = &errno;
    __asm__ volatile("" ::: "memory");
}

void rdl_loop_forget(void)
{
    rdl_loop_set_current(NULL);
}

struct rdl_driver *rdl_loop_simulator(void)
{
    struct rdl_loop *loop = rdl_loop_current();

    return loop && loop->driver->ops->later ? loop->driver : NULL;
}

void rdl_loop_init(struct rdl_loop *loop, struct rdl_driver *driver, struct rdl_team *team,
                   unsigned index)
{
    memset(loop, 0, sizeof(*loop));
    loop->team = team;
    loop->index = index;
    loop->random = 0x9E3779B97F4A7C15u * (index + 1);
    loop->driver = driver;
    driver->loop = loop;
    loop->now_ns = driver->ops->now ? driver->ops->now(driver) : rdl_sys_now();
    loop->polled_ns = loop->now_ns;
    loop->slice = loop->slice_length = RDL_SLICE;
    loop->looked_ns = loop->now_ns;
    rdl_timers_init(&loop->timers, loop->now_ns);
    rdl_stack_cache_init(&loop->stacks);
    rdl_spin_init(&loop->spin, driver->ops->now ? 0 : RDL_SPIN_NS);
    rdl_pager_init(&loop->pager);
    rdl_inbox_init(&loop->inbox);
    rdl_deque_init(&loop->fresh);
    rdl_deque_init(&loop->ready);
}

void rdl_posters_wait(const rdl_atomic(uint32_t) * posting)
{
    /* acquire pairs with the release that ends a post. */
    while (rdl_atomic_load_acquire(posting))
        sched_yield();
}

void rdl_loop_fini(struct rdl_loop *loop)
{
    rdl_posters_wait(&loop->posting);
    rdl_stack_cache_flush(&loop->stacks);
    loop->driver->ops->destroy(loop->driver);
}

/* Waking. */

void rdl_loop_wake(struct rdl_loop *loop)
{
    struct rdl_loop *here = rdl_loop_current();

    if (here)
        rdl_count(&here->counters.wakes_sent);
    loop->driver->ops->wake(loop->driver);
}

void rdl_loop_hold(struct rdl_loop *loop)
{
    rdl_post_begin(&loop->posting);
}

void rdl_loop_let_go(struct rdl_loop *loop)
{
    rdl_post_end(&loop->posting);
}

void rdl_loop_stop(struct rdl_loop *loop)
{
    rdl_post_begin(&loop->posting);
    rdl_atomic_store_release(&loop->stop_asked, true);
    if (rdl_idle_claim(&loop->sleeper))
        rdl_loop_wake(loop);
    rdl_post_end(&loop->posting);
}

bool rdl_loop_post(struct rdl_loop *loop, struct rdl_runnable *r)
{
    bool pushed;

    rdl_post_begin(&loop->posting);
    pushed = rdl_inbox_push(&loop->inbox, r);
    if (pushed && rdl_idle_claim(&loop->sleeper))
        rdl_loop_wake(loop);
    rdl_post_end(&loop->posting);
    return pushed;
}

/* Queueing. */

static struct rdl_fiber *fiber_of(struct rdl_runnable *r)
{
    return r->call ? NULL : (struct rdl_fiber *)(void *)r;
}

static inline void push_local(struct rdl_loop *loop, struct rdl_runnable *r)
{
    loop->pushed++;
    r->next = NULL;
    if (loop->local_first)
        loop->local_last->next = r;
    else
        loop->local_first = r;
    loop->local_last = r;
}

/* What is next. It also counts with what has to run before a stop. */
static void push_first(struct rdl_loop *loop, struct rdl_runnable *r)
{
    loop->pushed++;
    loop->stop_at++;
    r->next = loop->local_first;
    if (!loop->local_first)
        loop->local_last = r;
    loop->local_first = r;
}

static inline struct rdl_runnable *pop_local(struct rdl_loop *loop)
{
    struct rdl_runnable *r = loop->local_first;

    if (r) {
        loop->local_first = r->next;
        loop->popped++;
    }
    return r;
}

int64_t rdl_loop_look(struct rdl_loop *loop)
{
    loop->now_ns = rdl_sys_now();
    return loop->now_ns;
}

bool rdl_loop_send_on(struct rdl_team *team, struct rdl_loop *from, struct rdl_fiber *fiber)
{
    struct rdl_loop *to = team->loops[(fiber->home->index + 1) % team->count];

    if (from && to == from) { /* which woke it from where it slept */
        push_local(from, &fiber->run);
        return true;
    }
    fiber->sent = true;
    if (rdl_loop_post(to, &fiber->run))
        return true;
    fiber->sent = false;
    return false;
}

/* May no other thread take fiber out of the queue that it is to be put into? */
static inline bool is_local(const struct rdl_loop *loop, const struct rdl_fiber *fiber)
{
    return !loop->team || !rdl_fiber_is(fiber, RADDLE_MIGRATABLE);
}

void rdl_loop_enqueue(struct rdl_loop *loop, struct rdl_runnable *r)
{
    struct rdl_fiber *fiber = fiber_of(r);

    if (!fiber || is_local(loop, fiber)) {
        push_local(loop, r);
        return;
    }
    if (__builtin_expect(loop->team->moves, 0) && fiber->started &&
        rdl_loop_send_on(loop->team, loop, fiber))
        return;
    rdl_team_push_ready(loop, r);
    if (!loop->polling) /* after a poll, one call for all of them */
        rdl_team_call(loop->team);
}

/* After a fiber of strand has left its stack: the next in turn goes where it belongs. */
static void pass_turn(struct rdl_loop *loop, struct rdl_strand *strand)
{
    struct rdl_fiber *next = rdl_strand_pass(strand);
    bool mine;

    if (!next)
        return;
    mine = next->home == loop || (loop->team && next->home->team == loop->team &&
                                  (rdl_fiber_is(next, RADDLE_MIGRATABLE) ||
                                   (!next->started && !rdl_fiber_is(next, RADDLE_PINNED))));
    if (mine) {
        rdl_loop_enqueue(loop, &next->run);
        return;
    }
    next->sent = true;
    /* A loop closes its inbox only when no fiber is left on it. */
    (void)rdl_loop_post(next->home, &next->run);
}

void rdl_loop_woken(struct rdl_loop *loop, struct rdl_fiber *fiber)
{
    struct rdl_runnable *before = loop->lifo;

    if (!rdl_strand_has_turn(fiber))
        return;
    /* Woken by a fiber that will soon park, most likely to answer it: it runs next, while the data
     * is warm. Completions and timers wake in the order of their events. */
    if (loop->team && fiber->started && rdl_atomic_load_relaxed(&loop->current) &&
        !rdl_loop_moves(loop, fiber)) {
        loop->lifo = &fiber->run;
        if (before)
            rdl_loop_enqueue(loop, before);
    } else {
        rdl_loop_enqueue(loop, &fiber->run);
    }
}

static void count_tasks(struct rdl_loop *loop, int change)
{
    rdl_atomic_store_relaxed(&loop->counters.tasks,
                             rdl_atomic_load_relaxed(&loop->counters.tasks) + change);
}

static void count_start(struct rdl_loop *loop)
{
    rdl_count(&loop->counters.spawns);
    count_tasks(loop, 1);
}

/* What is left of self to run runs beside the next in turn, which is its caller's to have thought of. */
void rdl_loop_abandon(struct rdl_loop *loop, struct rdl_fiber *self)
{
    struct rdl_strand *strand = self->strand;

    count_tasks(loop, -1);
    if (!strand)
        return;
    self->strand = NULL;
    if (!self->lent)
        pass_turn(loop, strand);
    rdl_strand_unref(strand);
}

static __attribute__((noinline)) void start_shared(struct rdl_loop *loop, struct rdl_fiber *fiber)
{
    bool quiet = fiber->quiet;

    rdl_team_push_fresh(loop, &fiber->run); /* from here on another loop may have run it */
    if (!quiet || loop->local_first || rdl_deque_count(&loop->fresh) > 1)
        rdl_team_call(loop->team);
}

void rdl_loop_start(struct rdl_loop *loop, struct rdl_fiber *fiber)
{
    count_start(loop);
    if (!rdl_strand_has_turn(fiber))
        return;
    if (!loop->team || rdl_fiber_is(fiber, RADDLE_PINNED))
        push_local(loop, &fiber->run);
    else
        start_shared(loop, fiber);
}

void rdl_loop_start_next(struct rdl_loop *loop, struct rdl_fiber *fiber)
{
    struct rdl_runnable *before = loop->lifo;

    count_start(loop);
    if (!rdl_strand_has_turn(fiber))
        return;
    if (!loop->team) {
        push_first(loop, &fiber->run);
        return;
    }
    loop->lifo = &fiber->run;
    if (before)
        rdl_loop_enqueue(loop, before);
}

/* Picking. */

/* The oldest of ready. Empty for its owner is empty for good, and seen without a call. */
static inline struct rdl_runnable *take_ready(struct rdl_loop *loop)
{
    return rdl_deque_empty(&loop->ready) ? NULL : rdl_deque_steal(&loop->ready);
}

static inline struct rdl_runnable *pick(struct rdl_loop *loop)
{
    struct rdl_runnable *r;

    if (!loop->team)
        return pop_local(loop);

    r = loop->lifo;
    if (r) {
        loop->lifo = NULL;
        if (loop->lifo_streak++ < LIFO_STREAK)
            return r;
        rdl_loop_enqueue(loop, r);
    }
    loop->lifo_streak = 0;

    if (++loop->since_injected >= RDL_EVERY_INJECTED && (r = rdl_team_take_in_turn(loop)))
        return r;
    loop->usual = true;
    loop->local_next = !loop->local_next;
    if (!loop->local_next && (r = take_ready(loop)))
        return r;
    if ((r = pop_local(loop)))
        return r;
    if ((r = take_ready(loop)))
        return r;
    if ((r = rdl_deque_take(&loop->fresh))) {
        loop->newest = true;
        return r;
    }
    return rdl_team_take(loop);
}

/* After a poll of a loop that goes on. Tasks of which each takes a slice keep nobody from it: those for which a slice
 * begins here, nor those that are picked as usual. */
static void begin_fairly(struct rdl_loop *loop)
{
    bool newest = loop->newest;

    if (!loop->team || !loop->usual)
        return;
    assert(!loop->next); /* only a slice that isn't over leaves a callback there */
    loop->usual = loop->newest = false;
    loop->since_injected = RDL_EVERY_INJECTED;
    if ((!newest || loop->fair_slices++ % 4 == 0) && !rdl_deque_empty(&loop->fresh))
        loop->next = rdl_deque_steal(&loop->fresh);
}

unsigned rdl_loop_random_below(struct rdl_loop *loop, unsigned bound)
{
    uint64_t x = loop->random;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    loop->random = x;
    return (unsigned)((x >> 32) % bound);
}

/* Finds the length of the next slice, which begins at now_ns, or with the poll that follows. One that took too
 * long makes the next shorter, so that tasks that work for long between two switches don't keep the driver waiting
 * for 64 of them. */
static void fit_slice(struct rdl_loop *loop)
{
    int64_t elapsed = loop->now_ns - loop->looked_ns;
    int length = loop->slice_length;

    if (elapsed > RDL_QUANTUM_NS / 2)
        length = (int)(length * (int64_t)(RDL_QUANTUM_NS / 2) / elapsed);
    else if (elapsed < RDL_QUANTUM_NS / 4)
        length *= 2;
    loop->slice_length = length < 1 ? 1 : length > RDL_SLICE ? RDL_SLICE : length;
    loop->slice = loop->slice_length;
    loop->looked_ns = loop->now_ns;
}

/* The turn of the loop's own stack. */

static void fire_timer(struct rdl_timer *timer, void *arg)
{
    struct rdl_loop *loop = arg;
    struct rdl_fiber *fiber =
        (struct rdl_fiber *)(void *)((char *)timer - offsetof(struct rdl_fiber, timer));

    rdl_count(&loop->counters.timers);
    if (timer->fired) {
        timer->fired(timer, loop);
        return;
    }
    /* Lost: another thread fired first, and its message is on the way. */
    if (rdl_wait_fire(rdl_wait_ticket(&fiber->stack->wait), -ECANCELED) == RDL_FIRE_QUEUE)
        rdl_fiber_finish(loop, fiber);
}

void rdl_loop_drain(struct rdl_loop *loop)
{
    struct rdl_runnable *r, *next;

    if (rdl_inbox_empty(&loop->inbox))
        return;
    for (r = rdl_inbox_take_all(&loop->inbox); r; r = next) {
        struct rdl_fiber *fiber = fiber_of(r);
        next = r->next;
        if (!fiber) {
            push_local(loop, r);
            continue;
        }
        if (fiber->sent) {
            fiber->sent = false;
            push_local(loop, r);
            continue;
        }
        if (!fiber->started)
            count_start(loop);
        else if (fiber->moving)
            count_tasks(loop, 1);
        if (fiber->moving)
            fiber->home = loop; /* also for its strand, which may keep it for a while */
        fiber->moving = false;
        rdl_fiber_finish(loop, fiber);
    }
}

void rdl_loop_poll(struct rdl_loop *loop, int64_t timeout_ns)
{
    int n;

    loop->polling = true;
    rdl_count(&loop->counters.polls);
    n = loop->driver->ops->poll(loop->driver, timeout_ns);
    loop->now_ns = rdl_sys_now();
    loop->polled_ns = loop->now_ns;
    loop->looked_ns = loop->now_ns;
    loop->slice = loop->slice_length;
    if (n > 0)
        rdl_atomic_store_relaxed(&loop->counters.completions,
                                 rdl_atomic_load_relaxed(&loop->counters.completions) +
                                     (uint64_t)n);
    if (n < 0) {
        loop->error = n;
        loop->stop = true;
    }
}

void rdl_loop_turn(struct rdl_loop *loop)
{
    rdl_timers_expire(&loop->timers, loop->now_ns, TIMERS_PER_TURN, fire_timer, loop);
    rdl_loop_drain(loop);
    loop->polling = false;
    if (loop->now_ns >= loop->pager.due_ns)
        rdl_pager_work(loop);
    /* What the poll, the timers and the inbox made runnable: one of it runs here, the rest is worth
     * another loop's while. */
    if (loop->team && (rdl_team_injected(loop->team) || rdl_deque_count(&loop->ready) +
                                                                rdl_deque_count(&loop->fresh) +
                                                                (loop->local_first != NULL) >
                                                            1))
        rdl_team_call(loop->team);
}

bool rdl_loop_slice_ends(struct rdl_loop *loop, int cost)
{
    if (loop->slice <= 0)
        return true;
    loop->slice -= cost;
    if (loop->slice > 0)
        return false;
    loop->now_ns = rdl_sys_now();
    if (loop->now_ns - loop->polled_ns >= RDL_QUANTUM_NS || !rdl_inbox_empty(&loop->inbox) ||
        rdl_timers_next(&loop->timers) <= loop->now_ns)
        return true; /* and the slice stays spent: the loop polls first */
    fit_slice(loop);
    return false;
}

/* Switching. */

/*
 * With many tasks a switch is a handful of cache misses, not an instruction count: the next one's are begun
 * while this one runs. They are those of its control block and of the frames below it, in which it waits.
 *
 * Tried: the control block of the second next instead, and what it says of the next one's stack. With 1,000
 * tasks that made a yield slower (57 ns; 51 with four lines of the next one, 42 with all of these).
 */
static void prefetch(const struct rdl_runnable *r)
{
    const char *block = (const char *)r;

    for (int line = -FRAME_LINES; line < BLOCK_LINES; line++)
        __builtin_prefetch(block + 64 * line, 1);
}

static inline void enter(struct rdl_loop *loop, struct rdl_fiber *fiber)
{
    if (loop->pushed - loop->popped >= CROWD)
        prefetch(loop->local_first);
    fiber->home = loop;
    rdl_atomic_store_relaxed(&loop->current, fiber);
    rdl_count(&loop->counters.switches);
}

/* The predecessor goes on on another loop; if that is closed, here. */
static __attribute__((noinline)) void land_moving(struct rdl_loop *loop, struct rdl_fiber *prev)
{
    count_tasks(loop, -1);
    prev->moving = true;
    if (rdl_loop_post(loop->move_to, &prev->run))
        return;
    count_tasks(loop, 1);
    prev->moving = false;
    if (rdl_strand_has_turn(prev))
        rdl_loop_enqueue(loop, &prev->run);
}

/* The predecessor has ended. */
static __attribute__((noinline)) void land_ended(struct rdl_loop *loop, struct rdl_fiber *prev)
{
    struct rdl_stack *stack = prev->stack;
    bool apart = prev->paging != NULL;

    count_tasks(loop, -1);
    rdl_coroutine_fini(&prev->co);
    rdl_atomic_store_release(&stack->owner, NULL);
    rdl_stack_put(&loop->stacks, stack);
    if (__builtin_expect(apart, 0))
        rdl_sys_free(prev);
}

static inline void land(struct rdl_loop *loop, struct rdl_fiber *prev)
{
    switch (loop->leaving_how) {
    case RDL_LEAVE_PARK:
        /* Once it is parked, the fiber may be gone. */
        if (!rdl_wait_park(&prev->stack->wait))
            rdl_fiber_finish(loop, prev);
        break;
    case RDL_LEAVE_YIELD:
        if (rdl_strand_has_turn(prev))
            rdl_loop_enqueue(loop, &prev->run);
        break;
    case RDL_LEAVE_MOVE:
        land_moving(loop, prev);
        break;
    case RDL_LEAVE_EXIT:
        land_ended(loop, prev);
        break;
    }
}

static __attribute__((noinline)) void land_in_strand(struct rdl_loop *loop, struct rdl_fiber *prev)
{
    struct rdl_strand *strand = prev->strand;
    bool lent = prev->lent;

    prev->lent = false;
    land(loop, prev);
    if (!lent)
        pass_turn(loop, strand);
    if (loop->leaving_how == RDL_LEAVE_EXIT)
        rdl_strand_unref(strand);
}

/* The first thing that is done on any stack after a switch, on the loop where it happened: finish the
 * predecessor. What is not done at each switch is in functions of its own, as all others would save registers for it. */
void rdl_loop_land(struct rdl_loop *loop)
{
    struct rdl_fiber *prev = loop->leaving;

    if (!prev)
        return;
    loop->leaving = NULL;
    if (__builtin_expect(prev->strand != NULL, 0))
        land_in_strand(loop, prev);
    else
        land(loop, prev);
}

/* What runs after self, which leaves for whatever reason; NULL: the loop's own stack. */
static inline struct rdl_runnable *next_after(struct rdl_loop *loop)
{
    return rdl_loop_slice_over(loop, 1) || loop->stop || loop->stopping ? NULL : pick(loop);
}

/* The stack on which r runs; the loop's own if that is a callback or nothing. */
static inline struct rdl_coroutine *stack_for(struct rdl_loop *loop, struct rdl_runnable *r)
{
    struct rdl_fiber *next;

    if (!r || r->call) {
        loop->next = r;
        rdl_atomic_store_relaxed(&loop->current, NULL);
        return &loop->co;
    }
    next = fiber_of(r);
    enter(loop, next);
    return &next->co;
}

/* No canary: it would guard three words that no index reaches, in each switch. */
__attribute__((no_stack_protector)) void
rdl_loop_leave(struct rdl_loop *loop, struct rdl_fiber *self, enum rdl_leaving how)
{
    struct rdl_runnable *r;

    loop->leaving = self;
    loop->leaving_how = how;
    if (how == RDL_LEAVE_YIELD && !self->strand && is_local(loop, self)) {
        /* Queued while it still stands on its stack: this thread alone could run it, and has left by then. */
        push_local(loop, &self->run);
        loop->leaving = NULL;
    }
    r = next_after(loop);
    if (r == &self->run)
        return; /* nobody else is there */
    rdl_coroutine_switch_inline(&self->co, stack_for(loop, r));
    rdl_loop_land(self->home);
}

struct rdl_coroutine *rdl_loop_exit(struct rdl_loop *loop, struct rdl_fiber *self)
{
    loop->leaving = self;
    loop->leaving_how = RDL_LEAVE_EXIT;
    return stack_for(loop, next_after(loop));
}

/* As rdl_loop_leave(), to a certain one. */
__attribute__((noinline, no_stack_protector)) void
rdl_loop_start_now(struct rdl_loop *loop, struct rdl_fiber *self, struct rdl_fiber *fiber)
{
    count_start(loop);
    fiber->lent = fiber->strand != NULL;
    push_first(loop, &self->run);
    enter(loop, fiber);
    rdl_coroutine_switch_inline(&self->co, &fiber->co);
    rdl_loop_land(self->home);
}

/* noinline: nothing may be kept in a register over the inline switch but what it saves. */
static __attribute__((noinline, no_stack_protector)) void switch_from(struct rdl_loop *loop,
                                                                      struct rdl_fiber *fiber)
{
    rdl_coroutine_switch_inline(&loop->co, &fiber->co);
}

static void run(struct rdl_loop *loop, struct rdl_runnable *r)
{
    struct rdl_fiber *fiber = fiber_of(r);

    /* A turn comes before, which calls other loops for what the poll made runnable. */
    assert(!loop->polling);
    if (!fiber) {
        r->call(r);
        (void)rdl_loop_slice_over(loop, 1);
        return;
    }
    enter(loop, fiber);
    switch_from(loop, fiber);
    rdl_loop_land(loop);
}

int rdl_loop_run(struct rdl_loop *loop)
{
    struct rdl_runnable *r;

    rdl_loop_set_current(loop);
    if (loop->inside)
        rdl_coroutine_init_inside(&loop->co, loop->inside);
    else
        rdl_coroutine_init_thread(&loop->co);
    loop->stop = false;
    loop->stopping = false;
    loop->error = 0;
    loop->slice = 0; /* begin with what has come meanwhile */
    loop->now_ns = rdl_sys_now();
    while (!loop->stop) {
        if (loop->slice <= 0) {
            fit_slice(loop); /* by the clock as rdl_loop_slice_ends() has just seen it */
            rdl_loop_poll(loop, 0);
            rdl_loop_turn(loop);
            begin_fairly(loop);
        }
        /* acquire: who stopped us has counted itself among the posters before. */
        if (rdl_atomic_load_acquire(&loop->stop_asked)) {
            rdl_atomic_store_relaxed(&loop->stop_asked, false);
            if (!loop->stopping) {    /* a second stop doesn't put the first one off */
                rdl_loop_drain(loop); /* what the stopper had posted before runs before */
                loop->stopping = true;
                loop->stop_at = loop->pushed;
            }
        }
        if (loop->stopping && loop->popped >= loop->stop_at && !loop->next)
            break;
        r = loop->next;
        loop->next = NULL;
        if (!r)
            r = pick(loop);
        if (!r)
            r = rdl_loop_rest(loop);
        if (r)
            run(loop, r);
    }
    rdl_coroutine_fini_thread(&loop->co);
    rdl_loop_set_current(NULL);
    return loop->error;
}
