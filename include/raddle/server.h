/*
 * raddle/server.h - serves connections: a listener per loop, a task per connection.
 */
#ifndef RADDLE_SERVER_H
#define RADDLE_SERVER_H

#include <stddef.h>
#include <stdint.h>

#include <raddle/stream.h>
#include <raddle/task.h>
#include <raddle/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/** How a server serves. Zero is the default for every member. */
struct raddle_serve_options {
    enum raddle_mobility mobility; /**< Of the handlers. */
    /** Of each listening socket; 0: 4096, and at most what the system allows. */
    int backlog;
    size_t max_connections; /**< At once; more wait in the backlog. 0: no limit. */
    size_t stack_bytes;     /**< Of a handler; 0: the default. */
    /** How long a stop waits for handlers before it cancels them; 0: 5 s; negative: not at all. */
    int64_t drain_ns;
    void *context; /**< What raddle_serve_context() returns in a handler. */
    /** Called once, in the caller's task, with the real address (port 0 resolved). */
    void (*on_listening)(const char *address, void *context);
    unsigned listeners;   /**< Loops that accept; 0: all of the team. */
    bool page_out;        /**< Of the handlers, as in raddle_spawn_options. */
    uint64_t reserved[4]; /**< Zero. */
};

/**
 * Serves address until the caller is cancelled: each connection runs handler(stream) in a task of
 * its own. The handler owns the stream and closes it. What a handler returns ends nothing but
 * itself.
 *
 * When the caller is cancelled it stops listening, hands the connections that were waiting in the
 * backlog to handlers, waits up to drain_ns for all handlers, cancels those that are left, waits
 * for them, and returns.
 *
 * Out of descriptors, it reports that once, rests a moment and goes on; the connections wait in the
 * backlog.
 *
 * address   "tcp:HOST:PORT" (numeric; "*" for all; port 0 picks one), "unix:PATH", "unix:@ABSTRACT"
 * Returns   -ECANCELED after a stop; what made an acceptor fail, after the same orderly end; or,
 *           with nothing served,
 *           -ECANCELED                   the caller was cancelled already
 *           -EINVAL                      not an address, handler is NULL, a bad option
 *           -EAFNOSUPPORT, -ENAMETOOLONG, -ENODEV
 *                                        an address of another kind, too long, of no such zone
 *           -EADDRINUSE, -EACCES, -EMFILE, -ENOMEM
 *                                        and what else socket(2), bind(2) and listen(2) say
 *           -EPERM                       outside a task
 * Context   Inside a task.
 * Lifetime  options and what it points to must live until this call returns.
 * Cancel    Cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_serve(const char *address, raddle_task_fn *handler,
                                             const struct raddle_serve_options *options);

/**
 * The context of the server that accepted the connection of the current task; NULL elsewhere.
 *
 * Context   Inside a handler, not in tasks that it spawns.
 * Since     0.1
 */
RADDLE_API void *raddle_serve_context(void);

#ifdef __cplusplus
}
#endif

#endif
