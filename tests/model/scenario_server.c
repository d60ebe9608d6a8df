/*
 * tests/model/scenario_server.c - a server that accepts, waits for room, is stopped and drained, while handlers end
 * on whichever loop: every connection that was made is handled exactly once, never more at a time than there may be,
 * and nobody waits for room, or for the last handler, in vain.
 *
 * The shipping server on two loops, one of which accepts. Its listener is made up here: it has connections in its
 * backlog from the start.
 */
#include <errno.h>

#include <raddle/error.h>
#include <raddle/group.h>
#include <raddle/io.h>
#include <raddle/run.h>
#include <raddle/server.h>
#include <raddle/task.h>
#include <raddle/time.h>

#include "io/listener.h"
#include "io/stream.h"
#include "runtime/loop.h"
#include "runtime/report.h"
#include "runtime/task.h"
#include "tests/model/host.h"
#include "tests/model/model.h"

enum { LOOPS = 2, CONNECTIONS = 2 };

struct rdl_listener {
    struct rdl_lock lock;
    unsigned backlog; /* connections that wait. Under lock */
    bool stopped;     /* under lock */
};

static struct raddle_loop loops[LOOPS];
static struct rdl_loop *loop_list[LOOPS];
static struct rdl_sleeper *sleepers[LOOPS];
static struct rdl_team team;
static struct rdl_group root;
static raddle_task *main_task;
static struct rdl_listener listener;
static struct raddle_serve_options options;
static rdl_atomic(uint32_t) handled; /* connections whose handler has begun */
static rdl_atomic(uint32_t) active;  /* handlers that have not ended */
static unsigned handlers[CONNECTIONS];
static bool finished, sleeps, limited;

_Noreturn void rdl_die(const char *what)
{
    model_fail("%s", what);
}

void rdl_report(const char *what, ...)
{
    (void)what;
}

void rdl_report_error(const struct raddle_error_event *event, const char *what, ...)
{
    (void)event;
    (void)what;
}

const char *raddle_strerror(int error)
{
    (void)error;
    return "";
}

unsigned raddle_loop_count(void)
{
    return LOOPS;
}

/* The listener. Connections are descriptors, and streams, by their number. */

int rdl_listener_open(const char *address, const struct rdl_listener_options *how,
                      struct rdl_listener **out)
{
    (void)address;
    model_check(how->sockets == 1);
    *out = &listener;
    return 0;
}

unsigned rdl_listener_sockets(const struct rdl_listener *l)
{
    (void)l;
    return 1;
}

const char *rdl_listener_address(const struct rdl_listener *l)
{
    (void)l;
    return "nowhere";
}

int rdl_listener_try_accept(struct rdl_listener *l, unsigned index)
{
    int fd = -EAGAIN;

    (void)index;
    rdl_lock_acquire(&l->lock);
    model_check(!l->stopped);
    if (l->backlog)
        fd = (int)--l->backlog;
    rdl_lock_release(&l->lock);
    return fd;
}

/* With an empty backlog it waits for what doesn't come. */
int rdl_listener_accept(struct rdl_listener *l, unsigned index)
{
    struct rdl_fiber *self = rdl_fiber_self();
    int rc;

    while ((rc = rdl_cancel_check(self)) == 0 &&
           (rc = rdl_listener_try_accept(l, index)) == -EAGAIN) {
        (void)rdl_fiber_arm(self, RDL_PARK_CANCELLABLE);
        (void)rdl_fiber_park(self, RDL_PARK_CANCELLABLE, "a connection", 0);
    }
    return rc;
}

void rdl_listener_stop(struct rdl_listener *l, void (*take)(int fd, void *arg), void *arg)
{
    int fd;

    while ((fd = rdl_listener_try_accept(l, 0)) >= 0)
        take(fd, arg);
    rdl_lock_acquire(&l->lock);
    l->stopped = true;
    rdl_lock_release(&l->lock);
}

void rdl_listener_close(struct rdl_listener *l)
{
    model_check(l->stopped);
}

int rdl_stream_accepted(int fd, raddle_stream **out)
{
    *out = (raddle_stream *)(void *)&handlers[fd];
    return 0;
}

void raddle_stream_abort(raddle_stream *stream)
{
    (void)stream;
    model_fail("a connection was given up");
}

int raddle_fd_close(int fd)
{
    (void)fd;
    model_fail("a connection was closed");
}

/* Tasks. */

static int handler(void *arg)
{
    struct rdl_fiber *self = rdl_fiber_self();
    uint32_t n = rdl_atomic_fetch_add_acq_rel(&active, 1u) + 1;

    model_check(model_count(arg) == 1);
    model_check(raddle_serve_context() == &options);
    /* What is in the backlog when the server stops is served beyond the limit. */
    model_check(n <= 1 || !limited);
    (void)rdl_atomic_fetch_add_acq_rel(&handled, 1u);
    if (sleeps) {
        (void)rdl_fiber_arm(self, RDL_PARK_CANCELLABLE);
        (void)rdl_fiber_park(self, RDL_PARK_CANCELLABLE, "the end of the server", 0);
    }
    (void)rdl_atomic_fetch_sub_acq_rel(&active, 1u);
    return 0;
}

static int serving_main(void *arg)
{
    int rc = raddle_serve("nowhere", handler, &options);

    (void)arg;
    model_check(rc == -ECANCELED);
    model_check(rdl_atomic_load_relaxed(&active) == 0);
    finished = true;
    rdl_loop_stop(&loops[1].base);
    return rc;
}

static void run_loop(void *arg)
{
    struct raddle_loop *loop = arg;

    model_check(rdl_loop_run(&loop->base) == 0);
}

static void stop_server(void *arg)
{
    (void)arg;
    model_check(raddle_task_cancel(main_task, "a stranger") == 0);
}

/* When all have been served: then each of them must have had its turn without a stop. */
static void stop_after_all(void *arg)
{
    uint32_t n;

    while ((n = rdl_atomic_fetch_add_acq_rel(&handled, 0u)) != CONNECTIONS)
        model_sleep_while(&handled, n);
    stop_server(arg);
}

static void begin(size_t max_connections, model_thread_fn *stopper)
{
    static const char *const names[LOOPS] = {"loop 0", "loop 1"};
    struct raddle_spawn_options how = {.name = "main", .loop = &loops[0]};
    struct rdl_spawn spawn = {
        .group = &root, .fn = serving_main, .options = &how, .stops = &loops[0].base};

    host_begin();
    finished = sleeps = limited = false;
    options = (struct raddle_serve_options){
        .listeners = 1,
        .max_connections = max_connections,
        .context = &options,
        .drain_ns = INT64_MAX,
    };
    rdl_atomic_init(&listener.lock.held, 0u);
    listener.backlog = CONNECTIONS;
    listener.stopped = false;
    rdl_atomic_init(&handled, 0u);
    rdl_atomic_init(&active, 0u);
    for (unsigned i = 0; i < CONNECTIONS; i++)
        handlers[i] = 0;
    rdl_team_init(&team, loop_list, sleepers, LOOPS);
    rdl_group_init_root(&root);
    rdl_atomic_init(&root.lock.held, 0u);
    rdl_atomic_init(&root.scope.state, (uint32_t)RDL_SCOPE_OPEN);
    rdl_atomic_init(&root.scope.reason, NULL);
    for (unsigned i = 0; i < LOOPS; i++) {
        loop_list[i] = &loops[i].base;
        sleepers[i] = &loops[i].base.sleeper;
        rdl_loop_init(&loops[i].base, host_driver(i), &team, i);
        loops[i].mobility = RADDLE_FRESH;
        model_spawn(names[i], run_loop, &loops[i]);
    }
    model_check(rdl_task_spawn(&spawn, &main_task) == 0);
    model_spawn("stopper", stopper, NULL);
}

static void end(void)
{
    model_check(finished);
    for (unsigned i = 0; i < CONNECTIONS; i++)
        model_check(handlers[i] == 1);
    model_check(root.live == 0);
    raddle_task_unref(main_task);
    host_end();
}

/* A connection that waited when the main task was cancelled before it served was never taken. */
static void end_stopped(void)
{
    model_check(finished);
    for (unsigned i = 0; i < CONNECTIONS; i++)
        model_check(handlers[i] == (listener.stopped ? 1u : 0u));
    raddle_task_unref(main_task);
    host_end();
}

static void begin_room(void)
{
    begin(1, stop_after_all);
    limited = true;
}

static void begin_stop(void)
{
    begin(0, stop_server);
}

static void begin_stop_room(void)
{
    begin(1, stop_server);
}

/* Handlers that only the end of the drain ends, or that end while they are waited for. */
static void begin_drain(void)
{
    begin(0, stop_server);
    sleeps = true;
    options.drain_ns = 0;
}

static void begin_no_drain(void)
{
    begin(0, stop_server);
    sleeps = true;
    options.drain_ns = -1;
}

const char *const model_unwatched_names[] = {"counter", "waiting_", "answer", NULL};
const char model_scenario_name[] = "server";
const struct model_case model_cases[] = {
    {"room", begin_room, end},
    {"stop", begin_stop, end_stopped},
    {"stop_room", begin_stop_room, end_stopped},
    {"drain", begin_drain, end_stopped},
    {"no_drain", begin_no_drain, end_stopped},
    {0},
};
