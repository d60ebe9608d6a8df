/*
 * tests/runtime/test_future.c - futures: set once, read by tasks and threads, callbacks, reports.
 *
 * F1 to F9 are the rows of the feature contract, TC13 to TC16 and TC40 the conformance cases.
 */
#define _GNU_SOURCE
#include "tests/support/fixture.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

TestSuite(future, .timeout = 60);

static raddle_future *make(void)
{
    raddle_future *future = NULL;

    cr_assert_eq(raddle_future_create(&future), 0);
    return future;
}

/* F1 */
RuntimeTest(future, a_pending_one_is_einprogress_and_then_tells_its_outcome)
{
    struct raddle_outcome outcome = {.rc = 77};
    raddle_future *future = make();
    int value;

    cr_expect_eq(raddle_future_outcome(future, &outcome), -EINPROGRESS);
    cr_expect_eq(outcome.rc, 77);
    cr_expect_null(raddle_future_value(future));
    cr_expect_eq(raddle_future_set(future, 5, &value), 0);
    cr_expect_eq(raddle_future_outcome(future, &outcome), 0);
    cr_expect_eq(outcome.kind, RADDLE_OK);
    cr_expect_eq(outcome.rc, 5);
    cr_expect_eq(raddle_future_value(future), (void *)&value);
    cr_expect_null(raddle_future_reason(future));
    raddle_future_unref(future);
}

/* F2 */
RuntimeTest(future, the_second_set_or_cancel_is_ealready_and_changes_nothing)
{
    struct raddle_outcome outcome;
    raddle_future *set = make(), *cancelled = make();
    int value;

    cr_expect_eq(raddle_future_set(set, 1, &value), 0);
    cr_expect_eq(raddle_future_set(set, -EIO, NULL), -EALREADY);
    cr_expect_eq(raddle_future_cancel(set, "late"), -EALREADY);
    cr_expect_eq(raddle_future_outcome(set, &outcome), 0);
    cr_expect_eq(outcome.rc, 1);
    cr_expect_eq(raddle_future_value(set), (void *)&value);

    cr_expect_eq(raddle_future_cancel(cancelled, "not needed"), 0);
    cr_expect_eq(raddle_future_cancel(cancelled, "again"), -EALREADY);
    cr_expect_eq(raddle_future_set(cancelled, 1, &value), -EALREADY);
    cr_expect_eq(raddle_future_outcome(cancelled, &outcome), 0);
    cr_expect_eq(outcome.kind, RADDLE_CANCELLED);
    cr_expect_eq(outcome.rc, -ECANCELED);
    cr_expect_str_eq(raddle_future_reason(cancelled), "not needed");
    cr_expect_null(raddle_future_value(cancelled));
    raddle_future_unref(set);
    raddle_future_unref(cancelled);
}

RuntimeTest(future, a_result_that_says_cancelled_is_called_stray)
{
    struct raddle_outcome outcome;
    raddle_future *future = make();

    cr_expect_eq(raddle_future_set(future, -ECANCELED, NULL), 0);
    cr_expect_eq(raddle_future_outcome(future, &outcome), 0);
    cr_expect_eq(outcome.kind, RADDLE_FAILED);
    cr_expect_eq(outcome.rc, RADDLE_ESTRAY);
    raddle_future_unref(future);
}

static void must_not_run(void *arg)
{
    bool called = true;
    (void)arg;

    EXPECT(!called);
}

RuntimeTest(future, bad_arguments_are_einval)
{
    struct raddle_outcome outcome;
    raddle_future *future = make();

    cr_expect_eq(raddle_future_create(NULL), -EINVAL);
    cr_expect_eq(raddle_future_set(NULL, 0, NULL), -EINVAL);
    cr_expect_eq(raddle_future_cancel(NULL, NULL), -EINVAL);
    cr_expect_eq(raddle_future_wait(NULL, NULL), -EINVAL);
    cr_expect_eq(raddle_future_wait_thread(NULL, 0, NULL), -EINVAL);
    cr_expect_eq(raddle_future_outcome(NULL, &outcome), -EINVAL);
    cr_expect_eq(raddle_future_outcome(future, NULL), -EINVAL);
    cr_expect_eq(raddle_future_on_done(future, NULL, NULL, NULL), -EINVAL);
    cr_expect_eq(raddle_future_remove_done(future, NULL, NULL), -EINVAL);
    cr_expect_eq(raddle_future_on_done(future, NULL, must_not_run, NULL), -EPERM);
    raddle_future_unref(NULL);
    raddle_future_unref(future);
}

/* Callbacks. */

struct order {
    raddle_future *future;
    int count, calls[8];
    bool set_returned;
    rdl_atomic(unsigned) done;
};

static void note(struct order *order, int which)
{
    EXPECT(order->set_returned);
    if (order->count < 8)
        order->calls[order->count++] = which;
}

static void second(void *arg)
{
    note(arg, 2);
}

static void third(void *arg);

static void first(void *arg)
{
    struct order *order = arg;

    note(order, 1);
    EXPECT_EQ(raddle_future_remove_done(order->future, second, order), 1);
    EXPECT_EQ(raddle_future_remove_done(order->future, second, order), 0);
    EXPECT_EQ(raddle_future_remove_done(order->future, first, order), 0); /* it is being called */
}

static void fifth(void *arg)
{
    struct order *order = arg;

    note(order, 5);
    rdl_atomic_store_release(&order->done, 1u);
}

static void third(void *arg)
{
    struct order *order = arg;

    note(order, 3);
    EXPECT_EQ(raddle_future_on_done(order->future, NULL, fifth, order), 0);
}

static void fourth(void *arg)
{
    note(arg, 4);
}

static int calls_back(void *arg)
{
    struct order *order = arg;

    EXPECT_EQ(raddle_future_on_done(order->future, NULL, first, order), 0);
    EXPECT_EQ(raddle_future_on_done(order->future, NULL, second, order), 0);
    EXPECT_EQ(raddle_future_on_done(order->future, NULL, third, order), 0);
    EXPECT_EQ(raddle_future_set(order->future, 0, NULL), 0);
    EXPECT_EQ(order->count, 0); /* not before it has returned */
    order->set_returned = true;
    EXPECT_EQ(raddle_future_on_done(order->future, NULL, fourth, order), 0);
    EXPECT_EQ(order->count, 0);
    test_await(&order->done, 1);
    return 0;
}

/* F3 F4 TC13 */
RuntimeTest(future, callbacks_run_in_order_after_set_unless_they_were_removed)
{
    static const int wanted[] = {1, 3, 4, 5};
    struct order order = {.future = make()};

    cr_assert_eq(test_run(calls_back, &order), 0);
    cr_expect_eq(order.count, 4);
    for (int i = 0; i < 4; i++)
        cr_expect_eq(order.calls[i], wanted[i]);
    raddle_future_unref(order.future);
}

static int leaves_callbacks(void *arg)
{
    raddle_future *future = make();
    (void)arg;

    for (int i = 0; i < 3; i++)
        EXPECT_EQ(raddle_future_on_done(future, NULL, must_not_run, i == 1 ? &future : NULL), 0);
    EXPECT_EQ(raddle_future_remove_done(future, must_not_run, NULL), 2); /* all equal ones */
    raddle_future_unref(future);
    return raddle_yield();
}

/* F3 F4 */
RuntimeTest(future, callbacks_of_one_that_was_never_set_go_with_it)
{
    cr_assert_eq(test_run(leaves_callbacks, NULL), 0);
}

/* Waiting. */

struct waiter {
    raddle_future *future;
    struct raddle_outcome outcome;
    int rc;
    raddle_task *task;
    rdl_atomic(unsigned) * turn;
    unsigned my_turn;
};

static int waits(void *arg)
{
    struct waiter *w = arg;

    w->rc = raddle_future_wait(w->future, &w->outcome);
    if (w->turn)
        w->my_turn = rdl_atomic_fetch_add_relaxed(w->turn, 1u);
    return 0;
}

static int two_wait(void *arg)
{
    raddle_future *future = arg;
    struct raddle_group g;
    struct waiter w[2] = {{.future = future}, {.future = future}};

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (int i = 0; i < 2; i++) {
        EXPECT_EQ(raddle_spawn(&g, &w[i].task, waits, &w[i], NULL), 0);
        test_let_park_for(w[i].task, "a future");
    }
    EXPECT_EQ(raddle_task_cancel(w[0].task, NULL), 0);
    EXPECT_EQ(raddle_join(w[0].task, NULL), 0);
    EXPECT_EQ(w[0].rc, -ECANCELED);
    EXPECT_EQ(raddle_future_outcome(future, &w[0].outcome), -EINPROGRESS);
    EXPECT_EQ(raddle_future_set(future, 8, NULL), 0);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    EXPECT_EQ(w[1].rc, 0);
    EXPECT_EQ(w[1].outcome.rc, 8);
    for (int i = 0; i < 2; i++)
        raddle_task_unref(w[i].task);
    return 0;
}

/* F5 TC16 */
RuntimeTest(future, a_cancelled_waiter_leaves_the_future_to_the_others)
{
    raddle_future *future = make();

    cr_assert_eq(test_run(two_wait, future), 0);
    raddle_future_unref(future);
}

static int many_wait(void *arg)
{
    raddle_future *future = arg;
    rdl_atomic(unsigned) turn = 0;
    struct waiter w[10];
    struct raddle_spawn_options pinned = {.mobility = RADDLE_PINNED};
    struct raddle_group g;

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (unsigned i = 0; i < 10; i++) {
        w[i] = (struct waiter){.future = future, .turn = &turn};
        EXPECT_EQ(raddle_spawn(&g, &w[i].task, waits, &w[i], &pinned), 0);
        test_let_park(w[i].task);
    }
    EXPECT_EQ(raddle_future_cancel(future, NULL), 0);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    for (unsigned i = 0; i < 10; i++) {
        EXPECT_EQ(w[i].rc, 0); /* it was the future that was cancelled, not the waiter */
        EXPECT_EQ(w[i].outcome.kind, RADDLE_CANCELLED);
        if (test_loops() == 1)
            EXPECT_EQ(w[i].my_turn, i);
        raddle_task_unref(w[i].task);
    }
    return 0;
}

/* F5 */
RuntimeTest(future, waiters_wake_in_order_and_a_cancelled_future_does_not_cancel_them)
{
    raddle_future *future = make();

    cr_assert_eq(test_run(many_wait, future), 0);
    raddle_future_unref(future);
}

static int reads_in_a_cancelled_scope(void *arg)
{
    raddle_future *set = arg, *pending = make();
    struct raddle_outcome outcome = {.rc = 9};
    struct raddle_scope scope;

    raddle_scope_enter(&scope, raddle_in(-1), 0);
    EXPECT_EQ(raddle_future_wait(pending, &outcome), -ECANCELED);
    EXPECT_EQ(outcome.rc, 9);
    EXPECT_EQ(raddle_future_wait(set, &outcome), 0); /* completion wins */
    EXPECT_EQ(outcome.rc, 4);
    EXPECT_EQ(raddle_scope_leave(&scope, 0), 0);
    raddle_scope_enter(&scope, raddle_in(RADDLE_MS(5)), 0);
    EXPECT_EQ(raddle_scope_leave(&scope, raddle_future_wait(pending, NULL)), -ETIMEDOUT);
    EXPECT_EQ(raddle_future_wait_thread(pending, 1, NULL), -EPERM);
    raddle_future_unref(pending);
    return 0;
}

/* TC40 */
RuntimeTest(future, one_that_is_set_is_read_past_the_deadline_and_a_pending_one_is_not)
{
    raddle_future *future = make();

    cr_expect_eq(raddle_future_set(future, 4, NULL), 0);
    cr_assert_eq(test_run(reads_in_a_cancelled_scope, future), 0);
    raddle_future_unref(future);
}

static void *sets_it(void *arg)
{
    static int value;

    EXPECT_EQ(raddle_future_set(arg, 6, &value), 0);
    raddle_future_unref(arg);
    return NULL;
}

static int waits_for_a_thread(void *arg)
{
    struct raddle_outcome outcome = {.rc = 0};
    pthread_t thread;

    EXPECT_EQ(pthread_create(&thread, NULL, sets_it, raddle_future_ref(arg)), 0);
    EXPECT_EQ(raddle_future_wait(arg, &outcome), 0);
    EXPECT_EQ(outcome.rc, 6);
    EXPECT(raddle_future_value(arg) != NULL);
    pthread_join(thread, NULL);
    return 0;
}

/* F7 */
RuntimeTest(future, a_thread_sets_what_a_task_waits_for)
{
    raddle_future *future = make();

    cr_assert_eq(test_run(waits_for_a_thread, future), 0);
    raddle_future_unref(future);
}

static void *waits_in_a_thread(void *arg)
{
    struct waiter *w = arg;

    w->rc = w->my_turn ? raddle_future_wait_thread(w->future, raddle_in(RADDLE_S(50)), &w->outcome)
                       : raddle_future_wait(w->future, &w->outcome);
    return NULL;
}

static int sets_later(void *arg)
{
    EXPECT_EQ(raddle_sleep(RADDLE_MS(5)), 0);
    EXPECT_EQ(raddle_future_set(arg, -EPIPE, NULL), 0);
    return 0;
}

/* F7 */
RuntimeTest(future, threads_wait_for_what_a_task_sets_with_a_deadline_and_without)
{
    raddle_future *future = make();
    struct waiter w[2] = {{.future = future}, {.future = future, .my_turn = 1}};
    pthread_t threads[2];

    cr_expect_eq(raddle_future_wait_thread(future, 1, NULL), -ETIMEDOUT);
    cr_expect_eq(raddle_future_wait_thread(future, raddle_in(RADDLE_MS(3)), NULL), -ETIMEDOUT);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, waits_in_a_thread, &w[i]), 0);
    cr_assert_eq(test_run(sets_later, future), 0);
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        cr_expect_eq(w[i].rc, 0);
        cr_expect_eq(w[i].outcome.kind, RADDLE_FAILED);
        cr_expect_eq(w[i].outcome.rc, -EPIPE);
    }
    cr_expect_eq(raddle_future_wait_thread(future, 1, NULL), 0);
    raddle_future_unref(future);
}

/* Reports. */

struct reports {
    int count;
    char last[512];
};

static void report(const char *line, void *arg)
{
    struct reports *reports = arg;

    reports->count++;
    (void)snprintf(reports->last, sizeof(reports->last), "%s", line);
}

/* F6 TC15 */
RuntimeTest(future, an_error_that_nobody_reads_is_reported_once)
{
    struct reports reports = {.count = 0};
    struct raddle_outcome outcome;
    raddle_future *future = make();

    raddle_on_report(report, &reports);
    cr_expect_eq(raddle_future_set(future, -ECONNRESET, NULL), 0);
    raddle_future_unref(raddle_future_ref(future));
    cr_expect_eq(reports.count, 0);
    raddle_future_unref(future);
    cr_expect_eq(reports.count, 1);
    cr_expect(strstr(reports.last, "test_future.c:"), "%s", reports.last);
    cr_expect(strstr(reports.last, "Connection reset by peer"), "%s", reports.last);

    future = make();
    cr_expect_eq(raddle_future_set(future, -EIO, NULL), 0);
    cr_expect_eq(raddle_future_outcome(future, &outcome), 0);
    raddle_future_unref(future); /* it was read */
    future = make();
    cr_expect_eq(raddle_future_cancel(future, NULL), 0);
    raddle_future_unref(future); /* no error */
    future = make();
    cr_expect_eq(raddle_future_set(future, 0, NULL), 0);
    raddle_future_unref(future); /* neither */
    raddle_future_unref(make());
    cr_expect_eq(reports.count, 1);
    raddle_on_report(NULL, NULL);
}

static void counts(void *arg)
{
    rdl_atomic_fetch_add_relaxed((rdl_atomic(unsigned) *)arg, 1u);
}

static int sets_while_closing(void *arg)
{
    while (raddle_sleep(RADDLE_US(50)) == 0)
        ;
    /* The tasks end before the loop takes no more: its callbacks are accepted until then. */
    EXPECT_EQ(raddle_future_set(arg, 0, NULL), 0);
    return 0;
}

RuntimeTest(future, a_callback_that_was_posted_while_its_loop_closes_is_called)
{
    raddle_future *future = make();
    raddle_loop *loop = NULL;
    rdl_atomic(unsigned) calls = 0;

    cr_assert_eq(raddle_new_loop(&loop), 0);
    cr_expect_eq(raddle_loop_spawn(loop, sets_while_closing, future, NULL), 0);
    cr_expect_eq(raddle_future_on_done(future, loop, counts, &calls), 0);
    cr_expect_eq(raddle_loop_close(loop), 0);
    cr_expect_eq(rdl_atomic_load_relaxed(&calls), 1u);
    raddle_future_unref(future);
}

/* F9 */
RuntimeTest(future, any_loop_may_be_told_also_one_that_does_not_run_yet)
{
    raddle_future *future = make();
    raddle_loop *loop = NULL;
    rdl_atomic(unsigned) calls = 0;

    cr_assert_eq(raddle_new_loop(&loop), 0);
    for (int i = 0; i < 3; i++)
        cr_expect_eq(raddle_future_on_done(future, loop, counts, &calls), 0);
    cr_expect_eq(raddle_future_set(future, 0, NULL), 0);
    raddle_future_unref(future); /* what was posted keeps it */
    cr_expect_eq(rdl_atomic_load_relaxed(&calls), 0u);
    cr_expect_eq(raddle_loop_run_until_complete(loop, test_nothing, NULL), 0);
    cr_expect_eq(rdl_atomic_load_relaxed(&calls), 3u);
    cr_expect_eq(raddle_loop_close(loop), 0);
}

struct closing {
    raddle_future *future;
    raddle_loop *loop;
    int set;
};

/* Posts itself for as long as the loop takes it. */
static void sets_when_refused(void *arg)
{
    struct closing *closing = arg;

    if (raddle_call_soon(closing->loop, sets_when_refused, closing) == RADDLE_ESHUTDOWN)
        closing->set = raddle_future_set(closing->future, 0, NULL);
}

RuntimeTest(future, a_callback_that_its_loop_refuses_is_not_called_and_reported)
{
    struct reports reports = {.count = 0};
    struct closing closing = {.future = make(), .set = 99};

    cr_assert_eq(raddle_new_loop(&closing.loop), 0);
    cr_expect_eq(raddle_call_soon(closing.loop, sets_when_refused, &closing), 0);
    cr_expect_eq(raddle_future_on_done(closing.future, closing.loop, must_not_run, NULL), 0);
    raddle_on_report(report, &reports);
    cr_expect_eq(raddle_loop_close(closing.loop), 0);
    raddle_on_report(NULL, NULL);
    cr_expect_eq(closing.set, 0);
    cr_expect_eq(reports.count, 1);
    cr_expect(strstr(reports.last, "its loop has ended"), "%s", reports.last);
    raddle_future_unref(closing.future);
}
