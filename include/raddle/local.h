/*
 * raddle/local.h - task-local storage: a pointer per key that is one task's own.
 *
 *     static struct raddle_local buffer = RADDLE_LOCAL_INIT(free);
 *
 *     char *mine = raddle_local_get(&buffer);
 *     if (!mine && (mine = malloc(BYTES)) && (rc = raddle_local_set(&buffer, mine)) < 0)
 *         free(mine);
 *
 * It takes the place of a thread-local variable: it stays with the task on whichever thread that wakes. Unlike a
 * context variable (raddle/context.h) it is not handed on: a child begins with nothing set.
 *
 * The end. When a task's function has returned, and all its scopes and groups are left, the destructors of what is
 * set are called in the task: what was set first comes last. They may suspend. No cancellation reaches them, but
 * they have RADDLE_LOCAL_BUDGET_NS together: after that every cancellation point fails with -ECANCELED. Whoever joins
 * the task waits for them. A destructor may set something anew; after four rounds of that a report says that the
 * rest is left alone. The context variables, raddle_self() and locks that the task still holds are as they were.
 *
 * For a handful of keys: a task looks through those that it has set.
 */
#ifndef RADDLE_LOCAL_H
#define RADDLE_LOCAL_H

#include <stdint.h>

#include <raddle/time.h>
#include <raddle/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What the destructors of one task may take, all of them together. */
#define RADDLE_LOCAL_BUDGET_NS RADDLE_S(10)

/** Told of a value when its task ends. */
typedef void raddle_local_fn(void *value);

/** A key: usually static. It must outlive the tasks that set it, and not move. */
struct raddle_local {
    raddle_local_fn *destroy; /**< NULL: none. */
    uintptr_t raddle_private[2];
};

/** What a struct raddle_local begins as. */
#define RADDLE_LOCAL_INIT(destroy)                                                                 \
    {                                                                                              \
        (destroy),                                                                                 \
        {                                                                                          \
            0, 0                                                                                   \
        }                                                                                          \
    }

/**
 * What the current task has set key to.
 *
 * Returns   the value; NULL if it has set none, and outside a task
 * Context   Any.
 * Since     0.1
 */
RADDLE_API void *raddle_local_get(const struct raddle_local *key);

/**
 * Sets key for the current task; NULL: to nothing. What it was set to before is the caller's: no destructor is
 * called for it.
 *
 * Returns   0, or, with nothing changed,
 *           -ENOMEM  no memory: only when the task sets key for the first time
 *           -EPERM   outside a task
 *           -EINVAL  key is NULL
 * Context   Inside a task, a destructor included.
 * Lifetime  value must live until the task has ended, or key is set to something else.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_local_set(struct raddle_local *key, const void *value);

#ifdef __cplusplus
}
#endif

#endif
