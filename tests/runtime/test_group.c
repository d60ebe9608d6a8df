/*
 * tests/runtime/test_group.c - groups: who is cancelled when, what the close returns, and in which
 * order things count.
 */
#define _GNU_SOURCE
#include "tests/support/fixture.h"

#include <errno.h>
#include <string.h>

TestSuite(group, .timeout = 30);

enum { SHORT = 5 * 1000000, LONG = 20 * 1000000 };

/* A child that sleeps, then returns; and what it saw. */
struct child {
    int64_t sleep_ns; /* RADDLE_NEVER: until it is cancelled */
    int rc;           /* when it was not cancelled */
    int cleanup_rc;   /* when it was, 0: -ECANCELED */
    bool cancelled;
    rdl_atomic(unsigned) ended;
};

static int child(void *arg)
{
    struct child *c = arg;
    int rc =
        c->sleep_ns == RADDLE_NEVER ? raddle_sleep_until(RADDLE_NEVER) : raddle_sleep(c->sleep_ns);

    c->cancelled = rc == -ECANCELED;
    rdl_atomic_fetch_add_relaxed(&c->ended, 1u);
    if (rc < 0)
        return c->cleanup_rc ? c->cleanup_rc : rc;
    return c->rc;
}

static int open_group(struct raddle_group *g, enum raddle_group_mode mode, raddle_time deadline)
{
    return raddle_group_open(g, &(struct raddle_group_options){.mode = mode, .deadline = deadline});
}

static int empty(void *arg)
{
    static const enum raddle_group_mode modes[] = {RADDLE_FAIL_FAST, RADDLE_COLLECT,
                                                   RADDLE_FIRST_OK};
    struct raddle_group g;

    (void)arg;
    for (unsigned i = 0; i < 3; i++) {
        EXPECT_EQ(open_group(&g, modes[i], 0), 0);
        EXPECT_EQ(raddle_group_live(&g), 0);
        EXPECT_EQ(raddle_group_close(&g, 5), 5);
        EXPECT_EQ(open_group(&g, modes[i], 0), 0);
        EXPECT_EQ(raddle_group_close(&g, -EIO), -EIO);
        EXPECT_EQ(open_group(&g, modes[i], 0), 0);
        EXPECT_EQ(raddle_group_close(&g, -ECANCELED), RADDLE_ESTRAY);
    }
    return 0;
}

RuntimeTest(group, an_empty_one_returns_what_the_body_came_to)
{
    cr_assert_eq(test_run(empty, NULL), 0);
}

static int waits(void *arg)
{
    struct child c[3] = {{.sleep_ns = LONG}, {.sleep_ns = SHORT}, {.sleep_ns = 0}};
    raddle_time start = raddle_now();
    struct raddle_group g;

    (void)arg;
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(raddle_spawn(&g, NULL, child, &c[i], NULL), 0);
    EXPECT_IN(raddle_group_live(&g), 1, 4);
    EXPECT_EQ(raddle_group_close(&g, 9), 9);
    EXPECT(raddle_now() - start >= LONG);
    for (int i = 0; i < 3; i++)
        EXPECT(c[i].ended == 1 && !c[i].cancelled);
    return 0;
}

RuntimeTest(group, the_close_waits_for_all_children)
{
    cr_assert_eq(test_run(waits, NULL), 0);
}

static int bad_options(void *arg)
{
    struct raddle_group_options o;
    struct raddle_group g;

    (void)arg;
    EXPECT_EQ(raddle_group_open(NULL, NULL), -EINVAL);
    o = (struct raddle_group_options){.mode = (enum raddle_group_mode)3};
    EXPECT_EQ(raddle_group_open(&g, &o), -EINVAL);
    EXPECT_EQ(raddle_group_close(&g, -EINVAL), -EINVAL);
    o = (struct raddle_group_options){.scope_flags = 4};
    EXPECT_EQ(raddle_group_open(&g, &o), -EINVAL);
    for (int i = 0; i < 4; i++) {
        o = (struct raddle_group_options){.mode = RADDLE_COLLECT};
        o.reserved[i] = 1;
        memset(&g, 0xA5, sizeof(g));
        EXPECT_EQ(raddle_group_open(&g, &o), -EINVAL);
        EXPECT_EQ(raddle_group_close(&g, 3), 3);
    }
    EXPECT(!raddle_cancelled());
    return 0;
}

RuntimeTest(group, bad_options_open_nothing)
{
    cr_assert_eq(test_run(bad_options, NULL), 0);
}

RuntimeTest(group, outside_a_task_none_is_opened)
{
    struct raddle_group g;

    memset(&g, 0xA5, sizeof(g));
    cr_assert_eq(raddle_group_open(&g, NULL), -EPERM);
    cr_assert_eq(raddle_group_close(&g, -EPERM), -EPERM);
    cr_assert_eq(raddle_group_open(NULL, NULL), -EINVAL);
}

/* RADDLE_FAIL_FAST */

static int first_failure(void *arg)
{
    struct child c[4] = {{.sleep_ns = RADDLE_NEVER},
                         {.sleep_ns = SHORT, .rc = -EIO},
                         {.sleep_ns = RADDLE_NEVER, .cleanup_rc = -EPIPE},
                         {.sleep_ns = 0, .rc = 4}};
    struct raddle_group g;

    (void)arg;
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (int i = 0; i < 4; i++)
        EXPECT_EQ(raddle_spawn(&g, NULL, child, &c[i], NULL), 0);
    /* The body is inside, too. */
    EXPECT_EQ(raddle_sleep_until(RADDLE_NEVER), -ECANCELED);
    EXPECT_STR(raddle_cancel_reason(), "a task of its group failed");
    EXPECT_EQ(raddle_group_close(&g, -ECANCELED), -EIO);
    EXPECT(c[0].cancelled && !c[1].cancelled && c[2].cancelled && !c[3].cancelled);
    EXPECT_EQ(raddle_yield(), 0);
    return 0;
}

RuntimeTest(group, the_first_failure_cancels_the_others_and_is_the_result)
{
    cr_assert_eq(test_run(first_failure, NULL), 0);
}

static int body_fails(void *arg)
{
    struct child c[2] = {{.sleep_ns = RADDLE_NEVER},
                         {.sleep_ns = RADDLE_NEVER, .cleanup_rc = -EPIPE}};
    struct raddle_group g;

    (void)arg;
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (int i = 0; i < 2; i++)
        EXPECT_EQ(raddle_spawn(&g, NULL, child, &c[i], NULL), 0);
    EXPECT_EQ(raddle_group_close(&g, -EIO), -EIO);
    EXPECT(c[0].cancelled && c[1].cancelled);
    return 0;
}

RuntimeTest(group, a_failed_body_cancels_the_children_and_comes_first)
{
    cr_assert_eq(test_run(body_fails, NULL), 0);
}

/* Within a time limit, so that a group that waits for ever is a failure and not a hang. */
static int body_fails_otherwise(void *arg)
{
    struct child c = {.sleep_ns = RADDLE_NEVER};
    struct raddle_scope limit;
    struct raddle_group g;

    (void)arg;
    raddle_scope_enter(&limit, raddle_in(RADDLE_S(5)), 0);
    EXPECT_EQ(open_group(&g, RADDLE_FIRST_OK, 0), 0);
    EXPECT_EQ(raddle_spawn(&g, NULL, child, &c, NULL), 0);
    EXPECT_EQ(raddle_group_close(&g, -EIO), -EIO);

    /* -ECANCELED that is no cancellation of the body's is a failure like others. */
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, NULL, child, &c, NULL), 0);
    EXPECT_EQ(raddle_group_close(&g, -ECANCELED), RADDLE_ESTRAY);
    EXPECT(!raddle_scope_cancelled(&limit));
    return raddle_scope_leave(&limit, 0);
}

RuntimeTest(group, a_failed_body_cancels_the_children_whatever_the_failure_and_the_mode)
{
    cr_assert_eq(test_run(body_fails_otherwise, NULL), 0);
}

static int stray(void *arg)
{
    struct child c = {.rc = -ECANCELED};
    struct raddle_outcome outcome;
    struct raddle_group g;
    raddle_task *task;

    (void)arg;
    EXPECT_EQ(open_group(&g, RADDLE_COLLECT, 0), 0);
    EXPECT_EQ(raddle_spawn(&g, &task, child, &c, NULL), 0);
    EXPECT_EQ(raddle_join(task, &outcome), 0);
    EXPECT_EQ(outcome.kind, RADDLE_FAILED);
    EXPECT_EQ(outcome.rc, RADDLE_ESTRAY);
    raddle_task_unref(task);
    EXPECT_EQ(raddle_group_close(&g, 0), RADDLE_ESTRAY);

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, NULL, child, &c, NULL), 0);
    EXPECT_EQ(raddle_group_close(&g, 0), RADDLE_ESTRAY);
    return 0;
}

RuntimeTest(group, a_child_that_returns_ecanceled_without_being_cancelled_has_failed)
{
    cr_assert_eq(test_run(stray, NULL), 0);
}

static int one_cancelled(void *arg)
{
    struct child c[2] = {{.sleep_ns = RADDLE_NEVER}, {.sleep_ns = SHORT, .rc = 1}};
    struct raddle_outcome outcome;
    struct raddle_group g;
    raddle_task *task;

    (void)arg;
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, &task, child, &c[0], NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, NULL, child, &c[1], NULL), 0);
    EXPECT_EQ(raddle_task_cancel(task, NULL), 0);
    EXPECT_EQ(raddle_join(task, &outcome), 0);
    EXPECT_EQ(outcome.kind, RADDLE_CANCELLED);
    raddle_task_unref(task);
    EXPECT_EQ(raddle_yield(), 0);
    EXPECT_EQ(raddle_group_close(&g, 2), 2);
    EXPECT(!c[1].cancelled);
    return 0;
}

RuntimeTest(group, a_child_cancelled_by_its_handle_is_no_failure)
{
    cr_assert_eq(test_run(one_cancelled, NULL), 0);
}

/* RADDLE_COLLECT and RADDLE_FIRST_OK */

static int collects(void *arg)
{
    struct child c[3] = {
        {.sleep_ns = SHORT, .rc = -EIO}, {.sleep_ns = LONG, .rc = -EPIPE}, {.sleep_ns = LONG}};
    struct raddle_group g;

    (void)arg;
    for (int body = 0; body < 2; body++) {
        EXPECT_EQ(open_group(&g, RADDLE_COLLECT, 0), 0);
        for (int i = 0; i < 3; i++)
            EXPECT_EQ(raddle_spawn(&g, NULL, child, &c[i], NULL), 0);
        EXPECT_EQ(raddle_group_close(&g, body ? -ENOENT : 0), body ? -ENOENT : -EIO);
        for (int i = 0; i < 3; i++)
            EXPECT(!c[i].cancelled);
    }
    return 0;
}

RuntimeTest(group, collect_runs_all_to_their_end_and_returns_the_first_failure)
{
    cr_assert_eq(test_run(collects, NULL), 0);
}

static int first_ok(void *arg)
{
    struct child c[3] = {
        {.sleep_ns = 0, .rc = -EIO}, {.sleep_ns = SHORT, .rc = 6}, {.sleep_ns = RADDLE_NEVER}};
    struct raddle_group g;

    (void)arg;
    EXPECT_EQ(open_group(&g, RADDLE_FIRST_OK, 0), 0);
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(raddle_spawn(&g, NULL, child, &c[i], NULL), 0);
    EXPECT_EQ(raddle_sleep_until(RADDLE_NEVER), -ECANCELED);
    EXPECT_STR(raddle_cancel_reason(), "another task of its group succeeded");
    EXPECT_EQ(raddle_group_close(&g, -ECANCELED), 6);
    EXPECT(c[2].cancelled);
    return 0;
}

RuntimeTest(group, first_ok_cancels_the_rest_after_the_first_success)
{
    cr_assert_eq(test_run(first_ok, NULL), 0);
}

static int none_ok(void *arg)
{
    struct child c[2] = {{.sleep_ns = LONG, .rc = -EPIPE}, {.sleep_ns = SHORT, .rc = -EIO}};
    struct raddle_group g;

    (void)arg;
    EXPECT_EQ(open_group(&g, RADDLE_FIRST_OK, 0), 0);
    for (int i = 0; i < 2; i++)
        EXPECT_EQ(raddle_spawn(&g, NULL, child, &c[i], NULL), 0);
    EXPECT_EQ(raddle_group_close(&g, 0), -EIO);
    EXPECT(!c[0].cancelled);
    return 0;
}

RuntimeTest(group, first_ok_without_a_success_returns_the_first_failure)
{
    cr_assert_eq(test_run(none_ok, NULL), 0);
}

/* Deadlines. */

static int group_deadline(void *arg)
{
    struct child c[2] = {{.sleep_ns = RADDLE_NEVER}, {.sleep_ns = SHORT, .rc = 1}};
    struct raddle_group g;

    (void)arg;
    for (int mode = RADDLE_FAIL_FAST; mode <= RADDLE_FIRST_OK; mode++) {
        bool won = mode == RADDLE_FIRST_OK;
        EXPECT_EQ(open_group(&g, (enum raddle_group_mode)mode, raddle_in(LONG)), 0);
        for (int i = 0; i < 2; i++)
            EXPECT_EQ(raddle_spawn(&g, NULL, child, &c[i], NULL), 0);
        EXPECT_EQ(raddle_group_close(&g, 0), won ? 1 : -ETIMEDOUT);
        EXPECT(c[0].cancelled && !c[1].cancelled);
    }
    return 0;
}

RuntimeTest(group, a_deadline_is_for_all_of_it)
{
    cr_assert_eq(test_run(group_deadline, NULL), 0);
}

static int deadline_kinds(void *arg)
{
    struct child c = {.sleep_ns = RADDLE_NEVER};
    struct raddle_group_options o = {.scope_flags = RADDLE_QUIET};
    struct raddle_group g;

    (void)arg;
    o.deadline = raddle_in(SHORT);
    EXPECT_EQ(raddle_group_open(&g, &o), 0);
    EXPECT_EQ(raddle_spawn(&g, NULL, child, &c, NULL), 0);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);

    /* A failure comes before the deadline. */
    c.cleanup_rc = -EIO;
    EXPECT_EQ(open_group(&g, RADDLE_FAIL_FAST, raddle_in(SHORT)), 0);
    EXPECT_EQ(raddle_spawn(&g, NULL, child, &c, NULL), 0);
    EXPECT_EQ(raddle_group_close(&g, 0), -EIO);

    /* Children that were done in time have a group that was. */
    c = (struct child){.sleep_ns = 0};
    EXPECT_EQ(open_group(&g, RADDLE_FAIL_FAST, raddle_in(RADDLE_S(60))), 0);
    EXPECT_EQ(raddle_spawn(&g, NULL, child, &c, NULL), 0);
    EXPECT_EQ(raddle_group_close(&g, 8), 8);
    return 0;
}

RuntimeTest(group, a_deadline_is_quiet_if_asked_and_second_to_a_failure)
{
    cr_assert_eq(test_run(deadline_kinds, NULL), 0);
}
