/*
 * tests/runtime/test_close.c - the end of a run, and of loops that other threads stop: what was accepted is run,
 * what comes later is refused, and nothing keeps the end from coming.
 *
 * How a loop that is alone is closed by its owner: tests/runtime/test_loop.c.
 */
#define _GNU_SOURCE
#include "tests/support/fixture.h"

#include <errno.h>
#include <pthread.h>
#include <raddle/error.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "runtime/loop.h"
#include "sched/sys.h"

TestSuite(close, .timeout = 60);

static raddle_loop *loop_of_run(unsigned index)
{
    struct rdl_loop *here = rdl_loop_current();

    return rdl_raddle_loop(here->team ? here->team->loops[index] : here);
}

/* Callbacks. */

struct posts {
    rdl_atomic(unsigned) accepted, called;
    raddle_loop *loop;
    int last_rc;
};

static void counts_call(void *arg)
{
    struct posts *posts = arg;

    rdl_atomic_fetch_add_relaxed(&posts->called, 1u);
}

static int post(struct posts *posts, raddle_loop *loop, raddle_callback_fn *fn)
{
    int rc = raddle_call_soon(loop, fn, posts);

    if (rc == 0)
        rdl_atomic_fetch_add_relaxed(&posts->accepted, 1u);
    return rc;
}

/* More than a slice of them, so that some are still queued when the main task's end is seen. */
static int posts_and_returns(void *arg)
{
    struct posts *posts = arg;

    for (unsigned i = 0; i < 200 * raddle_loop_count(); i++)
        EXPECT_EQ(post(posts, loop_of_run(i % raddle_loop_count()), counts_call), 0);
    return 0;
}

RuntimeTest(close, callbacks_that_a_run_has_accepted_are_called_before_it_returns)
{
    struct posts posts = {.last_rc = 0};

    for (int i = 0; i < 20; i++)
        cr_assert_eq(test_run(posts_and_returns, &posts), 0);
    cr_assert_eq(posts.accepted, 20 * 200 * test_loops());
    cr_assert_eq(posts.called, posts.accepted);
}

/* As above, from a callback that finds its loop already at its end. */
static void posts_another(void *arg)
{
    struct posts *posts = arg;

    counts_call(posts);
    if (rdl_atomic_load_relaxed(&posts->called) % 2)
        (void)post(posts, raddle_running_loop(), counts_call);
}

static int posts_chains_and_returns(void *arg)
{
    struct posts *posts = arg;

    for (unsigned i = 0; i < 63; i++)
        EXPECT_EQ(post(posts, raddle_running_loop(), posts_another), 0);
    return 0;
}

RuntimeTest(close, what_callbacks_post_at_the_end_of_a_run_is_called_or_refused)
{
    struct posts posts = {.last_rc = 0};

    for (int i = 0; i < 50; i++)
        cr_assert_eq(test_run(posts_chains_and_returns, &posts), 0);
    cr_assert_eq(posts.called, posts.accepted);
    cr_assert_geq(posts.called, 50 * 63);
}

/* The usual periodic callback. */
static void posts_itself(void *arg)
{
    struct posts *posts = arg;

    counts_call(posts);
    posts->last_rc = post(posts, posts->loop, posts_itself);
}

static int starts_periodic(void *arg)
{
    struct posts *posts = arg;

    posts->loop = loop_of_run(raddle_loop_count() - 1);
    EXPECT_EQ(post(posts, posts->loop, posts_itself), 0);
    test_await(&posts->called, 100);
    return 3;
}

RuntimeTest(close, a_callback_that_posts_itself_again_does_not_keep_a_run_from_ending)
{
    struct posts posts = {.last_rc = 0};

    cr_assert_eq(test_run(starts_periodic, &posts), 3);
    cr_assert_eq(posts.last_rc, RADDLE_ESHUTDOWN);
    cr_assert_eq(posts.called, posts.accepted);
}

/* Tasks of a loop. */

static int notes_end(void *arg)
{
    struct posts *posts = arg;
    int rc = raddle_sleep_until(RADDLE_NEVER);

    EXPECT_EQ(rc, -ECANCELED);
    EXPECT_STR(raddle_cancel_reason(), "the run has ended");
    counts_call(posts);
    return rc;
}

static int leaves_tasks(void *arg)
{
    struct posts *posts = arg;

    for (unsigned i = 0; i < 20 * raddle_loop_count(); i++) {
        EXPECT_EQ(raddle_loop_spawn(loop_of_run(i % raddle_loop_count()), notes_end, posts, NULL),
                  0);
        rdl_atomic_fetch_add_relaxed(&posts->accepted, 1u);
    }
    return 0; /* most have not begun */
}

RuntimeTest(close, tasks_left_on_a_runs_loops_are_cancelled_and_waited_for)
{
    struct posts posts = {.last_rc = 0};

    cr_assert_eq(test_run(leaves_tasks, &posts), 0);
    cr_assert_eq(posts.called, posts.accepted);
}

struct reports {
    rdl_atomic(unsigned) count, named;
};

static void on_report(const char *line, void *arg)
{
    struct reports *reports = arg;

    rdl_atomic_fetch_add_relaxed(&reports->count, 1u);
    if (strstr(line, "unlucky") && strstr(line, raddle_strerror(-EIO)))
        rdl_atomic_fetch_add_relaxed(&reports->named, 1u);
}

static int fails(void *arg)
{
    (void)arg;
    return -EIO;
}

static int starts_failing(void *arg)
{
    static const struct raddle_spawn_options unlucky = {.name = "unlucky"};
    static const struct raddle_spawn_options other = {.name = "other"};

    (void)arg;
    EXPECT_EQ(raddle_loop_spawn(raddle_running_loop(), fails, NULL, &unlucky), 0);
    EXPECT_EQ(raddle_loop_spawn(raddle_running_loop(), test_nothing, NULL, &other), 0);
    EXPECT_EQ(raddle_loop_spawn(raddle_running_loop(), test_sleep_forever, NULL, &other), 0);
    return 0;
}

RuntimeTest(close, of_tasks_left_on_a_loop_those_that_failed_are_reported)
{
    static struct reports reports;

    raddle_on_report(on_report, &reports);
    cr_assert_eq(test_run(starts_failing, NULL), 0);
    raddle_on_report(NULL, NULL);
    cr_assert_eq(reports.named, 1);
    cr_assert_eq(reports.count, 1);
}

/* Threads of the program's own. */

struct stopped {
    raddle_loop *loop;
    rdl_atomic(unsigned) running;
    struct posts posts;
};

static void tells_it_runs(void *arg)
{
    struct stopped *s = arg;

    rdl_atomic_store_release(&s->running, 1u);
}

static void *posts_and_stops(void *arg)
{
    struct stopped *s = arg;

    test_await(&s->running, 1);
    for (int i = 0; i < 5; i++)
        EXPECT_EQ(post(&s->posts, s->loop, counts_call), 0);
    raddle_loop_stop(s->loop);
    return NULL;
}

RuntimeTest(close, a_thread_posts_stops_and_the_owner_closes)
{
    for (int i = 0; i < 200; i++) {
        struct stopped s = {.loop = NULL};
        pthread_t thread;

        cr_assert_eq(raddle_new_loop(&s.loop), 0);
        cr_assert_eq(raddle_call_soon(s.loop, tells_it_runs, &s), 0);
        cr_assert_eq(pthread_create(&thread, NULL, posts_and_stops, &s), 0);
        cr_assert_eq(raddle_loop_run_forever(s.loop), 0);
        cr_assert_eq(raddle_loop_close(s.loop), 0);
        cr_assert_eq(s.posts.called, 5); /* by the run, or by the close */
        pthread_join(thread, NULL);
    }
}

static void *stops_loop(void *arg)
{
    raddle_loop_stop(arg);
    return NULL;
}

/* The stop's last touch of the loop comes before the close frees it, however late its thread is. */
RuntimeTest(close, a_loop_is_closed_as_soon_as_another_threads_stop_is_seen)
{
    for (int i = 0; i < 300; i++) {
        raddle_loop *loop;
        pthread_t thread;

        cr_assert_eq(raddle_new_loop(&loop), 0);
        cr_assert_eq(pthread_create(&thread, NULL, stops_loop, loop), 0);
        cr_assert_eq(raddle_loop_run_forever(loop), 0);
        cr_assert_eq(raddle_loop_close(loop), 0);
        pthread_join(thread, NULL);
    }
}

/* A close that fails leaves the loop as it was. */

static rdl_atomic(unsigned) no_memory;

static int fails_for_memory(enum rdl_sys_call call, size_t *length)
{
    (void)length;
    if (!rdl_atomic_load_relaxed(&no_memory))
        return 0;
    return call == RDL_SYS_MALLOC || call == RDL_SYS_CALLOC || call == RDL_SYS_MMAP ||
                   call == RDL_SYS_MPROTECT
               ? -ENOMEM
               : 0;
}

RuntimeTest(close, without_a_stack_a_loop_stays_and_is_closed_later)
{
    struct posts posts = {.last_rc = 0};
    raddle_loop *loop;
    int rc;

    cr_assert_eq(raddle_new_loop(&loop), 0);
    cr_assert_eq(post(&posts, loop, counts_call), 0);
    rdl_stack_trim_all();
    rdl_atomic_store_relaxed(&no_memory, 1u);
    rdl_sys_set_hook(fails_for_memory);
    rc = raddle_loop_close(loop);
    rdl_sys_set_hook(NULL);
    rdl_atomic_store_relaxed(&no_memory, 0u);
    cr_assert_eq(rc, -ENOMEM);
    cr_assert_eq(posts.called, 0);
    cr_assert_eq(post(&posts, loop, counts_call), 0);
    cr_assert_eq(raddle_loop_close(loop), 0);
    cr_assert_eq(posts.called, 2);
}

/* Ctrl-C while the run's threads are still being made is the main task's. */

static rdl_atomic(unsigned) loops_started;

static void interrupts_once(const struct raddle_policy *policy, raddle_loop *loop)
{
    (void)policy;
    (void)loop;
    if (rdl_atomic_fetch_add_relaxed(&loops_started, 1u) == 1)
        kill(getpid(), SIGINT);
}

static int sleeps_until_interrupted(void *arg)
{
    const char **reason = arg;
    struct raddle_scope limit;
    int rc;

    raddle_scope_enter(&limit, raddle_in(RADDLE_S(10)), 0);
    rc = raddle_sleep_until(RADDLE_NEVER);
    *reason = raddle_cancel_reason();
    return raddle_scope_leave(&limit, rc);
}

RuntimeTest(close, a_ctrl_c_that_comes_before_the_main_task_cancels_it)
{
    if (test_left_out("there is no monitor"))
        return;

    static const struct raddle_policy policy = {.loop_started = interrupts_once};
    const char *reason = NULL;

    cr_assert_eq(raddle_run(sleeps_until_interrupted, &reason,
                            &(struct raddle_run_options){.loops = 16, .policy = &policy}),
                 -ECANCELED);
    EXPECT_STR(reason, "SIGINT");
}
