/*
 * tests/model/scenario_home.c - a migratable fiber whose wait is ended by a stranger, while its home ends the
 * same wait by a timer or an operation: it may go on elsewhere, and home must not end its next wait.
 *
 * Two loops of one team. The fiber's first wait has something that only home can take back. Its second wait has
 * nothing of the kind, so any loop may go on with it, and only the stranger may end it.
 */
#include "sched/cancel.h"

#include <errno.h>

#include <raddle/task.h>
#include <raddle/time.h>

#include "sched/loop.h"
#include "tests/model/host.h"
#include "tests/model/model.h"

enum { LOOPS = 2, FIRST = 7, SECOND = 9 };

static struct rdl_loop loops[LOOPS];
static struct rdl_loop *loop_list[LOOPS];
static struct rdl_sleeper *sleepers[LOOPS];
static struct rdl_team team;

static struct rdl_fiber *fiber;
static struct rdl_scope root, outer, limit;
static struct rdl_ticket tickets[2];
static rdl_atomic(uint32_t) waits; /* that have begun, so that their tickets are there */
static rdl_atomic(uint32_t) poked; /* the canceller is done with the fiber's first wait */
static struct host_op op;
static bool operates, finished;

static void run_loop(void *arg)
{
    model_check(rdl_loop_run(arg) == 0);
}

static void begin(bool with_operation, void (*main)(struct rdl_fiber *), model_thread_fn *stranger)
{
    static const char *const names[LOOPS] = {"loop 0", "loop 1"};

    host_begin();
    rdl_atomic_init(&waits, 0u);
    rdl_atomic_init(&poked, 0u);
    operates = with_operation;
    finished = false;
    rdl_team_init(&team, loop_list, sleepers, LOOPS);
    for (unsigned i = 0; i < LOOPS; i++) {
        loop_list[i] = &loops[i];
        sleepers[i] = &loops[i].sleeper;
        rdl_loop_init(&loops[i], host_driver(i), &team, i);
        model_spawn(names[i], run_loop, &loops[i]);
    }
    model_check(rdl_fiber_create(NULL, sizeof *fiber, sizeof *fiber, 0, main, &fiber) == 0);
    fiber->mobility = RADDLE_MIGRATABLE;
    fiber->home = &loops[0];
    model_check(rdl_loop_post(&loops[0], &fiber->run));
    if (stranger)
        model_spawn("stranger", stranger, NULL);
}

static void end(void)
{
    model_check(finished);
    host_end();
}

/* The fiber. */

static void begin_wait(struct rdl_fiber *self, unsigned which, enum rdl_park how)
{
    tickets[which] = rdl_fiber_arm(self, how);
    (void)rdl_atomic_exchange_acq_rel(&waits, which + 1);
}

static int32_t wait_at_home(struct rdl_fiber *self)
{
    struct rdl_loop *home = rdl_loop_current();
    int32_t result;

    rdl_scope_enter(self, &root, NULL, RADDLE_NEVER, 0);
    rdl_scope_enter(self, &outer, &root, RADDLE_NEVER, 0);
    rdl_scope_enter(self, &limit, &outer, operates ? RADDLE_NEVER : rdl_loop_now(home) + 50, 0);
    begin_wait(self, 0, RDL_PARK_CANCELLABLE);
    if (operates) {
        op = (struct host_op){.fiber = self};
        model_check(!home->driver->ops->submit(home->driver, host_op(&op)));
        rdl_fiber_attach(self, host_op(&op));
    }
    result = rdl_fiber_park(self, RDL_PARK_CANCELLABLE, "a stranger, or home", 0);
    model_check(!rdl_timer_armed(&self->timer));
    model_check(!self->op && !self->finishing && !op.submitted);
    rdl_scope_leave(self, &limit);
    return result;
}

static void wait_anywhere(struct rdl_fiber *self, enum rdl_park how)
{
    begin_wait(self, 1, how);
    model_check(rdl_fiber_park(self, how, "the stranger", 0) == SECOND);
    finished = true;
    for (unsigned i = 0; i < LOOPS; i++)
        rdl_loop_stop(&loops[i]);
}

static void woken(struct rdl_fiber *self)
{
    int32_t result = wait_at_home(self);

    model_check(result == FIRST || (operates ? result == 0 : result == -ECANCELED));
    wait_anywhere(self, RDL_PARK_CANCELLABLE);
}

static void cancelled(struct rdl_fiber *self)
{
    int32_t result = wait_at_home(self);

    model_check(result == -ECANCELED || (operates && result == 0));
    model_sleep_while(&poked, 0); /* a poke that began earlier may end a shielded wait */
    (void)rdl_atomic_fetch_add_acq_rel(&poked, 0u);
    wait_anywhere(self, RDL_PARK_SHIELDED);
}

/* The stranger. */

static void await_wait(unsigned which)
{
    model_sleep_while(&waits, which);
    (void)rdl_atomic_fetch_add_acq_rel(&waits, 0u);
}

static void end_second_wait(void)
{
    uint32_t seen;

    while ((seen = rdl_atomic_fetch_add_acq_rel(&waits, 0u)) < 2)
        model_sleep_while(&waits, seen);
    model_check(rdl_fiber_fire(tickets[1], SECOND));
}

static void waker(void *arg)
{
    (void)arg;
    await_wait(0);
    (void)rdl_fiber_fire(tickets[0], FIRST);
    end_second_wait();
}

static void canceller(void *arg)
{
    (void)arg;
    await_wait(0);
    rdl_scope_mark(&outer, RDL_SCOPE_CANCELLED, "a stranger");
    rdl_fiber_poke(fiber, outer.depth);
    (void)rdl_atomic_exchange_acq_rel(&poked, 1u);
    end_second_wait();
}

/* The canceller is a fiber on the other loop: what it has won goes home from there, or where it is. */
static void cancelling_fiber(struct rdl_fiber *self)
{
    (void)self;
    canceller(NULL);
}

static void begin_from_loop(bool with_operation)
{
    struct rdl_fiber *other;

    begin(with_operation, cancelled, NULL);
    model_check(rdl_fiber_create(NULL, sizeof *other, sizeof *other, 0, cancelling_fiber, &other) ==
                0);
    other->mobility = RADDLE_PINNED;
    other->home = &loops[1];
    model_check(rdl_loop_post(&loops[1], &other->run));
}

static void begin_timer_cancelled_from_loop(void)
{
    begin_from_loop(false);
}

static void begin_op_cancelled_from_loop(void)
{
    begin_from_loop(true);
}

static void begin_timer_woken(void)
{
    begin(false, woken, waker);
}

static void begin_timer_cancelled(void)
{
    begin(false, cancelled, canceller);
}

static void begin_op_woken(void)
{
    begin(true, woken, waker);
}

static void begin_op_cancelled(void)
{
    begin(true, cancelled, canceller);
}

const char *const model_unwatched_names[] = {"counter", "waiting_", "answer", NULL};
const char model_scenario_name[] = "home";
const struct model_case model_cases[] = {
    {"timer_woken", begin_timer_woken, end},
    {"timer_cancelled", begin_timer_cancelled, end},
    {"op_woken", begin_op_woken, end},
    {"op_cancelled", begin_op_cancelled, end},
    {"timer_cancelled_from_loop", begin_timer_cancelled_from_loop, end},
    {"op_cancelled_from_loop", begin_op_cancelled_from_loop, end},
    {0},
};
