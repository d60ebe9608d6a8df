/*
 * runtime/time.c - the clock, sleeping and giving way.
 */
#include <raddle/time.h>

#include <errno.h>

#include "sched/fiber.h"
#include "sched/loop.h"
#include "sched/sys.h"

/* The loop learns it, too: a deadline of now has passed for it. */
raddle_time raddle_now(void)
{
    struct rdl_loop *loop = rdl_loop_current();

    return loop ? rdl_loop_look(loop) : rdl_sys_now();
}

static raddle_time after(int64_t now_ns, int64_t length_ns)
{
    int64_t when;

    return __builtin_add_overflow(now_ns, length_ns, &when) ? RADDLE_NEVER : when;
}

raddle_time raddle_in(int64_t length_ns)
{
    return after(raddle_now(), length_ns);
}

raddle_time raddle_in_coarse(int64_t length_ns)
{
    const struct rdl_loop *loop = rdl_loop_current();

    return after(loop ? rdl_loop_now(loop) : rdl_sys_now(), length_ns);
}

int raddle_yield(void)
{
    struct rdl_fiber *self = rdl_fiber_self();
    int rc;

    if (!self)
        return -EPERM;
    rc = rdl_cancel_check(self);
    if (rc == 0)
        rdl_fiber_yield(self);
    return rc;
}

int raddle_checkpoint(void)
{
    struct rdl_fiber *self = rdl_fiber_self();
    int rc;

    if (!self)
        return -EPERM;
    rc = rdl_cancel_check(self);
    /* A look at the clock is due: a computation between two checkpoints may take any time. */
    if (rc == 0 && rdl_loop_slice_over(rdl_loop_current(), RDL_SLICE / 4))
        rdl_fiber_yield(self);
    return rc;
}

int raddle_sleep_until(raddle_time when)
{
    struct rdl_fiber *self = rdl_fiber_self();
    int rc;

    if (!self)
        return -EPERM;
    if (when <= rdl_sys_now())
        return raddle_yield();
    for (;;) {
        /* A sleep is a wait that nobody ends but its timer, which is set to the nearer of when and
         * the deadlines around it: for the time being they are one. */
        int64_t nearest = self->nearest_ns;

        rc = rdl_cancel_check(self);
        if (rc < 0)
            return rc;
        if (when < nearest)
            self->nearest_ns = when;
        (void)rdl_fiber_arm(self, RDL_PARK_CANCELLABLE);
        (void)rdl_fiber_park(self, RDL_PARK_CANCELLABLE, "a point in time", (uint64_t)when);
        self->nearest_ns = nearest;
        /* The loop's clock is what the timer fired by: never early. A migratable task may be on another loop
         * by now, which has not looked at the clock since. */
        if (rdl_loop_now(rdl_loop_current()) >= when || rdl_loop_look(rdl_loop_current()) >= when)
            return 0;
    }
}

int raddle_sleep(int64_t length_ns)
{
    return length_ns <= 0 ? raddle_yield() : raddle_sleep_until(raddle_in(length_ns));
}
