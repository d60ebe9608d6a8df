/*
 * tests/fault/scenarios_process.c - loops made and closed, forks, signals, reports, for the sweep.
 */
#define _GNU_SOURCE
#include "tests/fault/scenarios.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <raddle.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/fault/inject.h"

static int sleeps_for_ever(void *arg)
{
    (void)arg;
    return raddle_sleep_until(RADDLE_NEVER);
}

static int yields(void *arg)
{
    (void)arg;
    for (int i = 0; i < 5; i++) {
        int rc = raddle_yield();
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int spawns(void *arg)
{
    struct raddle_group g;
    int rc = raddle_group_open(&g, NULL);

    (void)arg;
    if (rc < 0)
        return rc;
    for (unsigned i = 0; i < 4 && rc == 0; i++)
        rc = raddle_spawn(&g, NULL, yields, NULL, NULL);
    return raddle_group_close(&g, rc);
}

static int run(raddle_task_fn *fn, void *arg, unsigned loops)
{
    return raddle_run(fn, arg, &(struct raddle_run_options){.loops = loops});
}

/* --- loops made and closed --- */

static void counts(void *arg)
{
    ++*(int *)arg;
}

static void stops(void *arg)
{
    raddle_loop_stop(arg);
}

static int fails(void *arg)
{
    (void)arg;
    return -EDOM; /* which nobody waits for: a report */
}

/* A close that had no memory, or whose driver couldn't be started, left the loop there: when the trouble is
 * over it is to be closed. */
static int closes(raddle_loop *loop)
{
    int rc = raddle_loop_close(loop);

    if (rc == 0)
        return 0;
    fault_set(NULL);
    return raddle_loop_close(loop) == 0 ? rc : FAULT_WRONG;
}

static int scenario_loops(void)
{
    raddle_loop *loop = NULL;
    int called = 0, calls = 0, rc, closed;

    rc = raddle_new_loop(&loop);
    if (rc < 0)
        return rc;
    for (unsigned i = 0; i < 3 && rc == 0; i++) {
        rc = raddle_call_soon(loop, counts, &called);
        calls += rc == 0;
    }
    if (rc == 0)
        rc = raddle_loop_spawn(loop, sleeps_for_ever, NULL, NULL);
    if (rc == 0)
        rc = raddle_loop_spawn(loop, fails, NULL, NULL);
    if (rc == 0)
        rc = raddle_loop_run_until_complete(loop, spawns, NULL);
    if (rc == 0)
        rc = raddle_call_soon(loop, stops, loop);
    if (rc == 0)
        rc = raddle_loop_run_forever(loop);
    closed = closes(loop);
    if (closed == 0 && called != calls)
        return FAULT_WRONG;
    return fault_first(rc, closed);
}

/* --- callbacks with a handle --- */

/* What is called off isn't called, what isn't is; one whose time doesn't come is given up. */
static int scenario_callbacks(void)
{
    raddle_loop *loop = NULL;
    raddle_handle *soon = NULL, *off = NULL, *later = NULL;
    int called = 0, rc, closed;

    rc = raddle_new_loop(&loop);
    if (rc < 0)
        return rc;
    rc = raddle_call_soon_handle(loop, counts, &called, &soon);
    if (rc == 0)
        rc = raddle_call_later(loop, RADDLE_S(3600), counts, &called, &later);
    if (rc == 0)
        rc = raddle_call_at(loop, RADDLE_NEVER, counts, &called, &off);
    if (rc == 0)
        rc = raddle_loop_run_until_complete(loop, spawns, NULL);
    if (off && raddle_handle_cancel(off) != 0)
        rc = FAULT_WRONG;
    closed = closes(loop);
    if (closed == 0 && called != (soon != NULL))
        closed = FAULT_WRONG;
    if (closed == 0 && later && !raddle_handle_cancelled(later))
        closed = FAULT_WRONG;
    raddle_handle_unref(soon);
    raddle_handle_unref(off);
    raddle_handle_unref(later);
    return fault_first(rc, closed);
}

/* --- readers and writers --- */

static void stops_when_read(void *arg)
{
    raddle_loop_stop(arg);
}

/* A reader that can't go on says so, and nobody else will stop the loop. */
static raddle_loop *stopped_on_error;
static int reported;

static int stops_on_error(const struct raddle_error_event *event, void *arg)
{
    (void)arg;
    reported = event->rc;
    raddle_loop_stop(stopped_on_error);
    return 0;
}

static int scenario_readers(void)
{
    raddle_loop *loop = NULL;
    int ends[2], rc, closed;

    rc = raddle_new_loop(&loop);
    if (rc < 0)
        return rc;
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return FAULT_WRONG;
    if (write(ends[1], "x", 1) != 1)
        return FAULT_WRONG;
    stopped_on_error = loop;
    reported = 0;
    raddle_on_error(stops_on_error, NULL);
    rc = raddle_add_reader(loop, ends[0], stops_when_read, loop);
    if (rc == 0)
        rc = raddle_add_writer(loop, ends[1], stops_when_read, loop);
    if (rc == 0)
        rc = raddle_loop_run_forever(loop);
    if (rc == 0 && raddle_remove_reader(loop, ends[0]) < 0)
        rc = FAULT_WRONG;
    closed = closes(loop);
    raddle_on_error(NULL, NULL);
    rc = fault_first(rc, reported);
    (void)raddle_fd_close(ends[0]);
    (void)raddle_fd_close(ends[1]);
    return fault_first(rc, closed);
}

/* --- a loop in a thread, a runner --- */

static int scenario_threads(void)
{
    raddle_loop_thread *thread = NULL;
    int result = FAULT_WRONG, called = 0, rc, posted;

    rc = raddle_loop_thread_start(&thread, spawns, NULL, NULL);
    if (rc < 0)
        return rc;
    posted = raddle_call_soon(raddle_loop_thread_loop(thread), counts, &called);
    if (raddle_loop_thread_join(thread, &result) != 0)
        return FAULT_WRONG;
    if (called != (posted == 0))
        return FAULT_WRONG;
    return fault_first(result, posted == RADDLE_ESHUTDOWN ? 0 : posted);
}

static int scenario_runner(void)
{
    struct raddle_runner_options options = {.flags = RADDLE_RUN_NO_SIGINT};
    struct raddle_runner runner;
    int rc = raddle_runner_open(&runner, &options), closed;

    if (rc < 0)
        return FAULT_WRONG;
    for (unsigned i = 0; i < 2 && rc == 0; i++)
        rc = raddle_runner_run(&runner, spawns, NULL);
    closed = raddle_runner_close(&runner);
    if (closed < 0) { /* as closes() */
        fault_set(NULL);
        if (raddle_runner_close(&runner) != 0)
            return FAULT_WRONG;
    }
    return fault_first(rc, closed);
}

static void *posts(void *arg)
{
    static int called;
    intptr_t rc = 0;

    for (int i = 0; i < 10 && rc == 0; i++)
        rc = raddle_call_soon(arg, counts, &called);
    raddle_loop_stop(arg);
    return (void *)rc;
}

static int scenario_post(void)
{
    raddle_loop *loop = NULL;
    pthread_t thread;
    void *posted;
    int rc = raddle_new_loop(&loop), closed;

    if (rc < 0)
        return rc;
    if (pthread_create(&thread, NULL, posts, loop) != 0)
        return FAULT_WRONG;
    rc = raddle_loop_run_forever(loop);
    pthread_join(thread, &posted);
    closed = closes(loop);
    rc = fault_first(rc, closed);
    return fault_first(rc, (intptr_t)posted);
}

/* --- fork --- */

static void does_nothing(void)
{
}

static int forks(void *arg)
{
    int status = 0, rc = spawns(arg);
    pid_t child;

    if (rc == 0)
        rc = raddle_at_fork(NULL, does_nothing, does_nothing);
    if (rc < 0)
        return rc;
    child = fork();
    if (child < 0)
        return -errno;
    if (child == 0) {
        int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        /* No task any more; a close of a descriptor, which is closed whatever that says, and a run of its
         * own are allowed. */
        (void)raddle_fd_close(fd);
        if (raddle_yield() != -EPERM || fcntl(fd, F_GETFD) >= 0)
            _exit(3);
        rc = run(spawns, NULL, 1);
        _exit(rc == 0 ? 0 : rc == FAULT_WRONG ? 2 : 1);
    }
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    if (!WIFEXITED(status))
        abort(); /* the child's last words are in the sweep's hands */
    return WEXITSTATUS(status) > 1 ? FAULT_WRONG : WEXITSTATUS(status) ? -ECHILD : 0;
}

/* Without the thread that takes signals: it may just be starting, with a lock of gcc 12's AddressSanitizer that the
 * child would then wait for for ever. */
static int scenario_fork(void)
{
    return raddle_run(forks, NULL,
                      &(struct raddle_run_options){.loops = 1, .flags = RADDLE_RUN_NO_SIGINT});
}

/* --- signals, for which the sweep has handlers that do nothing; reports, dumps --- */

static void no_line(const char *line, void *arg)
{
    (void)line;
    (void)arg;
}

static int is_watched(void *arg)
{
    raddle_time end;
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC), rc;

    (void)arg;
    if (null < 0)
        return -errno;
    rc = raddle_print_tasks(null);
    close(null);
    kill(getpid(), SIGQUIT);
    /* Long enough for the watch to see, in most runs: nothing depends on it. */
    for (end = raddle_in(RADDLE_MS(12)); raddle_now() < end;)
        ;
    return rc < 0 ? rc : spawns(NULL);
}

static int scenario_signals(void)
{
    struct raddle_run_options options = {
        .loops = 1, .flags = RADDLE_RUN_SIGQUIT, .slow_ns = RADDLE_MS(4)};
    int rc;

    raddle_on_report(no_line, NULL);
    rc = raddle_run(is_watched, NULL, &options);
    raddle_on_report(NULL, NULL);
    return rc;
}

static int is_interrupted(void *arg)
{
    struct raddle_scope limit;
    int rc;

    (void)arg;
    raise(SIGINT);
    raddle_scope_enter(&limit, raddle_in(RADDLE_S(1)), 0);
    rc = raddle_scope_leave(&limit, sleeps_for_ever(NULL));
    return rc == -ECANCELED ? 0 : rc;
}

static int scenario_interrupt(void)
{
    return run(is_interrupted, NULL, 1);
}

const struct fault_scenario fault_process_scenarios[] = {
    {"loops", scenario_loops, false},         {"post", scenario_post, false},
    {"callbacks", scenario_callbacks, false}, {"readers", scenario_readers, false},
    {"threads", scenario_threads, false},     {"runner", scenario_runner, false},
    {"fork", scenario_fork, false},           {"signals", scenario_signals, false},
    {"interrupt", scenario_interrupt, false}, {NULL, NULL, false},
};
