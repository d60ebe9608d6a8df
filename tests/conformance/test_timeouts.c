/*
 * tests/conformance/test_timeouts.c - deadlines, row by row.
 *
 * Above each case stand the rows and cases of asyncio's contract that it is for.
 */
#define _GNU_SOURCE
#include "tests/conformance/child.h"

#include "runtime/loop.h"

TestSuite(timeouts, .timeout = 60);

/* J1 TC40 */
Conform(timeouts, one_that_has_passed_lets_pass_what_does_not_wait_and_what_is_there)
{
    struct raddle_outcome outcome = {.kind = RADDLE_PENDING};
    raddle_future *future;
    struct raddle_scope s;

    raddle_scope_enter(&s, raddle_now(), 0);
    EXPECT_EQ(raddle_scope_leave(&s, 3), 3);
    raddle_scope_enter(&s, raddle_now(), 0);
    EXPECT_EQ(raddle_scope_leave(&s, raddle_checkpoint()), -ETIMEDOUT);
    EXPECT(raddle_scope_caught(&s));
    EXPECT_EQ(raddle_future_create(&future), 0);
    EXPECT_EQ(raddle_future_set(future, 8, NULL), 0);
    raddle_scope_enter(&s, raddle_now(), 0);
    EXPECT_EQ(raddle_scope_leave(&s, raddle_future_wait(future, &outcome)), 0);
    EXPECT_EQ(outcome.rc, 8);
    raddle_future_unref(future);
    raddle_scope_enter(&s, raddle_now(), 0);
    EXPECT_EQ(raddle_yield(), -ECANCELED);
    EXPECT_EQ(raddle_scope_leave(&s, -EIO), -EIO);
    EXPECT(raddle_scope_cancelled(&s) && !raddle_scope_caught(&s));
    return 0;
}

/* J1 J3 TC41 */
Conform(timeouts, when_both_have_passed_the_outer_one_answers_and_the_code_between_is_cancelled)
{
    struct raddle_scope outer, inner;
    raddle_time same;

    raddle_scope_enter(&outer, raddle_in(SHORT), 0);
    raddle_scope_enter(&inner, raddle_in(2 * SHORT), 0);
    test_burn(3 * SHORT);
    EXPECT_EQ(raddle_yield(), -ECANCELED);
    EXPECT_EQ(raddle_scope_leave(&inner, -ECANCELED), -ECANCELED);
    EXPECT_EQ(raddle_yield(), -ECANCELED);
    EXPECT_EQ(raddle_scope_leave(&outer, -ECANCELED), -ETIMEDOUT);
    EXPECT(raddle_scope_cancelled(&outer) && raddle_scope_caught(&outer));
    EXPECT(!raddle_scope_caught(&inner));

    same = raddle_in(SHORT);
    raddle_scope_enter(&outer, same, 0);
    raddle_scope_enter(&inner, same, 0);
    EXPECT_EQ(raddle_scope_leave(&inner, raddle_sleep_until(RADDLE_NEVER)), -ECANCELED);
    EXPECT_EQ(raddle_scope_leave(&outer, -ECANCELED), -ETIMEDOUT);
    return 0;
}

/* J2 */
Conform(timeouts, one_may_be_moved_until_it_has_passed)
{
    struct raddle_scope s, inner;
    raddle_time later;

    raddle_scope_enter(&s, raddle_in(SHORT), 0);
    EXPECT_EQ(raddle_scope_deadline(&s, raddle_in(RADDLE_S(1000))), 0);
    EXPECT_EQ(raddle_sleep(2 * SHORT), 0);
    later = raddle_in(LONG);
    EXPECT_EQ(raddle_scope_deadline(&s, later), 0);
    EXPECT_EQ(raddle_effective_deadline(), later);
    EXPECT_EQ(raddle_sleep_until(RADDLE_NEVER), -ECANCELED);
    EXPECT(raddle_now() >= later);
    EXPECT_EQ(raddle_scope_deadline(&s, RADDLE_NEVER), -EBUSY);
    EXPECT_EQ(raddle_scope_leave(&s, -ECANCELED), -ETIMEDOUT);
    EXPECT_EQ(raddle_scope_deadline(&s, RADDLE_NEVER), -EINVAL);
    EXPECT_EQ(raddle_scope_deadline(NULL, RADDLE_NEVER), -EINVAL);

    /* From a scope inside it; into the past; and to none. */
    raddle_scope_enter(&s, 0, 0);
    raddle_scope_enter(&inner, raddle_in(RADDLE_S(1000)), 0);
    EXPECT_EQ(raddle_scope_deadline(&inner, 0), 0);
    EXPECT_EQ(raddle_effective_deadline(), RADDLE_NEVER);
    EXPECT_EQ(raddle_scope_deadline(&s, later), 0);
    EXPECT_EQ(raddle_effective_deadline(), later);
    EXPECT_EQ(raddle_scope_leave(&inner, raddle_yield()), -ECANCELED);
    EXPECT_EQ(raddle_scope_leave(&s, -ECANCELED), -ETIMEDOUT);

    raddle_scope_enter(&s, raddle_in(RADDLE_S(1000)), 0);
    raddle_scope_enter(&inner, 0, RADDLE_SHIELD);
    raddle_scope_cancel(&inner, NULL);
    EXPECT_EQ(raddle_scope_deadline(&inner, 0), -EBUSY);
    EXPECT_EQ(raddle_scope_leave(&inner, raddle_yield()), 0);
    EXPECT_EQ(raddle_scope_leave(&s, 0), 0);
    return 0;
}

/* J2 */
Conform(timeouts, one_around_an_open_group_stays_where_it_is)
{
    struct raddle_scope s;
    struct raddle_group g;

    raddle_scope_enter(&s, 0, 0);
    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    EXPECT_EQ(raddle_scope_deadline(&s, raddle_now()), -EBUSY);
    EXPECT_EQ(raddle_scope_deadline(&g.scope, raddle_now()), -EBUSY);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    EXPECT_EQ(raddle_scope_deadline(&s, raddle_now()), 0);
    EXPECT_EQ(raddle_scope_leave(&s, raddle_yield()), -ETIMEDOUT);
    return 0;
}

/* J3 TC47 */
Conform(timeouts, one_that_is_left_without_a_wait_arms_no_timer)
{
    struct rdl_timers *timers = &raddle_running_loop()->base.timers;
    raddle_time before = rdl_timers_next(timers);
    struct raddle_scope s;
    bool armed = false;

    for (int i = 0; i < 100000; i++) {
        raddle_scope_enter(&s, raddle_in(RADDLE_US(10)), 0);
        armed |= rdl_timers_next(timers) != before;
        EXPECT_EQ(raddle_scope_leave(&s, 0), 0);
    }
    EXPECT(!armed);
    return 0;
}

static int fails_late(void *arg)
{
    (void)arg;
    EXPECT_EQ(raddle_sleep_until(RADDLE_NEVER), -ECANCELED);
    {
        RADDLE_CLEANUP(RADDLE_S(10));
        EXPECT_EQ(raddle_sleep(SHORT), 0);
    }
    return -EPIPE;
}

/* J4: a scope around the call, or around the join of a task, which it then cancels. */
/* J4 */
Conform(timeouts, waiting_for_a_call_within_a_time)
{
    struct child c = {.sleep_ns = 0, .rc = 6}, slow = {.sleep_ns = RADDLE_NEVER};
    int rc = 1;

    RADDLE_WITHIN(RADDLE_S(10), rc, child(&c));
    EXPECT_EQ(rc, 6);
    RADDLE_WITHIN(SHORT, rc, child(&slow));
    EXPECT_EQ(rc, -ETIMEDOUT);
    EXPECT(slow.cancelled);
    /* Its own failure; it ends when the clean-up has ended. */
    RADDLE_WITHIN(SHORT, rc, fails_late(NULL));
    EXPECT_EQ(rc, -EPIPE);
    /* A value that it has all the same. */
    slow.cleanup_rc = 8;
    RADDLE_WITHIN(0, rc, child(&slow));
    EXPECT_EQ(rc, 8);
    RADDLE_WITHIN(RADDLE_NEVER, rc, raddle_yield());
    EXPECT_EQ(rc, 0);
    return 0;
}

/* J4 */
Conform(timeouts, waiting_for_a_task_within_a_time_leaves_it_going_unless_it_is_cancelled)
{
    struct child c = {.sleep_ns = RADDLE_NEVER};
    struct raddle_outcome outcome;
    struct raddle_group g;
    raddle_task *task;
    int rc;

    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    SPAWN(&g, &task, child, &c);
    RADDLE_WITHIN(SHORT, rc, raddle_join(task, &outcome));
    EXPECT_EQ(rc, -ETIMEDOUT);
    EXPECT_EQ(c.ended, 0);
    EXPECT_EQ(raddle_task_cancel(task, "too late"), 0);
    EXPECT_EQ(raddle_join(task, &outcome), 0);
    EXPECT_EQ(outcome.kind, RADDLE_CANCELLED);
    raddle_task_unref(task);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    return 0;
}

/* J5 */
Conform(timeouts, the_nearest_one_is_told_up_to_a_shield)
{
    raddle_time first = raddle_in(RADDLE_S(100)), second = raddle_in(RADDLE_S(200));
    struct raddle_scope outer, inner, shield;

    EXPECT_EQ(raddle_effective_deadline(), RADDLE_NEVER);
    raddle_scope_enter(&outer, first, 0);
    raddle_scope_enter(&inner, second, 0);
    EXPECT_EQ(raddle_effective_deadline(), first);
    raddle_scope_enter(&shield, second, RADDLE_SHIELD);
    EXPECT_EQ(raddle_effective_deadline(), second);
    EXPECT_EQ(raddle_scope_leave(&shield, 0), 0);
    EXPECT_EQ(raddle_scope_leave(&inner, 0), 0);
    EXPECT_EQ(raddle_effective_deadline(), first);
    EXPECT(!raddle_cancelled());
    EXPECT_EQ(raddle_scope_leave(&outer, 0), 0);
    return 0;
}

struct shared {
    struct raddle_mutex mutex;
    struct raddle_cond cond;
    raddle_task *waiter;
    raddle_time expired, returned, released;
    int rc, unlock_rc;
};

static int waits_for_condition(void *arg)
{
    struct shared *s = arg;
    struct raddle_scope limit;

    EXPECT_EQ(raddle_lock(&s->mutex), 0);
    raddle_scope_enter(&limit, raddle_in(SHORT), 0);
    s->rc = raddle_scope_leave(&limit, raddle_cond_wait(&s->cond, &s->mutex));
    s->returned = raddle_now();
    s->unlock_rc = raddle_unlock(&s->mutex);
    return 0;
}

/* TC44 */
Conform(timeouts, a_wait_for_a_condition_has_the_mutex_again_before_it_tells)
{
    struct shared s = {.rc = 1};
    struct raddle_group g;

    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    SPAWN(&g, &s.waiter, waits_for_condition, &s);
    test_let_park_for(s.waiter, "a condition");
    EXPECT_EQ(raddle_lock(&s.mutex), 0);
    EXPECT_EQ(raddle_sleep(4 * SHORT), 0);
    s.released = raddle_now();
    EXPECT_EQ(s.rc, 1);
    EXPECT_EQ(raddle_unlock(&s.mutex), 0);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    EXPECT_EQ(s.rc, -ETIMEDOUT);
    EXPECT_EQ(s.unlock_rc, 0);
    EXPECT(s.returned >= s.released);
    raddle_task_unref(s.waiter);
    return 0;
}
