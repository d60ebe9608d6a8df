/*
 * sched/lock.h - a one-word lock for critical sections of a few dozen instructions.
 *
 * Held for list surgery only: never across a system call, a suspension or foreign code. The holder's
 * last touch of the lock's memory is the store that releases it, so the memory may go away as soon as
 * another thread has acquired it: groups, handles and futures on a stack rely on this, and a pthread
 * mutex doesn't promise it.
 *
 * A waiter spins briefly, then gives up its CPU, then sleeps in short steps: a holder that was
 * preempted, or that has a lower real-time priority, always gets to run.
 */
#ifndef RDL_SCHED_LOCK_H
#define RDL_SCHED_LOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "sched/atomic.h"

/* What a thread does between two looks at something that another is about to change. */
static inline void rdl_cpu_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

struct rdl_lock {
    rdl_atomic(uint32_t) held;
};

void rdl_lock_wait(struct rdl_lock *lock);

static inline void rdl_lock_acquire(struct rdl_lock *lock)
{
    /* acquire pairs with the release in rdl_lock_release(). */
    if (rdl_atomic_exchange_acquire(&lock->held, 1u))
        rdl_lock_wait(lock);
}

static inline bool rdl_lock_try(struct rdl_lock *lock)
{
    return !rdl_atomic_load_relaxed(&lock->held) && !rdl_atomic_exchange_acquire(&lock->held, 1u);
}

static inline void rdl_lock_release(struct rdl_lock *lock)
{
    rdl_atomic_store_release(&lock->held, 0u);
}

#endif
