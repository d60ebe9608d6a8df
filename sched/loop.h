/*
 * sched/loop.h - one loop: its queues, its timers, its driver, and the thread that runs it.
 *
 * A loop runs fibers and callbacks until there are none, then sleeps in its driver. Loops of one
 * team steal from each other. What is not marked as shared belongs to the thread that runs the
 * loop.
 *
 * What runs when (loop.c, pick()): in a team, the fiber woken last, at most three times in a row;
 * then those woken, oldest first; then fresh ones, newest first; then what is in the team's injector. Now and
 * then the oldest fresh one and the injector come first, so that nobody starves. Thieves take the oldest fresh
 * and the oldest woken migratable ones. On a loop that is alone everything runs in the order in which it was
 * queued.
 */
#ifndef RDL_SCHED_LOOP_H
#define RDL_SCHED_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sched/atomic.h"
#include "sched/coroutine.h"
#include "sched/deque.h"
#include "sched/driver.h"
#include "sched/fiber.h"
#include "sched/idle.h"
#include "sched/inbox.h"
#include "sched/pageout.h"
#include "sched/runnable.h"
#include "sched/spin.h"
#include "sched/stack.h"
#include "sched/team.h"
#include "sched/timer.h"

enum {
    RDL_QUANTUM_NS = 150 * 1000, /* between two polls of a busy loop */
    RDL_SLICE = 64,              /* switches between two looks at the clock, at most */
    RDL_EVERY_INJECTED = 61,     /* picks between two looks into the injector; lifo's don't count */
};

/* Written by the loop's thread, read by anyone. */
struct rdl_loop_counters {
    rdl_atomic(uint64_t) switches, spawns, steals, wakes_sent, parks, polls,
        completions, timers, page_outs;
    rdl_atomic(int64_t) paged_out; /* stacks that are, now */
    rdl_atomic(int64_t) tasks;     /* started minus ended here: the sum over a team is right */
};

/* Why a fiber left its stack: what whoever lands after it has to do. */
enum rdl_leaving { RDL_LEAVE_PARK, RDL_LEAVE_YIELD, RDL_LEAVE_MOVE, RDL_LEAVE_EXIT };

struct rdl_loop {
    /* Of the switch. */
    struct rdl_coroutine co; /* the thread's own stack */
    int *errno_at; /* the thread's, while the loop runs: no address to be kept by a compiler */
    const struct rdl_coroutine
        *inside; /* which stands in for the thread that runs the loop; NULL: one does */
    rdl_atomic(
        struct rdl_fiber *) current; /* shared for reading: the monitor asks whether it changes */
    struct rdl_fiber *leaving;
    enum rdl_leaving leaving_how;
    struct rdl_loop *move_to;
    int slice;        /* switches left before the clock is read; 0 and less: the loop polls first */
    int slice_length; /* of the next one: what fits into half a quantum, as far as seen */
    int64_t looked_ns; /* when this one began */

    /* Queues of its own. */
    struct rdl_runnable *lifo; /* the fiber woken last; only in a team */
    unsigned lifo_streak;
    unsigned since_injected; /* picks since the last look there; RDL_EVERY_INJECTED: it is due */
    unsigned fair_slices;    /* of those in which newest was set, so far */
    bool usual;              /* in this slice one was picked from the loop's queues */
    bool newest;             /* and one of those was fresh */
    bool woken_next;         /* the injector's queues take turns */
    bool local_next;         /* local and ready take turns */
    struct rdl_spin spin;    /* before it sleeps */
    struct rdl_runnable *local_first, *local_last;
    struct rdl_runnable *next; /* picked already: the loop's own stack begins with it */

    bool polling;   /* the driver is completing operations */
    bool searching; /* counted in the team's idle.searching */
    bool stop;      /* set by the loop's own thread: run returns at once */
    bool stopping;  /* stop_asked was seen: run returns when what was queued by then has run */
    uint64_t pushed, popped; /* of local, so far */
    uint64_t stop_at;        /* popped, when stopping is over */
    int64_t now_ns;          /* as of the last look */
    int64_t polled_ns;
    int64_t trim_ns; /* when free stacks are to be looked at */
    _Alignas(64) struct rdl_timers timers;
    struct rdl_stack_cache stacks;
    struct rdl_pager pager;
    struct rdl_driver *driver;
    /* Called first by a task that looks whether it is cancelled and was poked; NULL: nothing. */
    void (*before_look)(void);
    struct rdl_team *team; /* NULL: alone */
    unsigned index;
    uint64_t random;
    int error; /* what ended the loop: the driver's */

    /* Shared. */
    struct rdl_loop_counters counters;
    rdl_atomic(bool) stop_asked;
    rdl_atomic(uint32_t) posting; /* threads inside rdl_loop_post() and rdl_loop_stop() */
    struct rdl_inbox inbox;
    struct rdl_sleeper sleeper;
    struct rdl_deque fresh; /* fibers that have not started */
    struct rdl_deque ready; /* woken migratable fibers */
};

/* driver becomes the loop's. team: NULL, or one whose loops[index] is this. */
void rdl_loop_init(struct rdl_loop *loop, struct rdl_driver *driver, struct rdl_team *team,
                   unsigned index);

/* The loop isn't running and has no fibers left. Waits for threads that are still about to wake it, then
 * destroys the driver. */
void rdl_loop_fini(struct rdl_loop *loop);

/* Runs until rdl_loop_stop(). Returns 0, or -errno when the driver can't go on. The first call
 * binds the loop to the calling thread. */
int rdl_loop_run(struct rdl_loop *loop);

/* Any thread. */
void rdl_loop_stop(struct rdl_loop *loop);

/*
 * The loop that runs on the calling thread; NULL: none. Its result is never kept across a suspension, and the
 * compiler must not keep it either: one that saw the thread-local would take its address once per function,
 * and after a move read another thread's. So this is assembly that it can't look into, done anew each time, or
 * a call. After its own suspension a fiber needs neither: home is where it runs.
 */
#if defined(__x86_64__) && defined(__LP64__)
extern _Thread_local struct rdl_loop *rdl_loop_here __attribute__((tls_model("initial-exec")));

static inline struct rdl_loop *rdl_loop_current(void)
{
    struct rdl_loop *loop;

    __asm__ volatile("movq rdl_loop_here@gottpoff(%%rip), %0\n\t"
                     "movq %%fs:(%0), %0"
                     : "=r"(loop)
                     :
                     : "memory");
    return loop;
}
#else
struct rdl_loop *rdl_loop_current(void);
#endif

/* The running fiber of the calling thread; NULL outside. */
static inline struct rdl_fiber *rdl_fiber_self(void)
{
    struct rdl_loop *loop = rdl_loop_current();

    return loop ? rdl_atomic_load_relaxed(&loop->current) : NULL;
}

/* The clock as the loop last saw it: at most a quantum old. */
static inline int64_t rdl_loop_now(const struct rdl_loop *loop)
{
    return loop->now_ns;
}

/* Does fiber, when it suspends here, go on elsewhere, because the run was asked to move what may move? */
static inline bool rdl_loop_moves(const struct rdl_loop *loop, const struct rdl_fiber *fiber)
{
    return __builtin_expect(loop->team && loop->team->moves, 0) &&
           rdl_fiber_is(fiber, RADDLE_MIGRATABLE);
}

/* In the child of a fork: this thread runs no loop, whatever stack it stands on. */
void rdl_loop_forget(void);

/* For who has several loops share a thread, when it goes from one's stack to another's. */
void rdl_loop_set_current(struct rdl_loop *loop);

/* The driver of the calling thread's loop, if it simulates; else NULL. A call on purpose: who names the loop in inline
 * assembly only, as rdl_loop_current() does, gives a linker with -flto no reason to take loop.o out of the archive. */
struct rdl_driver *rdl_loop_simulator(void);

/* The clock now, which is also how the loop saw it last. Loop's thread. */
int64_t rdl_loop_look(struct rdl_loop *loop);

/* Loop's thread: a number below bound, for who must not always choose the same. */
unsigned rdl_loop_random_below(struct rdl_loop *loop, unsigned bound);

/* Is anything else waiting to run on this loop? */
static inline bool rdl_loop_busy(const struct rdl_loop *loop)
{
    return loop->local_first || loop->lifo || !rdl_deque_empty(&loop->ready) ||
           !rdl_deque_empty(&loop->fresh) || (loop->team && rdl_team_injected(loop->team));
}

/* Loop's thread: queues a fiber or a callback that the caller owns, as the last. */
void rdl_loop_enqueue(struct rdl_loop *loop, struct rdl_runnable *r);

/* Loop's thread, in self, which has ended but never leaves its stack: it is in no strand any more, and isn't counted. */
void rdl_loop_abandon(struct rdl_loop *loop, struct rdl_fiber *self);

/* Loop's thread: queues a fresh fiber where the team may take it. */
void rdl_loop_start(struct rdl_loop *loop, struct rdl_fiber *fiber);

/* Loop's thread: it is the next that runs here. */
void rdl_loop_start_next(struct rdl_loop *loop, struct rdl_fiber *fiber);

/* self, which runs on a loop that is alone: starts fiber, whose strand is NULL or its own, and returns when that has
 * left its stack for the first time. */
void rdl_loop_start_now(struct rdl_loop *loop, struct rdl_fiber *self, struct rdl_fiber *fiber);

/* Any thread: queues r on that loop. False: the loop is closed, and r still the caller's. */
bool rdl_loop_post(struct rdl_loop *loop, struct rdl_runnable *r);

/* Any thread that has claimed the loop's sleeper (sched/idle.h): its driver goes on. */
void rdl_loop_wake(struct rdl_loop *loop);

/*
 * A post is what makes a loop go on, perhaps to its end: what was posted may be the last thing that it was
 * waiting for, and its owner frees it. So whoever posts counts itself first, while the loop still has a
 * reason to live, and out again after the wake, its last touch. Who is still inside a post has a few
 * instructions to go, and perhaps a system call; whoever frees what is posted to waits for it.
 */
static inline void rdl_post_begin(rdl_atomic(uint32_t) * posting)
{
    rdl_atomic_fetch_add_relaxed(posting, 1);
}

static inline void rdl_post_end(rdl_atomic(uint32_t) * posting)
{
    rdl_atomic_fetch_sub_release(posting, 1);
}

/* Until nobody is inside a post that began before. What they did happened before it returns. */
void rdl_posters_wait(const rdl_atomic(uint32_t) * posting);

/* Any thread, while it is sure that the loop exists, and for a few instructions: between the two
 * rdl_loop_fini() waits. For a post by somebody who may lose that certainty before it is done. */
void rdl_loop_hold(struct rdl_loop *loop);
void rdl_loop_let_go(struct rdl_loop *loop);

/*
 * The debug mode that moves what may move. The fiber goes to the inbox of the loop after the one that it ran
 * on, and from there to where thieves can't see it: it does run there. False: that loop is closed. from: the calling
 * thread's loop, or NULL.
 */
bool rdl_loop_send_on(struct rdl_team *team, struct rdl_loop *from, struct rdl_fiber *fiber);

/* Called by fiber.c, on the loop's thread. */
void rdl_loop_leave(struct rdl_loop *loop, struct rdl_fiber *self, enum rdl_leaving how);
void rdl_loop_land(struct rdl_loop *loop);
void rdl_loop_woken(struct rdl_loop *loop, struct rdl_fiber *fiber);

/* By fiber.c, too: self has ended. Returns who is resumed next, by its coroutine's return; whoever that is lands. */
struct rdl_coroutine *rdl_loop_exit(struct rdl_loop *loop, struct rdl_fiber *self);

/* The three that rdl_loop_run() and rest.c have in common, on the loop's own stack. Polls the driver for at most
 * timeout_ns (negative: until something happens); a slice of the length found so far begins. */
void rdl_loop_poll(struct rdl_loop *loop, int64_t timeout_ns);

/* After a poll and before anything runs: does what has become due, and calls other loops for what is too much here. */
void rdl_loop_turn(struct rdl_loop *loop);

/* What was posted goes to the loop's queues. */
void rdl_loop_drain(struct rdl_loop *loop);

/* Charges cost, in switches, against the time slice: is it over, so that the loop has to poll first? */
bool rdl_loop_slice_ends(struct rdl_loop *loop, int cost);

static inline bool rdl_loop_slice_over(struct rdl_loop *loop, int cost)
{
    if (loop->slice <= cost)
        return rdl_loop_slice_ends(loop, cost);
    loop->slice -= cost;
    return false;
}

static inline void rdl_count(rdl_atomic(uint64_t) * counter)
{
    rdl_atomic_store_relaxed(counter, rdl_atomic_load_relaxed(counter) + 1);
}

#endif
