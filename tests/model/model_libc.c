/*
 * tests/model/model_libc.c - takes the place of what the sources of runtime/ ask of libc to wait for each other: a
 * mutex is a lock of ours, in the mutex's own memory, and a yield is one that the checker knows.
 */
#include <pthread.h>
#include <sched.h>

#include "sched/lock.h"
#include "tests/model/model.h"

static struct rdl_lock *of(pthread_mutex_t *mutex)
{
    return (struct rdl_lock *)(void *)mutex;
}

int pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes)
{
    (void)attributes;
    rdl_atomic_init(&of(mutex)->held, 0u);
    return 0;
}

int pthread_mutex_destroy(pthread_mutex_t *mutex)
{
    model_check(!rdl_atomic_load_relaxed(&of(mutex)->held));
    return 0;
}

int pthread_mutex_lock(pthread_mutex_t *mutex)
{
    rdl_lock_acquire(of(mutex));
    return 0;
}

int pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    rdl_lock_release(of(mutex));
    return 0;
}

int sched_yield(void)
{
    model_yield();
    return 0;
}

/* The condition's memory holds how often it was signalled. */
static rdl_atomic(uint32_t) * signals_of(pthread_cond_t *condition)
{
    return (rdl_atomic(uint32_t) *)(void *)condition;
}

int pthread_cond_init(pthread_cond_t *condition, const pthread_condattr_t *attributes)
{
    (void)attributes;
    rdl_atomic_init(signals_of(condition), 0u);
    return 0;
}

int pthread_cond_destroy(pthread_cond_t *condition)
{
    (void)condition;
    return 0;
}

int pthread_cond_signal(pthread_cond_t *condition)
{
    rdl_atomic_fetch_add_relaxed(signals_of(condition), 1u);
    return 0;
}

int pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
{
    uint32_t seen = rdl_atomic_load_relaxed(signals_of(condition));

    rdl_lock_release(of(mutex));
    model_sleep_while(signals_of(condition), seen);
    rdl_lock_acquire(of(mutex));
    return 0;
}
