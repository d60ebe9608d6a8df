/*
 * tests/model/model_lock.c - takes the place of sched/lock.c: who waits for a lock sleeps, so that the
 * checker sees it. Taking and releasing it are the shipping ones, in sched/lock.h.
 */
#include "sched/lock.h"
#include "tests/model/model.h"

void rdl_lock_wait(struct rdl_lock *lock)
{
    do
        model_sleep_while(&lock->held, 1u);
    while (rdl_atomic_exchange_acquire(&lock->held, 1u));
}
