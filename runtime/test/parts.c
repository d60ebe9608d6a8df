/*
 * runtime/test/parts.c - the parts of a test, one after the other, inside of its run.
 *
 * Each is a task of its own, in a shielded group of its own: it may be cancelled, or end in a failed assertion, and
 * what comes after it isn't touched by that.
 *
 * The test's group is open in a task beside the parts. It is that task which is cancelled when a child fails,
 * and which then cancels setup or body, whichever runs. Teardown and clean-ups are to be whole, whatever fails.
 *
 * Virtual time comes to a point in ten years only when nothing else is to come before: a part that waits in vain is
 * found out by that, at once. Unless it waits for another thread: that gets some real time.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <raddle/debug.h>
#include <raddle/error.h>
#include <raddle/scope.h>
#include <raddle/sim.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/test/parts.h"

#define LATER_NS   (INT64_C(10) * 365 * 86400 * 1000000000)
#define THREADS_NS RADDLE_S(2)

enum { PATIENCE = 100 }; /* milliseconds for what has been told to end and is about to */

struct cleanup {
    raddle_task_fn *fn;
    void *arg;
    const char *file;
    int line;
    struct cleanup *next;
};

/* Registered by tasks on any loop. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct cleanup *cleanups; /* the last one first; under lock */
static struct rdl_test
    *current; /* set while the main task runs its parts; read by tasks of the test */

struct raddle_group *raddle_test_group(void)
{
    struct raddle_group *group;

    pthread_mutex_lock(&lock);
    group = current ? &current->group : NULL;
    pthread_mutex_unlock(&lock);
    return group;
}

void raddle_test_cleanup_at(raddle_task_fn *fn, void *arg, const char *file, int line)
{
    struct cleanup *c = malloc(sizeof(*c));

    if (!c) {
        rdl_test_fail_at(file, line, "no memory for a clean-up");
        raddle_test_abort();
    }
    *c = (struct cleanup){.fn = fn, .arg = arg, .file = file, .line = line};
    pthread_mutex_lock(&lock);
    c->next = cleanups;
    cleanups = c;
    pthread_mutex_unlock(&lock);
}

static struct cleanup *take_cleanup(void)
{
    struct cleanup *c;

    pthread_mutex_lock(&lock);
    c = cleanups;
    if (c)
        cleanups = c->next;
    pthread_mutex_unlock(&lock);
    return c;
}

/* One part. */

static int call_setup(void *arg)
{
    ((struct rdl_test *)arg)->options.setup();
    return 0;
}

static int call_body(void *arg)
{
    struct rdl_test *test = arg;

    test->body(test->arg);
    return 0;
}

static int call_teardown(void *arg)
{
    ((struct rdl_test *)arg)->options.teardown();
    return 0;
}

static int call_cleanup(void *arg)
{
    struct cleanup *c = arg;
    int rc = c->fn(c->arg);

    if (rc < 0)
        rdl_test_fail_at(c->file, c->line, "the clean-up registered here failed: %s",
                         raddle_strerror(rc));
    return 0;
}

static int join_until(raddle_task *task, raddle_time deadline)
{
    struct raddle_scope limit;

    raddle_scope_enter(&limit, deadline, RADDLE_SHIELD);
    return raddle_scope_leave(&limit, raddle_join(task, NULL));
}

/* Waits for task, which a group of the caller's owns; in virtual time, not for ever. */
static void wait_for(const struct rdl_test *test, raddle_task *task)
{
    int rc = join_until(task, test->simulated ? raddle_in(LATER_NS) : RADDLE_NEVER);

    if (rc != -ETIMEDOUT)
        return;
    raddle_sim_hold();
    rc = join_until(task, raddle_in(THREADS_NS));
    raddle_sim_release();
    if (rc == -ETIMEDOUT)
        rdl_test_stands_still();
}

static void run_part(struct rdl_test *test, const char *what, raddle_task_fn *fn, void *arg,
                     int64_t limit_ns, bool stops_on_failure)
{
    const struct raddle_group_options together = {.mode = RADDLE_COLLECT,
                                                  .scope_flags = RADDLE_SHIELD};
    const struct raddle_spawn_options options = {
        .name = what,
        .stack_bytes = test->options.stack_bytes,
        .loop = test->loop,
        .context = test->context,
    };
    const struct raddle_spawn_site site = {what, test->file, test->line};
    struct raddle_group group;
    raddle_task *task = NULL;
    int rc = raddle_group_open(&group, &together);

    if (rc == 0)
        rc = raddle_spawn_at(&group, &task, fn, arg, &options, &site);
    if (rc < 0)
        rdl_test_fail("%s can't be started: %s", what, raddle_strerror(rc));
    if (task) {
        rdl_test_watch(what, limit_ns, task, stops_on_failure);
        wait_for(test, task);
    }
    rc = raddle_group_close(&group, 0);
    (void)rc; /* of a failed assertion, which has been told */
    rdl_test_unwatch();
    raddle_task_unref(task);
}

/* The test's group. */

static int keep_group(void *arg)
{
    struct rdl_test *test = arg;
    int rc = raddle_group_open(&test->group, NULL);

    if (rc == 0)
        rc = raddle_started(NULL);
    if (rc == 0)
        rc = raddle_sleep_until(RADDLE_NEVER);
    rc = raddle_group_close(&test->group, rc);
    if (rc < 0 && rc != -ECANCELED && rc != RADDLE_ETEST)
        rdl_test_fail("a task of raddle_test_group() failed: %s", raddle_strerror(rc));
    if (rc < 0 && rc != -ECANCELED)
        rdl_test_stop_part("a task of raddle_test_group() failed");
    return 0;
}

static void end_group(struct rdl_test *test, raddle_task *keeper)
{
    rdl_test_watch("the end of raddle_test_group()", test->options.teardown_ns, NULL, false);
    (void)raddle_task_cancel(keeper, "the test has ended");
    wait_for(test, keeper);
    rdl_test_unwatch();
}

/* What is left. */

static int print_left(int fd, void *arg)
{
    return raddle_print_left(fd, *(unsigned *)arg);
}

/* Who has been told to end may need a moment for it, and so may the last words of a task that was joined. */
static void check_left(unsigned what, const char *kind)
{
    char *text = NULL;
    int count = 1;

    for (int i = 0; count > 0 && i < PATIENCE; i++) {
        free(text);
        text = rdl_test_capture(print_left, &what, &count);
        if (count > 0 && raddle_sleep(RADDLE_MS(1)) < 0)
            break;
    }
    if (count > 0)
        rdl_test_fail("%d %s left\n%s", count, kind, text ? text : "");
    else if (text && *text) /* there was no room for all of it */
        rdl_test_fail("many %s left\n%s", kind, text);
    else if (count < 0)
        rdl_test_fail("nobody knows whether %s left: %s", kind, raddle_strerror(count));
    free(text);
}

static void run_parts(struct rdl_test *test)
{
    const struct raddle_test_options *o = &test->options;
    unsigned before = rdl_test_failures();
    struct cleanup *c;

    if (o->setup)
        run_part(test, "setup", call_setup, test, o->timeout_ns, true);
    if (rdl_test_failures() == before) {
        run_part(test, "body", call_body, test, o->timeout_ns, true);
        if (o->teardown)
            run_part(test, "teardown", call_teardown, test, o->teardown_ns, false);
    }
    while ((c = take_cleanup())) {
        run_part(test, "clean-up", call_cleanup, c, o->teardown_ns, false);
        free(c);
    }
}

/* The test's group has ended: what its tasks registered meanwhile can't be called any more. */
static void refuse_cleanups(void)
{
    struct cleanup *c;

    while ((c = take_cleanup())) {
        rdl_test_fail_at(c->file, c->line, "a clean-up was registered after the last one");
        free(c);
    }
}

static void set_current(struct rdl_test *test)
{
    pthread_mutex_lock(&lock);
    current = test;
    pthread_mutex_unlock(&lock);
}

int rdl_test_main(void *arg)
{
    struct rdl_test *test = arg;
    const struct raddle_group_options apart = {.mode = RADDLE_COLLECT,
                                               .scope_flags = RADDLE_SHIELD};
    const struct raddle_spawn_options pinned = {.loop = raddle_running_loop()};
    static const struct raddle_spawn_site site = {"raddle_test_group", NULL, 0};
    struct raddle_group group;
    raddle_task *keeper = NULL;
    int rc;

    test->loop = raddle_running_loop();
    test->simulated = raddle_sim_seed(&test->seed) == 0;
    rc = raddle_ctx_copy(&test->context);
    if (rc == 0)
        rc = raddle_group_open(&group, &apart);
    else
        return rc;
    if (rc == 0)
        rc = raddle_spawn_started_at(&group, &keeper, keep_group, test, &pinned, NULL, &site);
    if (rc == 0) {
        set_current(test);
        run_parts(test);
        end_group(test, keeper);
        refuse_cleanups();
        set_current(NULL);
    }
    raddle_task_unref(keeper);
    rc = raddle_group_close(&group, rc);
    raddle_ctx_unref(test->context);
    /* Another loop that a task holds is waited for, too. */
    rdl_test_watch("the search for what was left", test->options.teardown_ns, NULL, false);
    if (rc == 0 && !(test->options.allow & RADDLE_TEST_TASKS))
        check_left(RADDLE_LEFT_TASKS, "tasks were");
    if (rc == 0 && !(test->options.allow & RADDLE_TEST_CALLBACKS))
        check_left(RADDLE_LEFT_CALLBACKS, "callbacks with a time were");
    rdl_test_watch("the end of the run", test->options.teardown_ns, NULL, false);
    return rc;
}
