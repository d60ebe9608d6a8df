/*
 * tests/conformance/test_loops.c - the life of loops, row by row of asyncio's section on it: runs, runners, threads
 * with loops of their own, the order of a turn, the close, and errors that are nobody's result.
 */
#define _GNU_SOURCE
#include "tests/support/fixture.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sched/sys.h"

TestSuite(loops, .timeout = 60);

static raddle_loop *new_loop(void)
{
    raddle_loop *loop = NULL;

    cr_assert_eq(raddle_new_loop(&loop), 0);
    return loop;
}

static void counts(void *arg)
{
    ++*(unsigned *)arg;
}

/* Lines that the library reports. */
struct lines {
    pthread_mutex_t lock;
    unsigned count;
    char last[512];
};

static void note_line(const char *line, void *arg)
{
    struct lines *l = arg;

    pthread_mutex_lock(&l->lock);
    l->count++;
    snprintf(l->last, sizeof(l->last), "%s", line);
    pthread_mutex_unlock(&l->lock);
}

/* raddle_run(). */

struct left_behind {
    int ended, main_ended;
    int order;
};

static int fails_when_cancelled(void *arg)
{
    struct left_behind *l = arg;

    EXPECT_EQ(raddle_sleep_until(RADDLE_NEVER), -ECANCELED);
    EXPECT_STR(raddle_cancel_reason(), "the run has ended");
    l->ended = ++l->order;
    return -EDOM;
}

static int leaves_one(void *arg)
{
    struct left_behind *l = arg;

    EXPECT_EQ(raddle_loop_spawn(raddle_running_loop(), fails_when_cancelled, l, NULL), 0);
    EXPECT_EQ(raddle_sleep(RADDLE_MS(1)), 0);
    EXPECT_EQ(raddle_run(test_nothing, NULL, NULL), -EBUSY);
    l->main_ended = ++l->order;
    return 23;
}

/* A1 */
RuntimeTest(loops, a_run_cancels_what_is_left_waits_for_it_reports_it_and_returns_what_main_did)
{
    struct lines lines = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct left_behind left = {.order = 0};

    raddle_on_report(note_line, &lines);
    cr_assert_eq(test_run(leaves_one, &left), 23);
    raddle_on_report(NULL, NULL);
    cr_assert_eq(left.main_ended, 1);
    cr_assert_eq(left.ended, 2);
    cr_assert_eq(lines.count, 1);
    cr_assert(strstr(lines.last, "failed: "), "%s", lines.last);
}

/* A job that is running when the main task ends: its thread is waited for. */
struct job {
    rdl_atomic(unsigned) begun, done;
};

static int naps(void *arg)
{
    struct job *job = arg;

    rdl_atomic_store_release(&job->begun, 1u);
    usleep(20000);
    rdl_atomic_store_release(&job->done, 1u);
    return 0;
}

static int starts_job(void *arg)
{
    return raddle_run_in_executor(NULL, naps, arg, NULL);
}

static int leaves_a_job(void *arg)
{
    struct job *job = arg;

    EXPECT_EQ(raddle_loop_spawn(raddle_running_loop(), starts_job, job, NULL), 0);
    test_await(&job->begun, 1);
    return 0;
}

/* Differs: there is no limit after which a thread is left to itself, as it would use what its owner frees. */
/* A7 */
RuntimeTest(loops, the_end_of_a_run_waits_for_the_jobs_of_its_executor)
{
    static struct job job;

    cr_assert_eq(test_run(leaves_a_job, &job), 0);
    cr_assert(rdl_atomic_load_acquire(&job.done) == 1);
}

/* Runners. */

struct runs {
    struct raddle_runner runner;
    raddle_loop *loop;
    unsigned ran, still;
};

static int stays(void *arg)
{
    struct runs *r = arg;
    int rc;

    while ((rc = raddle_yield()) == 0)
        r->still++;
    return rc;
}

static int runs_first(void *arg)
{
    struct runs *r = arg;

    r->loop = raddle_running_loop();
    EXPECT_EQ(raddle_runner_run(&r->runner, test_nothing, NULL), -EBUSY);
    EXPECT_EQ(raddle_loop_spawn(r->loop, stays, r, NULL), 0);
    r->ran++;
    return 1;
}

static int runs_next(void *arg)
{
    struct runs *r = arg;
    unsigned before = r->still;

    EXPECT(raddle_running_loop() == r->loop);
    for (int i = 0; i < 5; i++)
        EXPECT_EQ(raddle_yield(), 0);
    EXPECT(r->still > before); /* the first run's task goes on */
    r->ran++;
    return -EPIPE;
}

/* A2 */
RuntimeTest(loops, the_runs_of_a_runner_share_a_loop)
{
    struct runs r = {.ran = 0};
    raddle_loop *loop = NULL, *got = NULL;

    cr_assert_eq(raddle_runner_open(&r.runner, NULL), 0);
    cr_assert_eq(raddle_runner_run(&r.runner, runs_first, &r), 1);
    cr_assert_eq(raddle_runner_run(&r.runner, runs_next, &r), -EPIPE);
    cr_assert_eq(raddle_runner_get_loop(&r.runner, &loop), 0);
    cr_assert_eq(loop, r.loop);
    cr_assert_eq(raddle_get_loop(&got), 0); /* it is the thread's */
    cr_assert_eq(got, loop);
    cr_assert_eq(raddle_runner_close(&r.runner), 0);
    cr_assert_eq(r.ran, 2);
}

/* A2 */
RuntimeTest(loops, a_closed_runner_refuses_and_a_second_close_does_nothing)
{
    struct raddle_runner runner = {.raddle_private = {0}};
    struct raddle_runner_options options = {.flags = RADDLE_RUN_SIGQUIT};
    raddle_loop *loop = NULL;

    cr_assert_eq(raddle_runner_run(&runner, test_nothing, NULL), -EINVAL);
    cr_assert_eq(raddle_runner_close(&runner), -EINVAL);
    cr_assert_eq(raddle_runner_close(NULL), -EINVAL);
    cr_assert_eq(raddle_runner_open(NULL, NULL), -EINVAL);
    cr_assert_eq(raddle_runner_open(&runner, &options), -EINVAL);
    options = (struct raddle_runner_options){.reserved = {0, 1}};
    cr_assert_eq(raddle_runner_open(&runner, &options), -EINVAL);

    options = (struct raddle_runner_options){.flags = RADDLE_RUN_NO_SIGINT};
    cr_assert_eq(raddle_runner_open(&runner, &options), 0);
    cr_assert_eq(raddle_runner_run(&runner, NULL, NULL), -EINVAL);
    cr_assert_eq(raddle_runner_get_loop(&runner, NULL), -EINVAL);
    cr_assert_eq(raddle_runner_run(&runner, test_nothing, NULL), 0);
    cr_assert_eq(raddle_runner_close(&runner), 0);
    cr_assert_eq(raddle_runner_close(&runner), 0);
    cr_assert_eq(raddle_runner_run(&runner, test_nothing, NULL), RADDLE_ESHUTDOWN);
    cr_assert_eq(raddle_runner_get_loop(&runner, &loop), RADDLE_ESHUTDOWN);
    /* One that was never needed has no loop to close. */
    cr_assert_eq(raddle_runner_open(&runner, NULL), 0);
    cr_assert_eq(raddle_runner_close(&runner), 0);
}

static void on_interrupt(int number)
{
    (void)number;
}

static int interrupts(void *arg)
{
    (void)arg;
    raise(SIGINT);
    EXPECT_EQ(raddle_sleep_until(RADDLE_NEVER), -ECANCELED);
    EXPECT_STR(raddle_cancel_reason(), "SIGINT");
    return -EINTR;
}

/* A10 TC113 */
RuntimeTest(loops, an_interrupt_cancels_the_main_task_of_each_run_of_a_runner)
{
    struct sigaction mine = {.sa_handler = on_interrupt}, old, now;
    struct raddle_runner runner;

    sigemptyset(&mine.sa_mask);
    cr_assert_eq(sigaction(SIGINT, &mine, &old), 0);
    cr_assert_eq(raddle_runner_open(&runner, NULL), 0);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(raddle_runner_run(&runner, interrupts, NULL), -EINTR);
    cr_assert_eq(raddle_runner_close(&runner), 0);
    cr_assert_eq(sigaction(SIGINT, &old, &now), 0);
    cr_assert_eq(now.sa_handler, on_interrupt); /* as it was before */
}

/* Runs of a loop. */

static int suspends(void *arg)
{
    EXPECT_EQ(raddle_sleep(RADDLE_MS(1)), 0);
    return *(int *)arg;
}

/* Differs: a stop doesn't end it, so there is no task that it could leave behind. */
/* A3 TC8 */
RuntimeTest(loops, run_until_complete_returns_the_tasks_result_whatever_stops_there_were)
{
    raddle_loop *loop = new_loop();
    int first = 5, second = -EIO;

    raddle_loop_stop(loop);
    cr_assert_eq(raddle_loop_run_until_complete(loop, suspends, &first), 5);
    cr_assert_eq(raddle_loop_run_until_complete(loop, suspends, &second), -EIO);
    cr_assert_eq(raddle_loop_close(loop), 0);
}

struct batch {
    raddle_loop *loop;
    unsigned called, later;
};

static void one_of_five(void *arg)
{
    struct batch *b = arg;

    if (++b->called == 2)
        raddle_loop_stop(b->loop);
    EXPECT_EQ(raddle_call_soon(b->loop, counts, &b->later), 0);
}

/* A4 TC8 */
RuntimeTest(loops, a_stop_finishes_the_batch_and_what_that_posts_is_the_next_runs)
{
    struct batch b = {.loop = new_loop()};

    for (int i = 0; i < 5; i++)
        cr_assert_eq(raddle_call_soon(b.loop, one_of_five, &b), 0);
    cr_assert_eq(raddle_loop_run_forever(b.loop), 0);
    cr_assert_eq(b.called, 5);
    cr_assert_leq(b.later, 2); /* those that were posted before the stop */
    raddle_loop_stop(b.loop);
    cr_assert_eq(raddle_loop_run_forever(b.loop), 0);
    cr_assert_eq(b.called, 5);
    cr_assert_eq(b.later, 5);
    cr_assert_eq(raddle_loop_close(b.loop), 0);
}

/* A4 */
RuntimeTest(loops, a_stop_before_the_run_leaves_one_turn)
{
    raddle_loop *loop = new_loop();
    unsigned called = 0;

    raddle_loop_stop(loop);
    cr_assert_eq(raddle_loop_run_forever(loop), 0); /* of nothing */
    cr_assert_eq(raddle_call_soon(loop, counts, &called), 0);
    raddle_loop_stop(loop);
    cr_assert_eq(raddle_loop_run_forever(loop), 0);
    cr_assert_eq(called, 1);
    cr_assert_eq(raddle_loop_close(loop), 0);
}

struct loops {
    raddle_loop *mine, *other;
};

static int closes_inside(void *arg)
{
    struct loops *l = arg;

    EXPECT_EQ(raddle_loop_close(l->mine), -EBUSY);
    EXPECT_EQ(raddle_loop_run_until_complete(l->mine, test_nothing, NULL), -EBUSY);
    EXPECT_EQ(raddle_loop_run_forever(l->mine), -EBUSY);
    EXPECT_EQ(raddle_loop_run_until_complete(l->other, test_nothing, NULL), -EBUSY);
    EXPECT_EQ(raddle_loop_close(l->other), -EBUSY); /* from within any loop */
    return 0;
}

/* A5 TC9 */
RuntimeTest(loops, a_running_loop_is_neither_run_nor_closed_and_no_loop_runs_inside_another)
{
    struct loops l = {new_loop(), new_loop()};

    cr_assert_eq(raddle_loop_run_until_complete(l.mine, closes_inside, &l), 0);
    cr_assert_eq(raddle_loop_close(l.mine), 0);
    cr_assert_eq(raddle_loop_close(l.other), 0);
}

static int looks_at_clock(void *arg)
{
    raddle_time before = raddle_now(), after;

    (void)arg;
    test_burn(RADDLE_MS(2)); /* a long step: the clock goes on meanwhile */
    after = raddle_now();
    EXPECT(after - before >= RADDLE_MS(2));
    EXPECT_EQ(raddle_sleep_until(after + RADDLE_MS(1)), 0);
    EXPECT(raddle_now() >= after + RADDLE_MS(1));
    return 0;
}

/* A9 */
RuntimeTest(loops, the_clock_is_monotonic_and_true_after_a_long_step)
{
    cr_assert_eq(test_run(looks_at_clock, NULL), 0);
}

static int driver_is(void *arg)
{
    EXPECT_STR(raddle_loop_driver(raddle_running_loop()), arg);
    return 0;
}

/* A12 AA1 */
RuntimeTest(loops, the_backend_is_an_option_of_a_loop)
{
    const struct raddle_policy *policy = raddle_default_policy();
    struct raddle_loop_options options = {.driver = "epoll"};
    raddle_loop *loop = NULL;
    char name[] = "epoll";

    cr_assert_eq(policy->new_loop(policy, &options, &loop), 0);
    cr_assert_eq(raddle_loop_run_until_complete(loop, driver_is, name), 0);
    cr_assert_eq(raddle_loop_close(loop), 0);
    options.driver = "kqueue";
    cr_assert_eq(policy->new_loop(policy, &options, &loop), -EINVAL);
}

/* Errors that are nobody's result. */

struct handled {
    unsigned count;
    int rc, answer;
    char what[256], task[64], site[256];
    raddle_loop *loop;
    bool in_task, again;
};

static int fails(void *arg)
{
    return *(int *)arg;
}

static int handle(const struct raddle_error_event *event, void *arg)
{
    struct handled *h = arg;
    raddle_future *future = NULL;

    h->count++;
    h->rc = event->rc;
    h->loop = event->loop;
    h->in_task = raddle_self() != NULL;
    snprintf(h->what, sizeof(h->what), "%s", event->what);
    snprintf(h->task, sizeof(h->task), "%s", event->task ? event->task : "");
    snprintf(h->site, sizeof(h->site), "%s", event->site ? event->site : "");
    if (h->again) { /* an error while one is handled */
        EXPECT_EQ(raddle_future_create(&future), 0);
        EXPECT_EQ(raddle_future_set(future, -EXFULL, NULL), 0);
        raddle_future_unref(future);
    }
    return h->answer;
}

static void run_failing(raddle_loop *loop, int *rc)
{
    struct raddle_spawn_options options = {.name = "failing"};

    cr_assert_eq(raddle_loop_spawn(loop, fails, rc, &options), 0);
    raddle_loop_stop(loop);
    cr_assert_eq(raddle_loop_run_forever(loop), 0);
}

/* X7 */
RuntimeTest(loops, an_error_handler_is_told_instead_of_the_report)
{
    struct lines lines = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct handled process = {.count = 0}, mine = {.count = 0};
    raddle_loop *loop = new_loop();
    int rc = -ENOTNAM;

    cr_assert_eq(raddle_loop_on_error(NULL, handle, &mine), -EINVAL);
    raddle_on_report(note_line, &lines);
    run_failing(loop, &rc);
    cr_assert_eq(lines.count, 1);
    raddle_on_error(handle, &process);
    run_failing(loop, &rc);
    cr_assert_eq(process.count, 1);
    cr_assert_eq(raddle_loop_on_error(loop, handle, &mine), 0);
    run_failing(loop, &rc);
    cr_assert_eq(lines.count, 1);
    cr_assert_eq(process.count, 1);
    cr_assert_eq(mine.count, 1);
    cr_assert_eq(mine.rc, -ENOTNAM);
    cr_assert_eq(mine.loop, loop);
    cr_assert(mine.in_task);
    cr_assert_str_eq(mine.task, "failing");
    cr_assert_str_eq(mine.what, lines.last);
    cr_assert_eq(raddle_loop_on_error(loop, NULL, NULL), 0);
    run_failing(loop, &rc);
    cr_assert_eq(process.count, 2);
    raddle_on_error(NULL, NULL);
    raddle_on_report(NULL, NULL);
    cr_assert_eq(raddle_loop_close(loop), 0);
}

/* X2 X7 F6 */
RuntimeTest(loops, the_unread_error_of_a_future_reaches_the_handler_in_any_thread)
{
    struct handled h = {.count = 0};
    raddle_future *future = NULL;

    raddle_on_error(handle, &h);
    cr_assert_eq(raddle_future_create(&future), 0);
    cr_assert_eq(raddle_future_set(future, -EXFULL, NULL), 0);
    raddle_future_unref(future);
    raddle_on_error(NULL, NULL);
    cr_assert_eq(h.count, 1);
    cr_assert_eq(h.rc, -EXFULL);
    cr_assert_null(h.loop);
    cr_assert(strstr(h.site, "test_loops.c:"), "%s", h.site);
}

/* X7 TC10 */
RuntimeTest(loops, a_handler_that_fails_is_reported_with_the_error_and_is_not_entered_again)
{
    struct lines lines = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct handled h = {.answer = -ENOSPC, .again = true};
    raddle_loop *loop = new_loop();
    int rc = -ENOTNAM;

    raddle_on_report(note_line, &lines);
    cr_assert_eq(raddle_loop_on_error(loop, handle, &h), 0);
    run_failing(loop, &rc);
    cr_assert_eq(h.count, 1);
    cr_assert_eq(lines.count, 2); /* what came up in it, then both */
    cr_assert(strstr(lines.last, raddle_strerror(-ENOTNAM)), "%s", lines.last);
    cr_assert(strstr(lines.last, raddle_strerror(-ENOSPC)), "%s", lines.last);
    run_failing(loop, &rc); /* the loop goes on, and the handler is there */
    cr_assert_eq(h.count, 2);
    raddle_on_report(NULL, NULL);
    cr_assert_eq(raddle_loop_close(loop), 0);
}

/* Threads with a loop of their own. */

struct worker {
    raddle_loop_thread *thread;
    raddle_loop *loop;
    int id, result;
    unsigned posted, cancelled;
    rdl_atomic(unsigned) known; /* thread is */
    rdl_atomic(unsigned) tried; /* to join itself */
};

static int left_on_it(void *arg)
{
    struct worker *w = arg;

    EXPECT_EQ(raddle_sleep_until(RADDLE_NEVER), -ECANCELED);
    EXPECT_STR(raddle_cancel_reason(), "its thread is ending");
    w->cancelled++;
    return -ECANCELED;
}

static int works(void *arg)
{
    struct worker *w = arg;
    raddle_loop *loop = NULL;

    w->loop = raddle_running_loop();
    w->id = raddle_thread_id();
    EXPECT_EQ(raddle_get_loop(&loop), 0);
    EXPECT(loop == w->loop);
    EXPECT_EQ(raddle_loop_spawn(loop, left_on_it, w, NULL), 0);
    EXPECT_EQ(raddle_call_soon(loop, counts, &w->posted), 0);
    EXPECT_EQ(raddle_sleep(RADDLE_MS(1)), 0);
    EXPECT_EQ(raddle_loop_close(loop), -EBUSY);
    EXPECT_EQ(raddle_call_soon(loop, counts, &w->posted), 0);
    return w->result;
}

/* C9 C8 */
RuntimeTest(loops, ten_threads_have_a_loop_each_and_are_joined)
{
    struct worker workers[10];

    for (int i = 0; i < 10; i++) {
        workers[i] = (struct worker){.result = i % 2 ? i : -i};
        cr_assert_eq(raddle_loop_thread_start(&workers[i].thread, works, &workers[i], NULL), 0);
    }
    for (int i = 0; i < 10; i++) {
        int result = 1000;
        raddle_loop *loop = raddle_loop_thread_loop(workers[i].thread);

        cr_assert_eq(raddle_loop_thread_join(workers[i].thread, &result), 0);
        cr_assert_eq(result, workers[i].result);
        cr_assert_eq(workers[i].loop, loop);
        cr_assert_eq(workers[i].posted, 2);
        cr_assert_eq(workers[i].cancelled, 1);
        cr_assert_neq(workers[i].id, raddle_thread_id());
        for (int j = 0; j < i; j++)
            cr_assert_neq(workers[i].id, workers[j].id);
    }
}

/* C9 */
RuntimeTest(loops, a_thread_without_a_task_does_what_it_is_told_until_it_is_cancelled)
{
    struct raddle_loop_thread_options options = {.name = "a name that is too long"};
    raddle_loop_thread *thread = NULL;
    static struct job job;
    int result = 1;

    options.reserved[2] = 1;
    cr_assert_eq(raddle_loop_thread_start(&thread, NULL, NULL, &options), -EINVAL);
    options.reserved[2] = 0;
    cr_assert_eq(raddle_loop_thread_start(NULL, NULL, NULL, &options), -EINVAL);
    cr_assert_eq(raddle_loop_thread_cancel(NULL, NULL), -EINVAL);
    cr_assert_eq(raddle_loop_thread_join(NULL, NULL), -EINVAL);
    cr_assert_eq(raddle_loop_thread_start(&thread, NULL, NULL, &options), 0);
    cr_assert_eq(raddle_loop_spawn(raddle_loop_thread_loop(thread), naps, &job, NULL), 0);
    raddle_loop_stop(raddle_loop_thread_loop(thread)); /* which is not how it ends */
    while (!rdl_atomic_load_acquire(&job.done))
        usleep(1000);
    cr_assert_eq(raddle_loop_thread_cancel(thread, "enough"), 0);
    cr_assert_eq(raddle_loop_thread_join(thread, &result), 0);
    cr_assert_eq(result, 0);
}

static int joins_itself(void *arg)
{
    struct worker *w = arg;

    while (!rdl_atomic_load_acquire(&w->known))
        EXPECT_EQ(raddle_sleep(RADDLE_US(100)), 0);
    EXPECT_EQ(raddle_loop_thread_join(w->thread, NULL), -EDEADLK);
    rdl_atomic_store_release(&w->tried, 1u);
    return raddle_sleep_until(RADDLE_NEVER);
}

static void joins_in_callback(void *arg)
{
    struct worker *w = arg;

    EXPECT_EQ(raddle_loop_thread_join(w->thread, NULL), -EPERM);
}

/* In a task of another loop: it waits as for anything else. */
static int joins(void *arg)
{
    struct worker *w = arg;
    struct raddle_scope limit;
    int result = 0, rc;

    EXPECT_EQ(raddle_call_soon(raddle_running_loop(), joins_in_callback, w), 0);
    EXPECT_EQ(raddle_yield(), 0);
    raddle_scope_enter(&limit, raddle_in(RADDLE_MS(2)), 0);
    rc = raddle_scope_leave(&limit, raddle_loop_thread_join(w->thread, &result));
    EXPECT_EQ(rc, -ETIMEDOUT);
    EXPECT_EQ(raddle_loop_thread_cancel(w->thread, "enough"), 0);
    EXPECT_EQ(raddle_loop_thread_join(w->thread, &result), 0);
    return result;
}

/* C9 */
RuntimeTest(loops, a_task_joins_a_loops_thread_and_may_be_cancelled_meanwhile)
{
    struct worker w = {.posted = 0};

    cr_assert_eq(raddle_loop_thread_start(&w.thread, joins_itself, &w, NULL), 0);
    rdl_atomic_store_release(&w.known, 1u);
    test_await(&w.tried, 1); /* its clock may be another than that of the run */
    cr_assert_eq(test_run(joins, &w), -ECANCELED);
}

static int no_start(enum rdl_sys_call call, size_t *length)
{
    (void)length;
    return call == RDL_SYS_THREAD_CREATE ? -EAGAIN : 0;
}

static int no_memory(enum rdl_sys_call call, size_t *length)
{
    (void)length;
    return call == RDL_SYS_CALLOC || call == RDL_SYS_MALLOC ? -ENOMEM : 0;
}

/* C9 A2 */
RuntimeTest(loops, without_memory_or_threads_nothing_is_started)
{
    raddle_loop_thread *thread = NULL;
    struct raddle_runner runner;

    cr_assert_eq(raddle_runner_open(&runner, NULL), 0);
    rdl_sys_set_hook(no_start);
    EXPECT_EQ(raddle_loop_thread_start(&thread, test_nothing, NULL, NULL), -EAGAIN);
    rdl_sys_set_hook(no_memory);
    EXPECT_EQ(raddle_loop_thread_start(&thread, test_nothing, NULL, NULL), -ENOMEM);
    EXPECT_EQ(raddle_runner_run(&runner, test_nothing, NULL), -ENOMEM);
    rdl_sys_set_hook(NULL);
    cr_assert_null(thread);
    cr_assert_eq(raddle_runner_run(&runner, test_nothing, NULL), 0);
    cr_assert_eq(raddle_runner_close(&runner), 0);
}

struct shared {
    raddle_future *question, *answer;
    struct raddle_mutex mutex;
    unsigned counter;
};

static int answers(void *arg)
{
    struct shared *s = arg;
    struct raddle_outcome outcome;
    int rc = raddle_future_wait(s->question, &outcome);

    for (int i = 0; i < 1000 && rc == 0; i++) {
        rc = raddle_lock(&s->mutex);
        if (rc == 0) {
            s->counter++;
            raddle_unlock(&s->mutex);
        }
    }
    return rc < 0 ? rc : raddle_future_set(s->answer, outcome.rc + 1, NULL);
}

static int asks(void *arg)
{
    struct shared *s = arg;
    struct raddle_outcome outcome;
    int rc = raddle_future_set(s->question, 41, NULL);

    for (int i = 0; i < 1000 && rc == 0; i++) {
        rc = raddle_lock(&s->mutex);
        if (rc == 0) {
            s->counter++;
            raddle_unlock(&s->mutex);
        }
    }
    if (rc == 0)
        rc = raddle_future_wait(s->answer, &outcome);
    return rc ? rc : outcome.rc;
}

/* Differs: asyncio's futures and locks are bound to a loop. */
/* C8 */
RuntimeTest(loops, futures_and_locks_work_between_the_loops_of_two_threads)
{
    struct shared s = {.counter = 0};
    raddle_loop_thread *thread = NULL;
    raddle_loop *loop = new_loop();
    int result = -1;

    cr_assert_eq(raddle_future_create(&s.question), 0);
    cr_assert_eq(raddle_future_create(&s.answer), 0);
    cr_assert_eq(raddle_loop_thread_start(&thread, answers, &s, NULL), 0);
    cr_assert_eq(raddle_loop_run_until_complete(loop, asks, &s), 42);
    cr_assert_eq(raddle_loop_thread_join(thread, &result), 0);
    cr_assert_eq(result, 0);
    cr_assert_eq(s.counter, 2000);
    raddle_future_unref(s.question);
    raddle_future_unref(s.answer);
    cr_assert_eq(raddle_loop_close(loop), 0);
}
