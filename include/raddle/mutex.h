/*
 * raddle/mutex.h - one at a time: a lock that is handed from its owner to the first in line.
 *
 *     static struct raddle_mutex lock = RADDLE_MUTEX_INIT;
 *
 *     rc = raddle_lock(&lock);
 *     if (rc < 0)
 *         return rc;
 *     ...                              // may suspend
 *     raddle_unlock(&lock);
 *
 * For context, cancellation, lifetime and memory see raddle/sync.h. Unlike asyncio's Lock it has an owner, a task or a
 * thread, and nobody else can unlock it. An owner that ends with it locked is noticed, and the next one is told.
 */
#ifndef RADDLE_MUTEX_H
#define RADDLE_MUTEX_H

#include <stdbool.h>
#include <stdint.h>

#include <raddle/site.h>
#include <raddle/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A mutex; the contents are the library's. Zero is an unlocked one. */
struct raddle_mutex {
    uintptr_t raddle_private[10];
};

/** An unlocked mutex. */
#define RADDLE_MUTEX_INIT                                                                          \
    {                                                                                              \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

/**
 * Locks mutex, waiting in line if it is locked. It is handed over directly: while somebody waits it is never free, so
 * nobody overtakes, and each hand-over costs a switch.
 *
 * Returns   0 with mutex locked; or
 *           -EOWNERDEAD  mutex is locked as well, but its last owner ended while it had it locked, and what it
 *                        guards may be half changed. Told once, to the next owner
 *           or, with mutex not locked by this call,
 *           -EDEADLK     the caller owns it; in debug mode (raddle/debug.h) also: its owner waits, perhaps over others,
 *                        for the caller, and nothing but a cancellation would ever end that
 *           -ECANCELED   a scope around the caller is cancelled or past its deadline
 *           -EPERM       on a loop's thread, outside a task
 *           -EINVAL      mutex is NULL
 * Context   Inside a task, or in a plain thread.
 * Lifetime  An owner that is a task must not return with a mutex locked that lies in its own frame; the process is
 *           stopped if it does.
 * Cancel    Cancellation point.
 * Since     0.1
 */
#define raddle_lock(mutex) raddle_lock_at((mutex), RADDLE_SITE)

/**
 * Locks mutex if it is free.
 *
 * Returns   0 or -EOWNERDEAD as raddle_lock() does, -EBUSY when it is locked, be it by the caller, -EINVAL for NULL
 * Context   Any thread; in a callback of a loop, the loop's thread is the owner.
 * Cancel    No cancellation point.
 * Since     0.1
 */
#define raddle_trylock(mutex) raddle_trylock_at((mutex), RADDLE_SITE)

/**
 * What the macros raddle_lock() and raddle_trylock() call, and as them; site, shown in reports as where the mutex was
 * locked, may be NULL, or lives for ever.
 *
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_lock_at(struct raddle_mutex *mutex, const char *site);
RADDLE_API RADDLE_NODISCARD int raddle_trylock_at(struct raddle_mutex *mutex, const char *site);

/**
 * Unlocks mutex: the first in line owns it when this returns.
 *
 * Returns   0; -EPERM: the caller doesn't own it, and nothing was done; -EINVAL: mutex is NULL
 * Context   The owner: a task on whatever loop, or a thread.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API int raddle_unlock(struct raddle_mutex *mutex);

/**
 * Whether mutex is locked by anybody, which may have changed when this returns.
 *
 * Context   Any thread.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API bool raddle_locked(struct raddle_mutex *mutex);

#ifdef __cplusplus
}
#endif

#endif
