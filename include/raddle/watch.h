/*
 * raddle/watch.h - a watch: the latest value of something, and a way to wait for a newer one.
 *
 *     raddle_watch *settings;
 *     struct settings now = defaults;
 *     uint64_t version = 0;
 *
 *     rc = raddle_watch_create(sizeof(now), &defaults, &settings);
 *     ...
 *     rc = raddle_watch_set(settings, &changed);                          // whoever changes them
 *     while ((rc = raddle_watch_wait(settings, &version, &now)) == 0)     // whoever acts by them
 *         apply(&now);
 *
 * Values are copied. Each has a version, and who waits says which one it has seen: it gets the latest at once if that
 * is another one, and what came in between it doesn't get. So nobody who watches slows down who sets, and none of
 * them misses the last value. For every value in turn there is raddle/broadcast.h; for one value, once, a future.
 *
 * A watch belongs to no loop. Every function may be called in tasks of any loop and in plain threads; one that waits
 * suspends a task and blocks a thread, and in a callback of a loop, which may not wait, returns -EPERM.
 *
 * The end. raddle_watch_shutdown() ends it, or the last of the counted senders does, if there are any: who waits gets
 * RADDLE_ESHUTDOWN, after the last value.
 */
#ifndef RADDLE_WATCH_H
#define RADDLE_WATCH_H

#include <stddef.h>
#include <stdint.h>

#include <raddle/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A watch: counted, thread-safe. */
typedef struct raddle_watch raddle_watch;

/** An end of a watch through which it is set: counted. */
typedef struct raddle_watch_sender raddle_watch_sender;

/**
 * Makes a watch of values of item_bytes. 0 is allowed: then items are NULL, and there are only versions.
 *
 * initial   the first value, of version 1; NULL: zero bytes
 * Returns   0 with *out written; -ENOMEM; -EINVAL: out is NULL
 * Context   Any thread.
 * Lifetime  *out is one reference, given back by raddle_watch_unref().
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_watch_create(size_t item_bytes, const void *initial,
                                                    raddle_watch **out);

/**
 * Takes another reference. Returns watch, which must not be NULL.
 *
 * Context   Any thread.
 * Since     0.1
 */
RADDLE_API raddle_watch *raddle_watch_ref(raddle_watch *watch);

/**
 * Gives a reference back; NULL does nothing.
 *
 * Context   Any thread. The caller of a function that waits keeps a reference for as long.
 * Since     0.1
 */
RADDLE_API void raddle_watch_unref(raddle_watch *watch);

/**
 * Makes a copy of *item the latest value, and wakes all that wait for one. Never waits.
 *
 * Returns   0, or, with nothing set,
 *           RADDLE_ESHUTDOWN  watch has ended
 *           -EINVAL           watch is NULL, or item is, and items have a size
 * Context   Any thread, task or callback.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_watch_set(raddle_watch *watch, const void *item);

/**
 * Reads the latest value, also after the end.
 *
 * item      NULL, or receives it
 * version   NULL, or receives its version
 * Returns   0; -EINVAL: watch is NULL
 * Context   Any thread, task or callback.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API int raddle_watch_get(raddle_watch *watch, void *item, uint64_t *version);

/**
 * Waits until the latest value is of another version than *version, and reads both.
 *
 * version   of the value that the caller has seen; 0: of none
 * item      NULL, or receives the value
 * Returns   0 with *version and *item written, or, with both untouched,
 *           -ECANCELED        a scope around the caller is cancelled or past its deadline
 *           RADDLE_ESHUTDOWN  watch has ended, and there is no other version; also while waiting
 *           -EINVAL           watch or version is NULL
 *           -EPERM            in a callback of a loop
 * Context   Inside a task, or in a plain thread, which is blocked.
 * Cancel    Cancellation point, also when it need not wait.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_watch_wait(raddle_watch *watch, uint64_t *version,
                                                  void *item);

/**
 * Ends watch: sets fail from now on. Again, or NULL, does nothing.
 *
 * Context   Any thread, task or callback.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API void raddle_watch_shutdown(raddle_watch *watch);

/**
 * Opens one more sender of watch. Each is closed on its own, and the last that closes ends it.
 *
 * Returns   0 with *out written; -ENOMEM; RADDLE_ESHUTDOWN: watch has ended; -EINVAL: an argument is NULL
 * Context   Any thread.
 * Lifetime  *out is one reference, given back by raddle_watch_sender_unref(); it keeps watch.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_watch_sender_open(raddle_watch *watch,
                                                         raddle_watch_sender **out);

/**
 * raddle_watch_set() through a sender; RADDLE_ECLOSED when it was closed.
 *
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_watch_sender_set(raddle_watch_sender *sender,
                                                        const void *item);

/**
 * Closes a sender. Closing again, or NULL, does nothing.
 *
 * Context   Any thread.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API void raddle_watch_sender_close(raddle_watch_sender *sender);

/**
 * Another reference to the same sender, which must not be NULL; and one given back. The last closes it. NULL does
 * nothing.
 *
 * Context   Any thread.
 * Since     0.1
 */
RADDLE_API raddle_watch_sender *raddle_watch_sender_ref(raddle_watch_sender *sender);
RADDLE_API void raddle_watch_sender_unref(raddle_watch_sender *sender);

#ifdef __cplusplus
}
#endif

#endif
