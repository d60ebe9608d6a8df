/*
 * tests/model/scenario_cancel.c - cancelling a fiber from another thread, wherever it is: every cause is
 * noticed, shields hold, timers and operations are taken back before the fiber goes on.
 *
 * One loop, alone; its fiber has scopes around it; strangers mark them and poke.
 */
#include "sched/cancel.h"

#include <errno.h>

#include <raddle/scope.h>
#include <raddle/task.h>
#include <raddle/time.h>

#include "sched/loop.h"
#include "tests/model/host.h"
#include "tests/model/model.h"

enum { STRANGERS = 2 };

static struct rdl_loop loop;
static struct rdl_fiber *fiber;
static struct rdl_scope root, outer, inner;
static rdl_atomic(uint32_t) strangers; /* that are done with the fiber */
static rdl_atomic(uint32_t) entered;   /* 1: the scopes are there to be cancelled */
static unsigned stranger_count;
static bool finished;

static void run_loop(void *arg)
{
    model_check(rdl_loop_run(arg) == 0);
}

static void begin(void (*main)(struct rdl_fiber *))
{
    host_begin();
    rdl_atomic_init(&strangers, 0u);
    rdl_atomic_init(&entered, 0u);
    stranger_count = 0;
    finished = false;
    rdl_loop_init(&loop, host_driver(0), NULL, 0);
    model_check(rdl_fiber_create(NULL, sizeof *fiber, sizeof *fiber, 0, main, &fiber) == 0);
    fiber->mobility = RADDLE_PINNED;
    fiber->home = &loop;
    model_check(rdl_loop_post(&loop, &fiber->run));
    model_spawn("loop", run_loop, &loop);
}

static void end(void)
{
    model_check(finished);
    host_end();
}

/* The scopes are there: whoever waits for them may cancel. */
static void enter(struct rdl_fiber *self, uint32_t inner_flags, int64_t deadline_ns)
{
    rdl_scope_enter(self, &root, NULL, RADDLE_NEVER, 0);
    rdl_scope_enter(self, &outer, &root, RADDLE_NEVER, 0);
    rdl_scope_enter(self, &inner, &outer, deadline_ns, inner_flags);
    (void)rdl_atomic_exchange_acq_rel(&entered, 1u);
}

/* A fiber doesn't end, nor does a scope, while a canceller has it in its hands. */
static void finish(struct rdl_fiber *self)
{
    uint32_t n;

    while ((n = rdl_atomic_fetch_add_acq_rel(&strangers, 0u)) != stranger_count)
        model_sleep_while(&strangers, n);
    model_check(!rdl_timer_armed(&self->timer));
    model_check(!self->op);
    finished = true;
    rdl_loop_stop(&loop);
}

static void cancel(void *arg)
{
    struct rdl_scope *scope = arg;

    model_sleep_while(&entered, 0);
    (void)rdl_atomic_fetch_add_acq_rel(&entered, 0u);
    rdl_scope_mark(scope, RDL_SCOPE_CANCELLED, "a stranger");
    rdl_fiber_poke(fiber, scope->depth);
    (void)rdl_atomic_fetch_add_acq_rel(&strangers, 1u);
}

static void spawn_canceller(const char *name, struct rdl_scope *scope)
{
    stranger_count++;
    model_spawn(name, cancel, scope);
}

/* Sleeps until it is cancelled. */
static void sleep_until_cancelled(struct rdl_fiber *self)
{
    while (rdl_cancel_check(self) == 0) {
        (void)rdl_fiber_arm(self, RDL_PARK_CANCELLABLE);
        model_check(rdl_fiber_park(self, RDL_PARK_CANCELLABLE, "nothing", 0) == -ECANCELED);
    }
}

static void one_cause(struct rdl_fiber *self)
{
    enter(self, 0, RADDLE_NEVER);
    sleep_until_cancelled(self);
    model_check(rdl_scope_canceller(&inner, 0) == &outer);
    finish(self);
}

static void begin_one(void)
{
    begin(one_cause);
    spawn_canceller("canceller", &outer);
}

/* The inner cause is dealt with; the outer one may have come before, after, or in between. */
static void two_causes(struct rdl_fiber *self)
{
    enter(self, 0, RADDLE_NEVER);
    sleep_until_cancelled(self);
    rdl_scope_leave(self, &inner);
    sleep_until_cancelled(self);
    model_check(rdl_scope_canceller(&outer, 0) == &outer);
    finish(self);
}

static void begin_two(void)
{
    begin(two_causes);
    spawn_canceller("outer canceller", &outer);
    spawn_canceller("inner canceller", &inner);
}

/* A shield keeps the outer cause out, and lets it in when it is left; the inner one gets through. */
static void shielded(struct rdl_fiber *self)
{
    enter(self, RADDLE_SHIELD, RADDLE_NEVER);
    sleep_until_cancelled(self);
    model_check(rdl_scope_canceller(&inner, 0) == &inner);
    rdl_scope_leave(self, &inner);
    sleep_until_cancelled(self);
    finish(self);
}

static void begin_shield(void)
{
    begin(shielded);
    spawn_canceller("outer canceller", &outer);
    spawn_canceller("inner canceller", &inner);
}

/* A shielded wait, as for children: only its own end ends it, and the cancel is noticed after. */
static struct rdl_ticket ticket;

static void waiter(struct rdl_fiber *self)
{
    bool woken = false;

    enter(self, 0, RADDLE_NEVER);
    while (!woken) {
        ticket = rdl_fiber_arm(self, RDL_PARK_SHIELDED);
        (void)rdl_atomic_exchange_acq_rel(&entered, 2u);
        woken = rdl_fiber_park(self, RDL_PARK_SHIELDED, "a stranger", 0) == 7;
        model_check(woken || self->held_poke || rdl_cancel_check(self) == -ECANCELED);
        if (!woken && rdl_atomic_exchange_acq_rel(&entered, 1u) == 3)
            woken = true;
    }
    sleep_until_cancelled(self);
    finish(self);
}

static void waker(void *arg)
{
    uint32_t seen;

    (void)arg;
    /* Takes the ticket, as if under a lock. */
    while ((seen = 2, !rdl_atomic_cas_acq_rel(&entered, &seen, 3u)))
        model_sleep_while(&entered, seen);
    (void)rdl_fiber_fire(ticket, 7);
    (void)rdl_atomic_fetch_add_acq_rel(&strangers, 1u);
}

static void begin_shielded_wait(void)
{
    begin(waiter);
    stranger_count++;
    model_spawn("waker", waker, NULL);
    spawn_canceller("canceller", &outer);
}

/* The deadline against a cancel of the scope outside. */
static void timed(struct rdl_fiber *self)
{
    enter(self, 0, rdl_loop_now(&loop) + 50);
    sleep_until_cancelled(self);
    rdl_scope_leave(self, &inner);
    model_check(!rdl_timer_armed(&self->timer));
    sleep_until_cancelled(self);
    finish(self);
}

static void begin_timer(void)
{
    begin(timed);
    spawn_canceller("canceller", &outer);
}

/* The deadline against a cancel of the same scope: whichever comes first stays what it was. */
static void cancelled_or_expired(struct rdl_fiber *self)
{
    uint32_t state;

    enter(self, 0, rdl_loop_now(&loop) + 50);
    sleep_until_cancelled(self);
    state = rdl_atomic_load_acquire(&inner.state);
    model_check(state != RDL_SCOPE_OPEN);
    finish(self);
    model_check(rdl_atomic_load_acquire(&inner.state) == state);
}

static void begin_expired(void)
{
    begin(cancelled_or_expired);
    spawn_canceller("canceller", &inner);
}

/* An operation against a cancel: it is with the driver no more when the fiber goes on. */
static struct host_op op;

static void operating(struct rdl_fiber *self)
{
    enter(self, 0, model_choose(2) ? RADDLE_NEVER : rdl_loop_now(&loop) + 50);
    op = (struct host_op){.fiber = self};
    for (int i = 0; i < 2 && rdl_cancel_check(self) == 0; i++) {
        (void)rdl_fiber_arm(self, RDL_PARK_CANCELLABLE);
        model_check(!loop.driver->ops->submit(loop.driver, host_op(&op)));
        rdl_fiber_attach(self, host_op(&op));
        (void)rdl_fiber_park(self, RDL_PARK_CANCELLABLE, "an operation", 0);
        model_check(!op.submitted && !self->op && !self->finishing);
        model_check(op.result == 1 || op.result == -ECANCELED);
    }
    finish(self);
}

static void begin_op(void)
{
    begin(operating);
    spawn_canceller("canceller", &outer);
}

const char *const model_unwatched_names[] = {"counter", "waiting_", "answer", NULL};
const char model_scenario_name[] = "cancel";
const struct model_case model_cases[] = {
    {"one", begin_one, end},       {"two", begin_two, end},
    {"shield", begin_shield, end}, {"shielded_wait", begin_shielded_wait, end},
    {"timer", begin_timer, end},   {"expired", begin_expired, end},
    {"op", begin_op, end},         {0},
};
