/*
 * sched/turn.c - how a task or a plain thread waits in a line.
 *
 * Lifetime. A waiter's frame goes away as soon as it knows that it was served. A task knows by its wait,
 * which lies in a slab and outlives it, or by having been taken out of the line, under the lock. A thread
 * knows by told and by nothing else, so the store to told is the server's last touch of the frame; the wake
 * that follows uses the address only.
 *
 *     told        set by
 *     WAITING     the thread, before it joins
 *     ASLEEP      the thread, before it sleeps: the server has to wake it. Nothing else depends on it
 *     TOLD        the server: release, so that the thread reads the result and what else was done for it
 */
#define _GNU_SOURCE
#include "sched/turn.h"

#include <errno.h>

#include "sched/sys.h"

enum { WAITING, TOLD, ASLEEP };

#ifdef RDL_MODEL
enum { SPINS = 1 }; /* with a hundred it looks at nothing else */
#else
enum { SPINS = 100 };
#endif

void rdl_turn_tell_thread(rdl_atomic(uint32_t) * told)
{
    if (rdl_atomic_exchange_release(told, (uint32_t)TOLD) == ASLEEP)
        rdl_sys_futex_wake(told);
}

/* Sleeps until it is told. False: the deadline came first. */
static bool sleep_thread(struct rdl_turn *turn, int64_t deadline_ns)
{
    uint32_t waiting = WAITING;
    int64_t left = -1;

    for (int i = 0; i < SPINS; i++) {
        if (rdl_atomic_load_acquire(&turn->told) == TOLD)
            return true;
        rdl_cpu_relax();
    }
    (void)rdl_atomic_cas_relaxed(&turn->told, &waiting, (uint32_t)ASLEEP);
    while (rdl_atomic_load_acquire(&turn->told) != TOLD) {
        if (deadline_ns != INT64_MAX) {
            left = deadline_ns - rdl_sys_now();
            if (left <= 0)
                return false;
        }
        if (left < 0)
            rdl_sys_futex_wait(&turn->told, ASLEEP);
        else
            rdl_sys_futex_wait_for(&turn->told, ASLEEP, left);
    }
    return true;
}

static int wait_thread(struct rdl_lock *lock, struct rdl_line *line, struct rdl_turn *turn,
                       int64_t deadline_ns)
{
    bool served;

    if (sleep_thread(turn, deadline_ns))
        return 0;
    rdl_lock_acquire(lock);
    served = !turn->place.in_line;
    rdl_line_leave(line, &turn->place);
    rdl_lock_release(lock);
    if (!served)
        return -ETIMEDOUT;
    (void)sleep_thread(turn, INT64_MAX); /* the server is about to tell it */
    return 0;
}

int rdl_turn_wait(struct rdl_lock *lock, struct rdl_line *line, struct rdl_turn *turn,
                  struct rdl_fiber *self, int64_t deadline_ns, const char *what, const void *object)
{
    bool served;
    int rc;

    if (!self)
        return wait_thread(lock, line, turn, deadline_ns);
    /* Whoever serves fires with 0; everything else with -ECANCELED. */
    while (rdl_fiber_park(self, RDL_PARK_CANCELLABLE, what, (uint64_t)(uintptr_t)object) != 0) {
        rc = rdl_cancel_check(self);
        rdl_lock_acquire(lock);
        served = !turn->place.in_line;
        if (!served && rc < 0)
            rdl_line_leave(line, &turn->place);
        else if (!served) /* a false alarm: it keeps its place */
            turn->place.ticket = rdl_fiber_arm(self, RDL_PARK_CANCELLABLE);
        rdl_lock_release(lock);
        if (served)
            return 0; /* which wins against a cancellation that came meanwhile */
        if (rc < 0)
            return rc;
    }
    return 0;
}

void rdl_turn_tell_all(struct rdl_lock *lock, struct rdl_line *line, int result)
{
    struct rdl_turn_call call;

    rdl_lock_acquire(lock);
    while (rdl_turn_first(line)) {
        call = rdl_turn_call(line, result);
        rdl_lock_release(lock);
        rdl_turn_tell(call);
        rdl_lock_acquire(lock);
    }
    rdl_lock_release(lock);
}
