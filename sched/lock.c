/*
 * sched/lock.c - what a thread does while it waits for a lock that another holds.
 */
#define _GNU_SOURCE
#include "sched/lock.h"

#include <sched.h>
#include <time.h>

enum {
    SPINS = 100,       /* a holder on another CPU is done by then */
    YIELDS = 100,      /* a holder preempted on this CPU runs by then */
    NAP_NS = 50 * 1000 /* a holder of lower priority gets to run */
};

void rdl_lock_wait(struct rdl_lock *lock)
{
    unsigned tries = 0;

    do {
        while (rdl_atomic_load_relaxed(&lock->held)) {
            if (tries < SPINS)
                rdl_cpu_relax();
            else if (tries < SPINS + YIELDS)
                sched_yield();
            else
                nanosleep(&(struct timespec){.tv_nsec = NAP_NS}, NULL);
            tries++;
        }
    } while (rdl_atomic_exchange_acquire(&lock->held, 1u));
}
