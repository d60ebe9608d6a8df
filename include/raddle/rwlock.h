/*
 * raddle/rwlock.h - many readers or one writer.
 *
 * For context, cancellation, lifetime and memory see raddle/sync.h. Readers and writers stand in one line: a
 * reader that comes after a waiting writer waits behind it, so neither kind starves. Therefore a task that
 * reads must not lock it to read once more: with a writer waiting in between, it would wait for itself, and
 * that isn't noticed, as readers are only counted.
 */
#ifndef RADDLE_RWLOCK_H
#define RADDLE_RWLOCK_H

#include <stdint.h>

#include <raddle/site.h>
#include <raddle/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A read-write lock; the contents are the library's. Zero is an unlocked one. */
struct raddle_rwlock {
    uintptr_t raddle_private[12];
};

/** An unlocked one. */
#define RADDLE_RWLOCK_INIT                                                                         \
    {                                                                                              \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

/**
 * Locks it to read, with other readers, or to write, alone.
 *
 * Returns   0 with lock locked; or
 *           -EOWNERDEAD  it is locked as well, but a writer ended while it had it locked, and what it guards may
 *                        be half changed. Readers are told until a writer has been
 *           or, with lock not locked by this call,
 *           -EDEADLK     the caller has it locked to write; in debug mode (raddle/debug.h) also: who has it locked to
 *                        write waits, perhaps over others, for the caller
 *           -ECANCELED   a scope around the caller is cancelled or past its deadline
 *           -EPERM       on a loop's thread, outside a task
 *           -EINVAL      lock is NULL
 * Context   Inside a task, or in a plain thread.
 * Lifetime  As of raddle_lock(), for writers. A reader that ends without unlocking isn't noticed.
 * Cancel    Cancellation point.
 * Since     0.1
 */
#define raddle_rwlock_read(lock)  raddle_rwlock_read_at((lock), RADDLE_SITE)
#define raddle_rwlock_write(lock) raddle_rwlock_write_at((lock), RADDLE_SITE)

/**
 * The same, if nobody has it locked in a way that excludes the caller, and nobody waits.
 *
 * Returns   0 or -EOWNERDEAD as above; -EBUSY; -EINVAL: lock is NULL
 * Context   Any thread.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_rwlock_try_read(struct raddle_rwlock *lock);
#define raddle_rwlock_try_write(lock) raddle_rwlock_try_write_at((lock), RADDLE_SITE)

/**
 * What the macros raddle_rwlock_read(), raddle_rwlock_write() and raddle_rwlock_try_write() call, and as them; site,
 * shown in reports as where it was locked, may be NULL, or lives for ever.
 *
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_rwlock_read_at(struct raddle_rwlock *lock, const char *site);
RADDLE_API RADDLE_NODISCARD int raddle_rwlock_write_at(struct raddle_rwlock *lock,
                                                       const char *site);
RADDLE_API RADDLE_NODISCARD int raddle_rwlock_try_write_at(struct raddle_rwlock *lock,
                                                           const char *site);

/**
 * Unlocks it: by its writer, or for one reader. Those who come next in line have it when this returns: a
 * writer, or all readers up to the next writer.
 *
 * Returns   0; -EPERM: another has it locked to write, or nobody has it locked; -EINVAL: lock is NULL
 * Context   Its writer; or any thread, for a reader.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API int raddle_rwlock_unlock(struct raddle_rwlock *lock);

#ifdef __cplusplus
}
#endif

#endif
