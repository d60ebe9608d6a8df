/*
 * tests/runtime/test_scope.c - scopes: deadlines, cancellation, shields, and all of them nested.
 */
#define _GNU_SOURCE
#include "tests/support/fixture.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

TestSuite(scope, .timeout = 30);

enum { SHORT = 5 * 1000000, LONG = 20 * 1000000 };

static int passes_on(void *arg)
{
    struct raddle_scope s;

    (void)arg;
    raddle_scope_enter(&s, RADDLE_NEVER, 0);
    EXPECT(!raddle_scope_cancelled(&s));
    EXPECT(!raddle_cancelled());
    EXPECT_EQ(raddle_scope_leave(&s, 7), 7);
    raddle_scope_enter(&s, 0, 0);
    EXPECT_EQ(raddle_effective_deadline(), RADDLE_NEVER);
    EXPECT_EQ(raddle_scope_leave(&s, -EIO), -EIO);
    raddle_scope_enter(&s, 0, RADDLE_SHIELD | RADDLE_QUIET);
    EXPECT_EQ(raddle_scope_leave(&s, -ECANCELED), -ECANCELED);
    return 0;
}

RuntimeTest(scope, one_that_did_nothing_passes_the_result_on)
{
    cr_assert_eq(test_run(passes_on, NULL), 0);
}

static int times_out(void *arg)
{
    raddle_time start = raddle_now();
    struct raddle_scope s;
    int rc;

    (void)arg;
    raddle_scope_enter(&s, start + LONG, 0);
    rc = raddle_sleep_until(RADDLE_NEVER);
    EXPECT_EQ(rc, -ECANCELED);
    EXPECT(raddle_now() >= start + LONG);
    EXPECT(raddle_scope_cancelled(&s));
    EXPECT(raddle_cancelled());
    EXPECT_STR(raddle_cancel_reason(), "deadline");
    EXPECT_EQ(raddle_scope_leave(&s, rc), -ETIMEDOUT);
    EXPECT(!raddle_cancelled());
    EXPECT_STR(raddle_cancel_reason(), NULL);
    EXPECT(raddle_scope_cancelled(&s));
    return 0;
}

RuntimeTest(scope, a_passed_deadline_ends_the_wait_and_leaves_with_etimedout)
{
    cr_assert_eq(test_run(times_out, NULL), 0);
}

static int quiet(void *arg)
{
    struct raddle_scope s;

    (void)arg;
    raddle_scope_enter(&s, raddle_in(SHORT), RADDLE_QUIET);
    EXPECT_EQ(raddle_scope_leave(&s, raddle_sleep(RADDLE_S(60))), 0);
    raddle_scope_enter(&s, raddle_in(SHORT), RADDLE_QUIET);
    EXPECT_EQ(raddle_sleep(RADDLE_S(60)), -ECANCELED);
    EXPECT_EQ(raddle_scope_leave(&s, -EIO), -EIO);
    return 0;
}

RuntimeTest(scope, a_quiet_one_leaves_with_0_instead)
{
    cr_assert_eq(test_run(quiet, NULL), 0);
}

/* The origins of each value: test_timeout_zero and test_foreign_exception_on_timeout of asyncio. */
static int late_from_the_start(void *arg)
{
    struct raddle_scope s;

    (void)arg;
    raddle_scope_enter(&s, raddle_now(), 0);
    EXPECT_EQ(raddle_scope_leave(&s, 3), 3);

    raddle_scope_enter(&s, raddle_now(), 0);
    EXPECT_EQ(raddle_yield(), -ECANCELED);
    EXPECT_EQ(raddle_scope_leave(&s, -ECANCELED), -ETIMEDOUT);

    raddle_scope_enter(&s, raddle_in(0), 0);
    EXPECT_EQ(raddle_checkpoint(), -ECANCELED);
    EXPECT_EQ(raddle_scope_leave(&s, -ECANCELED), -ETIMEDOUT);

    raddle_scope_enter(&s, raddle_now() - RADDLE_S(1), 0);
    EXPECT_EQ(raddle_sleep(1), -ECANCELED);
    EXPECT(raddle_scope_cancelled(&s));
    EXPECT_EQ(raddle_scope_leave(&s, -EIO), -EIO);
    EXPECT(raddle_scope_cancelled(&s));

    raddle_scope_enter(&s, INT64_MIN, 0);
    EXPECT_EQ(raddle_sleep(0), -ECANCELED);
    EXPECT_EQ(raddle_scope_leave(&s, -ECANCELED), -ETIMEDOUT);
    return 0;
}

RuntimeTest(scope, a_deadline_that_has_passed_cancels_at_once)
{
    cr_assert_eq(test_run(late_from_the_start, NULL), 0);
}

static int computes(void *arg)
{
    struct raddle_scope s;

    (void)arg;
    raddle_scope_enter(&s, raddle_in(SHORT), 0);
    test_burn(LONG);
    EXPECT_EQ(raddle_checkpoint(), -ECANCELED);
    EXPECT_EQ(raddle_scope_leave(&s, -ECANCELED), -ETIMEDOUT);

    raddle_scope_enter(&s, raddle_in(SHORT), 0);
    test_burn(LONG);
    EXPECT_EQ(raddle_yield(), -ECANCELED);
    EXPECT_EQ(raddle_scope_leave(&s, 5), 5);
    return 0;
}

RuntimeTest(scope, a_deadline_that_passes_during_a_computation_is_seen_at_its_end)
{
    cr_assert_eq(test_run(computes, NULL), 0);
}

static int far_deadlines(void *arg)
{
    static const raddle_time far[] = {RADDLE_NEVER, RADDLE_NEVER - 1, (raddle_time)1 << 62};
    struct raddle_scope s;

    (void)arg;
    for (unsigned i = 0; i < sizeof(far) / sizeof(far[0]); i++) {
        raddle_scope_enter(&s, far[i], 0);
        EXPECT_EQ(raddle_sleep(RADDLE_MS(1)), 0);
        EXPECT_EQ(raddle_effective_deadline(), far[i]);
        EXPECT_EQ(raddle_scope_leave(&s, 0), 0);
    }
    return 0;
}

RuntimeTest(scope, a_deadline_in_the_far_future_does_not_overflow)
{
    cr_assert_eq(test_run(far_deadlines, NULL), 0);
}

static int sticks(void *arg)
{
    struct raddle_scope s;

    (void)arg;
    raddle_scope_enter(&s, 0, 0);
    raddle_scope_cancel(&s, "first");
    raddle_scope_cancel(&s, "second");
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(raddle_yield(), -ECANCELED);
        EXPECT_EQ(raddle_checkpoint(), -ECANCELED);
        EXPECT_EQ(raddle_sleep(0), -ECANCELED);
        EXPECT_EQ(raddle_sleep(LONG), -ECANCELED);
        EXPECT_EQ(raddle_sleep_until(RADDLE_NEVER), -ECANCELED);
        EXPECT_EQ(raddle_run_in_executor(NULL, test_nothing, NULL, NULL), -ECANCELED);
        EXPECT_EQ(raddle_move_to(raddle_running_loop()), -ECANCELED);
    }
    EXPECT_STR(raddle_cancel_reason(), "first");
    EXPECT_EQ(raddle_scope_leave(&s, -ECANCELED), 0);
    EXPECT_EQ(raddle_yield(), 0);
    return 0;
}

RuntimeTest(scope, cancellation_lasts_until_the_scope_is_left_and_the_first_reason_stays)
{
    cr_assert_eq(test_run(sticks, NULL), 0);
}

static int keeps(void *arg)
{
    struct raddle_scope s;

    (void)arg;
    raddle_scope_enter(&s, 0, 0);
    raddle_scope_cancel(&s, NULL);
    EXPECT(raddle_cancelled());
    EXPECT_STR(raddle_cancel_reason(), NULL);
    EXPECT_EQ(raddle_scope_leave(&s, 42), 42);
    EXPECT(raddle_scope_cancelled(&s));
    raddle_scope_enter(&s, 0, 0);
    raddle_scope_cancel(&s, NULL);
    EXPECT_EQ(raddle_scope_leave(&s, -EIO), -EIO);
    raddle_scope_enter(&s, 0, 0);
    EXPECT(!raddle_scope_cancelled(&s));
    EXPECT_EQ(raddle_yield(), 0);
    EXPECT_EQ(raddle_scope_leave(&s, 0), 0);
    return 0;
}

RuntimeTest(scope, a_result_that_is_not_the_cancellation_is_kept)
{
    cr_assert_eq(test_run(keeps, NULL), 0);
}

/* Nesting. */

static int outer_first(void *arg)
{
    struct raddle_scope outer, inner;
    raddle_time start = raddle_now();
    int rc;

    (void)arg;
    raddle_scope_enter(&outer, start + SHORT, 0);
    raddle_scope_enter(&inner, start + RADDLE_S(60), 0);
    EXPECT_EQ(raddle_effective_deadline(), start + SHORT);
    rc = raddle_sleep(RADDLE_S(60));
    EXPECT_EQ(rc, -ECANCELED);
    rc = raddle_scope_leave(&inner, rc);
    EXPECT_EQ(rc, -ECANCELED);
    EXPECT(!raddle_scope_cancelled(&inner));
    EXPECT_EQ(raddle_yield(), -ECANCELED);
    EXPECT_EQ(raddle_scope_leave(&outer, rc), -ETIMEDOUT);
    EXPECT(raddle_scope_cancelled(&outer));
    return 0;
}

RuntimeTest(scope, of_two_deadlines_the_outer_one_wins_when_it_is_nearer)
{
    cr_assert_eq(test_run(outer_first, NULL), 0);
}

static int inner_first(void *arg)
{
    struct raddle_scope outer, inner;
    raddle_time start = raddle_now();
    int rc;

    (void)arg;
    raddle_scope_enter(&outer, start + RADDLE_S(60), 0);
    raddle_scope_enter(&inner, start + SHORT, 0);
    EXPECT_EQ(raddle_effective_deadline(), start + SHORT);
    rc = raddle_scope_leave(&inner, raddle_sleep(RADDLE_S(60)));
    EXPECT_EQ(rc, -ETIMEDOUT);
    EXPECT_EQ(raddle_effective_deadline(), start + RADDLE_S(60));
    EXPECT_EQ(raddle_yield(), 0);
    EXPECT(!raddle_scope_cancelled(&outer));
    EXPECT_EQ(raddle_scope_leave(&outer, rc), -ETIMEDOUT);
    EXPECT(!raddle_scope_cancelled(&outer));
    return 0;
}

RuntimeTest(scope, of_two_deadlines_the_inner_one_wins_when_it_is_nearer)
{
    cr_assert_eq(test_run(inner_first, NULL), 0);
}

static int both_passed(void *arg)
{
    struct raddle_scope outer, inner;
    raddle_time start = raddle_now();
    int rc;

    (void)arg;
    raddle_scope_enter(&outer, start + SHORT, 0);
    raddle_scope_enter(&inner, start + 2 * SHORT, 0);
    test_burn(LONG);
    rc = raddle_sleep(RADDLE_S(60));
    EXPECT_EQ(rc, -ECANCELED);
    /* Both have passed: only the outermost answers for it. */
    rc = raddle_scope_leave(&inner, rc);
    EXPECT_EQ(rc, -ECANCELED);
    EXPECT_EQ(raddle_scope_leave(&outer, rc), -ETIMEDOUT);

    start = raddle_now();
    raddle_scope_enter(&outer, start + SHORT, 0);
    raddle_scope_enter(&inner, start + SHORT, 0);
    rc = raddle_scope_leave(&inner, raddle_sleep(RADDLE_S(60)));
    EXPECT_EQ(rc, -ECANCELED);
    EXPECT_EQ(raddle_scope_leave(&outer, rc), -ETIMEDOUT);
    return 0;
}

RuntimeTest(scope, of_two_passed_deadlines_the_outermost_reports)
{
    cr_assert_eq(test_run(both_passed, NULL), 0);
}

static int both_cancelled(void *arg)
{
    struct raddle_scope outer, inner;

    (void)arg;
    for (int order = 0; order < 2; order++) {
        raddle_scope_enter(&outer, 0, 0);
        raddle_scope_enter(&inner, 0, 0);
        raddle_scope_cancel(order ? &outer : &inner, "one");
        raddle_scope_cancel(order ? &inner : &outer, "two");
        EXPECT_EQ(raddle_yield(), -ECANCELED);
        EXPECT_EQ(raddle_scope_leave(&inner, -ECANCELED), -ECANCELED);
        EXPECT_EQ(raddle_scope_leave(&outer, -ECANCELED), 0);
        EXPECT_EQ(raddle_yield(), 0);
    }
    return 0;
}

RuntimeTest(scope, of_two_cancelled_scopes_the_outer_one_catches)
{
    cr_assert_eq(test_run(both_cancelled, NULL), 0);
}

static int cancelled_and_late(void *arg)
{
    struct raddle_scope outer, inner;
    int rc;

    (void)arg;
    raddle_scope_enter(&outer, 0, 0);
    raddle_scope_enter(&inner, raddle_in(SHORT), 0);
    rc = raddle_sleep(RADDLE_S(60));
    raddle_scope_cancel(&outer, "stop");
    rc = raddle_scope_leave(&inner, rc);
    EXPECT_EQ(rc, -ECANCELED);
    EXPECT(raddle_scope_cancelled(&inner));
    EXPECT_EQ(raddle_scope_leave(&outer, rc), 0);
    return 0;
}

RuntimeTest(scope, a_cancelled_outer_scope_outranks_an_inner_deadline)
{
    cr_assert_eq(test_run(cancelled_and_late, NULL), 0);
}

/* Shields. */

static int shielded(void *arg)
{
    struct raddle_scope outer, shield;
    raddle_time start;

    (void)arg;
    raddle_scope_enter(&outer, raddle_in(RADDLE_S(60)), 0);
    raddle_scope_cancel(&outer, "stop");
    EXPECT_EQ(raddle_yield(), -ECANCELED);
    raddle_scope_enter(&shield, 0, RADDLE_SHIELD);
    EXPECT(!raddle_cancelled());
    EXPECT_STR(raddle_cancel_reason(), NULL);
    EXPECT_EQ(raddle_effective_deadline(), RADDLE_NEVER);
    EXPECT_EQ(raddle_yield(), 0);
    start = raddle_now();
    EXPECT_EQ(raddle_sleep(SHORT), 0);
    EXPECT(raddle_now() - start >= SHORT);
    EXPECT_EQ(raddle_run_in_executor(NULL, test_nothing, NULL, NULL), 0);
    EXPECT_EQ(raddle_scope_leave(&shield, 0), 0);
    EXPECT(raddle_cancelled());
    EXPECT_EQ(raddle_sleep(SHORT), -ECANCELED);
    EXPECT_EQ(raddle_scope_leave(&outer, -ECANCELED), 0);
    return 0;
}

RuntimeTest(scope, a_shield_holds_off_what_comes_from_outside)
{
    cr_assert_eq(test_run(shielded, NULL), 0);
}

static int shield_with_deadline(void *arg)
{
    struct raddle_scope outer, shield, inner;
    int rc;

    (void)arg;
    raddle_scope_enter(&outer, raddle_now() - 1, 0);
    raddle_scope_enter(&shield, raddle_in(SHORT), RADDLE_SHIELD);
    rc = raddle_sleep(RADDLE_S(60));
    EXPECT_EQ(rc, -ECANCELED);
    rc = raddle_scope_leave(&shield, rc);
    EXPECT_EQ(rc, -ETIMEDOUT); /* its own, whatever is around it */
    EXPECT_EQ(raddle_scope_leave(&outer, -ECANCELED), -ETIMEDOUT);

    /* A scope inside of a shield is cancelled by itself and by the shield. */
    raddle_scope_enter(&shield, 0, RADDLE_SHIELD);
    raddle_scope_enter(&inner, 0, 0);
    raddle_scope_cancel(&shield, "the shield itself");
    EXPECT_EQ(raddle_sleep(RADDLE_S(60)), -ECANCELED);
    EXPECT_STR(raddle_cancel_reason(), "the shield itself");
    EXPECT_EQ(raddle_scope_leave(&inner, -ECANCELED), -ECANCELED);
    EXPECT_EQ(raddle_scope_leave(&shield, -ECANCELED), 0);
    return 0;
}

RuntimeTest(scope, a_shield_has_a_deadline_and_a_cancellation_of_its_own)
{
    cr_assert_eq(test_run(shield_with_deadline, NULL), 0);
}

struct held {
    raddle_task *task;
    rdl_atomic(unsigned) stage;
};

static int sleeps_shielded(void *arg)
{
    struct held *held = arg;
    struct raddle_scope shield;

    raddle_scope_enter(&shield, 0, RADDLE_SHIELD);
    rdl_atomic_store_release(&held->stage, 1u);
    while (rdl_atomic_load_acquire(&held->stage) < 2)
        EXPECT_EQ(raddle_sleep(RADDLE_MS(1)), 0);
    EXPECT_EQ(raddle_scope_leave(&shield, 0), 0);
    EXPECT_STR(raddle_cancel_reason(), "held off");
    return raddle_sleep(RADDLE_S(60));
}

static int cancels_shielded(void *arg)
{
    struct held held = {.task = NULL};
    struct raddle_outcome outcome;
    struct raddle_group g;

    (void)arg;
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, &held.task, sleeps_shielded, &held, NULL), 0);
    test_await(&held.stage, 1);
    EXPECT_EQ(raddle_task_cancel(held.task, "held off"), 0);
    EXPECT_EQ(raddle_sleep(SHORT), 0);
    rdl_atomic_store_release(&held.stage, 2u);
    EXPECT_EQ(raddle_join(held.task, &outcome), 0);
    EXPECT_EQ(outcome.kind, RADDLE_CANCELLED);
    raddle_task_unref(held.task);
    return raddle_group_close(&g, 0);
}

RuntimeTest(scope, what_a_shield_held_off_is_seen_when_it_is_left)
{
    cr_assert_eq(test_run(cancels_shielded, NULL), 0);
}

/* From outside. */

struct remote {
    struct raddle_scope scope;
    rdl_atomic(unsigned) entered;
};

static void *cancels_the_scope(void *arg)
{
    struct remote *r = arg;

    test_await(&r->entered, 1);
    raddle_scope_cancel(&r->scope, "from a thread");
    return NULL;
}

static int cancelled_by_a_thread(void *arg)
{
    struct remote *r = arg;
    pthread_t thread;

    EXPECT_EQ(pthread_create(&thread, NULL, cancels_the_scope, r), 0);
    raddle_scope_enter(&r->scope, 0, 0);
    rdl_atomic_store_release(&r->entered, 1u);
    EXPECT_EQ(raddle_sleep(RADDLE_S(60)), -ECANCELED);
    EXPECT_STR(raddle_cancel_reason(), "from a thread");
    pthread_join(thread, NULL);
    return raddle_scope_leave(&r->scope, -ECANCELED);
}

RuntimeTest(scope, is_cancelled_from_another_thread)
{
    struct remote r = {.entered = 0};

    raddle_sim_hold(); /* a minute would pass at once, where time is simulated */
    cr_assert_eq(test_run(cancelled_by_a_thread, &r), 0);
    raddle_sim_release();
}

static int many_scopes(void *arg)
{
    struct raddle_loop_stats before, after;
    struct raddle_scope s;
    raddle_time deadline = raddle_in(RADDLE_S(5));

    (void)arg;
    EXPECT_EQ(raddle_get_loop_stats(0, &before), 0);
    for (int i = 0; i < 100000; i++) {
        raddle_scope_enter(&s, deadline, 0);
        EXPECT_EQ(raddle_scope_leave(&s, i), i);
    }
    EXPECT_EQ(raddle_get_loop_stats(0, &after), 0);
    EXPECT_EQ(after.timers, before.timers);
    return 0;
}

RuntimeTest(scope, a_deadline_that_is_left_in_time_fires_nothing)
{
    cr_assert_eq(test_run(many_scopes, NULL), 0);
}

static int deep(void *arg)
{
    enum { DEPTH = 100 };
    struct raddle_scope s[DEPTH];

    (void)arg;
    for (int i = 0; i < DEPTH; i++)
        raddle_scope_enter(&s[i], raddle_in(RADDLE_S(DEPTH - i)), 0);
    raddle_scope_cancel(&s[DEPTH / 2], "the middle");
    EXPECT_EQ(raddle_sleep(RADDLE_S(1)), -ECANCELED);
    for (int i = DEPTH - 1; i > DEPTH / 2; i--)
        EXPECT_EQ(raddle_scope_leave(&s[i], -ECANCELED), -ECANCELED);
    EXPECT_EQ(raddle_scope_leave(&s[DEPTH / 2], -ECANCELED), 0);
    for (int i = DEPTH / 2 - 1; i >= 0; i--) {
        EXPECT_EQ(raddle_yield(), 0);
        EXPECT_EQ(raddle_scope_leave(&s[i], 0), 0);
    }
    return 0;
}

RuntimeTest(scope, many_deep_are_left_one_by_one)
{
    cr_assert_eq(test_run(deep, NULL), 0);
}

RuntimeTest(scope, outside_a_task_nothing_is_cancelled)
{
    cr_assert_not(raddle_cancelled());
    cr_assert_null(raddle_cancel_reason());
    cr_assert_eq(raddle_effective_deadline(), RADDLE_NEVER);
}
