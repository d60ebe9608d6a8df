/*
 * runtime/server.c - raddle_serve(): listeners, a task per connection, and an orderly end.
 *
 * Two groups. The acceptors, one per listening socket, pinned to its loop, are what the caller's
 * cancellation reaches. The handlers are in a shielded group inside: they are drained, not cut off.
 * The caller's own task waits for the acceptors to end, which they do only when they are cancelled
 * or fail.
 *
 * active counts handlers, under the server's lock. The last one wakes the drain; each that ends
 * wakes one acceptor that waits for max_connections. The waking follows the pattern of
 * runtime/group.c: tickets are copied under the lock and fired after it, since the server lies in
 * the caller's frame.
 *
 * A loop whose task holds it can't accept, and the kernel has assigned connections to its socket
 * already. So each loop watches the next one, slowly while that one sleeps, and accepts from its
 * socket when it is awake and has not polled for a while.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <raddle/error.h>
#include <raddle/io.h>
#include <raddle/run.h>
#include <raddle/server.h>
#include <raddle/time.h>
#include <string.h>

#include "io/listener.h"
#include "io/stream.h"
#include "runtime/loop.h"
#include "runtime/report.h"
#include "runtime/task.h"
#include "sched/line.h"
#include "sched/sys.h"

#define DEFAULT_DRAIN_NS RADDLE_S(5)
#define REST_NS          RADDLE_MS(50)  /* after running out of something */
#define WELL_AGAIN_NS    RADDLE_S(10)   /* without a shortage: the next is news */
#define WATCH_BUSY_NS    RADDLE_MS(20)  /* between two looks at a neighbour that runs */
#define WATCH_IDLE_NS    RADDLE_MS(500) /* at one that sleeps */
#define STALLED_LOOKS    2              /* in which it has not polled */
enum { DEFAULT_BACKLOG = 4096 };

struct acceptor {
    struct server *server;
    unsigned index;
};

struct server {
    const struct raddle_serve_options *options;
    raddle_task_fn *handler;
    struct rdl_listener *listener;
    const char *address;
    bool spread; /* loops don't all accept: others are woken for handlers */
    struct rdl_group *handlers;
    struct acceptor *acceptors;
    unsigned count; /* of acceptors */

    rdl_atomic(int64_t) short_ns; /* when something had run out last; 0: never */

    struct rdl_lock lock;
    size_t active;            /* handlers that have not ended. Under lock */
    size_t accepting;         /* acceptors and watchers that have not ended. Under lock */
    const size_t *awaited;    /* which of the two the server's task waits for. Under lock */
    struct rdl_ticket waiter; /* it, to be woken at 0; wait NULL: nobody. Under lock */
    struct rdl_line line;     /* for max_connections. Under lock */
    unsigned waiting;         /* how many are in it. Under lock */
};

void *raddle_serve_context(void)
{
    struct rdl_task *self = rdl_task_self();
    struct server *server = self ? self->context : NULL;

    return server ? server->options->context : NULL;
}

/* Under the lock: one less of count. Returns whom to wake. */
static struct rdl_ticket one_less(struct server *server, size_t *count)
{
    static const struct rdl_ticket nobody;

    return --*count == 0 && server->awaited == count ? server->waiter : nobody;
}

/*
 * Calls everybody who waits for room: at most two tasks per loop. Who finds none left lines up again. One
 * at a time, because a waiter's node is in its frame and a cancellation may take it away.
 */
static void call_line(struct server *server)
{
    unsigned waiting;

    rdl_lock_acquire(&server->lock);
    for (waiting = server->waiting; waiting; waiting--) {
        struct rdl_ticket ticket = rdl_line_call(&server->line);
        rdl_lock_release(&server->lock);
        if (ticket.wait)
            (void)rdl_fiber_fire(ticket, 0);
        rdl_lock_acquire(&server->lock);
    }
    rdl_lock_release(&server->lock);
}

/* A connection has ended, or didn't become one. The caller is a child of one of the server's groups, so the
 * server stays. */
static void give_room(struct server *server)
{
    struct rdl_ticket waiter;

    rdl_lock_acquire(&server->lock);
    waiter = one_less(server, &server->active);
    rdl_lock_release(&server->lock);
    if (waiter.wait)
        (void)rdl_fiber_fire(waiter, 0);
    if (server->options->max_connections)
        call_line(server);
}

/*
 * In an acceptor or a watcher: waits until there may be one more connection. in_hand: it has been accepted
 * already, goes before those who have yet to accept one, and is counted in any case, because what was
 * accepted is served, also when the server is being stopped.
 */
static int wait_for_room(struct server *server, bool in_hand)
{
    struct rdl_fiber *self = rdl_fiber_self();
    size_t max = server->options->max_connections;
    struct rdl_place place = {.in_line = false};
    int rc = 0;

    rdl_lock_acquire(&server->lock);
    while (max && server->active >= max && rc == 0) {
        place.ticket = rdl_fiber_arm(self, RDL_PARK_CANCELLABLE);
        if (in_hand)
            rdl_line_join_first(&server->line, &place);
        else
            rdl_line_join(&server->line, &place);
        server->waiting++;
        rdl_lock_release(&server->lock);
        (void)rdl_fiber_park(self, RDL_PARK_CANCELLABLE, "fewer connections", max);
        rc = rdl_cancel_check(self);
        rdl_lock_acquire(&server->lock);
        rdl_line_leave(&server->line, &place);
        server->waiting--;
    }
    if (in_hand)
        server->active++;
    rdl_lock_release(&server->lock);
    return rc;
}

/* A connection's task. */
static int serve_connection(void *arg)
{
    struct server *server = rdl_task_self()->context;

    (void)server->handler(arg); /* its own business: connections fail all the time */
    give_room(server);
    return 0;
}

/* Gives fd, for which there is room, to a handler. */
static int start_handler(struct server *server, int fd)
{
    const struct raddle_serve_options *o = server->options;
    struct raddle_spawn_options options = {.name = "connection",
                                           .mobility = o->mobility,
                                           .stack_bytes = o->stack_bytes,
                                           .page_out = o->page_out};
    struct rdl_spawn spawn = {.group = server->handlers,
                              .fn = serve_connection,
                              .options = &options,
                              .context = server,
                              .quiet = !server->spread};
    raddle_stream *stream;
    int rc = rdl_stream_accepted(fd, &stream);

    if (rc < 0) {
        (void)raddle_fd_close(fd);
    } else {
        spawn.arg = stream;
        rc = rdl_task_spawn(&spawn, NULL);
        if (rc < 0)
            raddle_stream_abort(stream);
    }
    if (rc < 0)
        give_room(server);
    return rc;
}

/* Once, until things have been well for a while: a shortage comes and goes many times a second. */
static void report_shortage(struct server *server, int result)
{
    int64_t now = rdl_sys_now();
    int64_t last = rdl_atomic_exchange_relaxed(&server->short_ns, now);

    if (!last || now - last > WELL_AGAIN_NS)
        rdl_report("%s: can't accept: %s; resting, then trying again", server->address,
                   raddle_strerror(result));
}

/* Returns result, unless it is one that rest cures: then 0, after the rest. */
static int rest_after(struct acceptor *a, int result)
{
    bool ran_out =
        result == -EMFILE || result == -ENFILE || result == -ENOBUFS || result == -ENOMEM;

    if (!ran_out)
        return result;
    report_shortage(a->server, result);
    return raddle_sleep(REST_NS);
}

/* Serves what accept gave. */
static int accepted(struct acceptor *a, int fd)
{
    int rc = wait_for_room(a->server, true);
    int started = start_handler(a->server, fd);

    return started < 0 ? started : rc;
}

static int accept_all(struct acceptor *a)
{
    struct server *server = a->server;
    int rc = 0;

    while (rc == 0) {
        rc = wait_for_room(server, false);
        if (rc == 0)
            rc = rdl_listener_accept(server->listener, a->index);
        if (rc >= 0)
            rc = accepted(a, rc);
        rc = rest_after(a, rc);
    }
    return rc;
}

/* On loop a->index: accepts for the next loop while that one is stalled. */
static int watch_neighbour(struct acceptor *a)
{
    struct server *server = a->server;
    unsigned next = (a->index + 1) % server->count;
    struct rdl_loop *neighbour = rdl_loop_current()->team->loops[next];
    uint64_t polls = 0;
    unsigned looks = 0;
    int rc = 0;

    while (rc == 0) {
        bool asleep = rdl_atomic_load_relaxed(&neighbour->sleeper.state) == RDL_ASLEEP;
        uint64_t seen = rdl_atomic_load_relaxed(&neighbour->counters.polls);

        looks = asleep || seen != polls ? 0 : looks + 1;
        polls = seen;
        while (looks >= STALLED_LOOKS && rc == 0) {
            rc = wait_for_room(server, false);
            if (rc == 0)
                rc = rdl_listener_try_accept(server->listener, next);
            if (rc == -EAGAIN) {
                rc = 0;
                break;
            }
            if (rc >= 0)
                rc = accepted(a, rc);
            rc = rest_after(a, rc);
        }
        if (rc == 0)
            rc = raddle_sleep(asleep ? WATCH_IDLE_NS : WATCH_BUSY_NS);
    }
    return rc;
}

/* An acceptor or a watcher has ended: the last one wakes the server. */
static int ended(struct server *server, int rc)
{
    struct rdl_ticket waiter;

    rdl_lock_acquire(&server->lock);
    waiter = one_less(server, &server->accepting);
    rdl_lock_release(&server->lock);
    if (waiter.wait)
        (void)rdl_fiber_fire(waiter, 0);
    return rc;
}

static int acceptor_main(void *arg)
{
    struct acceptor *a = arg;

    return ended(a->server, accept_all(a));
}

static int watcher_main(void *arg)
{
    struct acceptor *a = arg;

    return ended(a->server, watch_neighbour(a));
}

/* The server's own task: waits until *count is 0, or a scope around it ends the wait. */
static void wait_for_none(struct server *server, const size_t *count, const char *what)
{
    struct rdl_fiber *self = rdl_fiber_self();

    rdl_lock_acquire(&server->lock);
    server->awaited = count;
    while (*count && rdl_cancel_check(self) == 0) {
        server->waiter = rdl_fiber_arm(self, RDL_PARK_CANCELLABLE);
        rdl_lock_release(&server->lock);
        (void)rdl_fiber_park(self, RDL_PARK_CANCELLABLE, what, 0);
        rdl_lock_acquire(&server->lock);
        server->waiter.wait = NULL;
    }
    rdl_lock_release(&server->lock);
}

static void drain(struct server *server)
{
    int64_t length_ns = server->options->drain_ns ? server->options->drain_ns : DEFAULT_DRAIN_NS;
    struct raddle_scope limit;

    if (length_ns < 0)
        return;
    raddle_scope_enter(&limit, raddle_in(length_ns), RADDLE_QUIET);
    wait_for_none(server, &server->active, "its connections to end");
    (void)!raddle_scope_leave(&limit, 0);
}

/* What was waiting in the backlog when the server stopped. */
static void take_leftover(int fd, void *arg)
{
    struct server *server = arg;

    rdl_lock_acquire(&server->lock);
    server->active++;
    rdl_lock_release(&server->lock);
    (void)start_handler(server, fd);
}

static int spawn_on(struct raddle_group *group, struct server *server, unsigned i, const char *name,
                    raddle_task_fn *fn)
{
    struct rdl_loop *here = rdl_loop_current();
    struct rdl_loop *loop = here->team ? here->team->loops[i] : here;
    struct raddle_spawn_options options = {.name = name, .loop = rdl_raddle_loop(loop)};
    struct rdl_spawn spawn = {.group = (struct rdl_group *)(void *)group,
                              .fn = fn,
                              .arg = &server->acceptors[i],
                              .options = &options};
    int rc;

    rdl_lock_acquire(&server->lock);
    server->accepting++;
    rdl_lock_release(&server->lock);
    rc = rdl_task_spawn(&spawn, NULL);
    return rc < 0 ? ended(server, rc) : 0;
}

/* Serves from an open listener until the caller is cancelled or an acceptor fails. */
static int serve(struct server *server)
{
    static const struct raddle_group_options shielded = {.mode = RADDLE_COLLECT,
                                                         .scope_flags = RADDLE_SHIELD};
    struct raddle_group acceptors, handlers;
    int rc = raddle_group_open(&acceptors, NULL);

    if (rc < 0)
        return rc;
    rc = raddle_group_open(&handlers, &shielded);
    server->handlers = (struct rdl_group *)(void *)&handlers;
    for (unsigned i = 0; i < server->count && rc == 0; i++) {
        rc = spawn_on(&acceptors, server, i, "acceptor", acceptor_main);
        if (rc == 0 && server->count > 1)
            rc = spawn_on(&acceptors, server, i, "watcher", watcher_main);
    }
    if (rc < 0)
        raddle_group_cancel(&acceptors, "the server could not start");
    wait_for_none(server, &server->accepting, "its acceptors to end");
    rdl_listener_stop(server->listener, take_leftover, server);
    drain(server);
    raddle_group_cancel(&handlers, "the server's time to drain is over");
    rc = raddle_group_close(&handlers, rc);
    return raddle_group_close(&acceptors, rc);
}

static int check_options(const struct raddle_serve_options *options)
{
    for (unsigned i = 0; i < 4; i++)
        if (options->reserved[i])
            return -EINVAL;
    if ((unsigned)options->mobility > RADDLE_PINNED || options->backlog < 0 ||
        options->stack_bytes > RDL_STACK_MAX_BYTES)
        return -EINVAL;
    return 0;
}

int raddle_serve(const char *address, raddle_task_fn *handler,
                 const struct raddle_serve_options *options)
{
    static const struct raddle_serve_options defaults;
    struct rdl_fiber *self = rdl_fiber_self();
    struct rdl_listener_options listening = {.sockets = raddle_loop_count()};
    struct server server = {.options = options ? options : &defaults, .handler = handler};
    int rc;

    if (!self)
        return -EPERM;
    if (!address || !handler || check_options(server.options) < 0)
        return -EINVAL;
    rc = rdl_cancel_check(self);
    if (rc < 0)
        return rc;
    if (server.options->listeners && server.options->listeners < listening.sockets)
        listening.sockets = server.options->listeners;
    listening.backlog = server.options->backlog ? server.options->backlog : DEFAULT_BACKLOG;
    rc = rdl_listener_open(address, &listening, &server.listener);
    if (rc < 0)
        return rc;
    server.address = rdl_listener_address(server.listener);
    server.count = rdl_listener_sockets(server.listener);
    server.spread = server.count < raddle_loop_count();
    server.acceptors = rdl_sys_calloc(server.count, sizeof(*server.acceptors));
    if (server.acceptors) {
        for (unsigned i = 0; i < server.count; i++)
            server.acceptors[i] = (struct acceptor){.server = &server, .index = i};
        if (server.options->on_listening)
            server.options->on_listening(server.address, server.options->context);
        rc = serve(&server);
    } else {
        rc = -ENOMEM;
    }
    rdl_listener_close(server.listener);
    rdl_sys_free(server.acceptors);
    return rc;
}
