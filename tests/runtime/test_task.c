/*
 * tests/runtime/test_task.c - handles: who holds them, what they tell, and cancelling through them.
 */
#define _GNU_SOURCE
#include "tests/support/fixture.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

TestSuite(task, .timeout = 30);

enum { SHORT = 5 * 1000000 };

RuntimeTest(task, outside_a_task_there_is_no_self)
{
    struct raddle_outcome outcome;

    cr_assert_null(raddle_self());
    cr_assert_eq(raddle_outcome_of(NULL, &outcome), -EINVAL);
    cr_assert_eq(raddle_task_cancel(NULL, "nobody"), -EINVAL);
    raddle_task_unref(NULL);
}

static int looks_at_itself(void *arg)
{
    raddle_task **seen = arg;

    *seen = raddle_self();
    EXPECT(*seen);
    EXPECT(raddle_self() == *seen);
    EXPECT_EQ(raddle_sleep(1000), 0);
    EXPECT(raddle_self() == *seen);
    EXPECT_STR(raddle_task_name(*seen), "looks_at_itself");
    raddle_task_unref(raddle_task_ref(*seen));
    return 5;
}

static int compares_self(void *arg)
{
    raddle_task *self = raddle_self(), *seen = NULL, *task;
    struct raddle_group g;

    (void)arg;
    EXPECT(self);
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, &task, looks_at_itself, &seen, NULL), 0);
    EXPECT_EQ(raddle_join(task, NULL), 0);
    EXPECT(seen == task);
    EXPECT(raddle_self() == self);
    EXPECT_STR(raddle_task_name(self), "main");
    raddle_task_unref(task);
    return raddle_group_close(&g, 0);
}

RuntimeTest(task, self_is_the_handle_that_the_spawner_has)
{
    cr_assert_eq(test_run(compares_self, NULL), 0);
}

static int keeps_self(void *arg)
{
    *(raddle_task **)arg = raddle_task_ref(raddle_self());
    return 9;
}

RuntimeTest(task, a_handle_outlives_its_task_and_its_run)
{
    struct raddle_outcome outcome = {.kind = RADDLE_PENDING};
    raddle_task *task = NULL;

    cr_assert_eq(test_run(keeps_self, &task), 9);
    cr_assert_not_null(task);
    cr_assert_eq(raddle_outcome_of(task, &outcome), 0);
    cr_assert_eq(outcome.kind, RADDLE_OK);
    cr_assert_eq(outcome.rc, 9);
    cr_assert_str_eq(raddle_task_name(task), "main");
    cr_assert_eq(raddle_task_cancel(task, "too late"), -EALREADY);
    raddle_task_unref(task);
}

static int tells(void *arg)
{
    int rcs[] = {0, 17, -EIO, -ETIMEDOUT};
    struct raddle_outcome outcome = {.kind = RADDLE_PENDING, .rc = -1};
    struct raddle_group g;
    raddle_task *task;

    (void)arg;
    EXPECT_EQ(raddle_group_open(&g, &(struct raddle_group_options){.mode = RADDLE_COLLECT}), 0);
    for (unsigned i = 0; i < 4; i++) {
        EXPECT_EQ(raddle_spawn(&g, &task, test_return, &rcs[i], NULL), 0);
        EXPECT_EQ(raddle_join(task, &outcome), 0);
        EXPECT_EQ(outcome.kind, rcs[i] < 0 ? RADDLE_FAILED : RADDLE_OK);
        EXPECT_EQ(outcome.rc, rcs[i]);
        EXPECT_EQ(raddle_outcome_of(task, NULL), -EINVAL);
        EXPECT_EQ(raddle_outcome_of(task, &outcome), 0);
        EXPECT_EQ(outcome.rc, rcs[i]);
        raddle_task_unref(task);
    }
    EXPECT_EQ(raddle_spawn(&g, &task, test_sleep_forever, NULL, NULL), 0);
    outcome.rc = 1234;
    EXPECT_EQ(raddle_outcome_of(task, &outcome), -EINPROGRESS);
    EXPECT_EQ(outcome.rc, 1234);
    EXPECT_EQ(raddle_task_cancel(task, NULL), 0);
    EXPECT_EQ(raddle_join(task, &outcome), 0);
    EXPECT_EQ(outcome.kind, RADDLE_CANCELLED);
    EXPECT_EQ(outcome.rc, -ECANCELED);
    raddle_task_unref(task);
    return raddle_group_close(&g, 0);
}

RuntimeTest(task, an_outcome_tells_success_failure_and_cancellation)
{
    /* A failure that was read still counts for the group. */
    cr_assert_eq(test_run(tells, NULL), -EIO);
}

static int cancels_itself(void *arg)
{
    struct raddle_scope s;

    (void)arg;
    raddle_scope_enter(&s, 0, 0);
    EXPECT_EQ(raddle_task_cancel(raddle_self(), "myself"), 0);
    EXPECT_STR(raddle_cancel_reason(), "myself");
    EXPECT_EQ(raddle_yield(), -ECANCELED);
    EXPECT(!raddle_scope_cancelled(&s));
    EXPECT_EQ(raddle_scope_leave(&s, -ECANCELED), -ECANCELED);
    EXPECT_EQ(raddle_yield(), -ECANCELED);
    return 12;
}

static int self_cancel(void *arg)
{
    struct raddle_outcome outcome;
    struct raddle_group g;
    raddle_task *task;

    (void)arg;
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, &task, cancels_itself, NULL, NULL), 0);
    EXPECT_EQ(raddle_join(task, &outcome), 0);
    EXPECT_EQ(outcome.kind, RADDLE_OK);
    EXPECT_EQ(outcome.rc, 12);
    raddle_task_unref(task);
    return raddle_group_close(&g, 0);
}

RuntimeTest(task, one_that_cancels_itself_and_succeeds_has_succeeded)
{
    cr_assert_eq(test_run(self_cancel, NULL), 0);
}

struct reasons {
    rdl_atomic(unsigned) started;
    const char *seen;
    int waits;
};

static int notes_reason(void *arg)
{
    struct reasons *r = arg;

    rdl_atomic_store_release(&r->started, 1u);
    for (int i = 0; i < 3; i++)
        r->waits += raddle_sleep_until(RADDLE_NEVER) == -ECANCELED;
    r->seen = raddle_cancel_reason();
    return -ECANCELED;
}

static int cancel_before_start(void *arg)
{
    struct reasons r = {.seen = "none"};
    struct raddle_outcome outcome;
    struct raddle_group g;
    raddle_task *task;

    /* On a lone loop the child has not begun yet; in a team it may have. */
    (void)arg;
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, &task, notes_reason, &r, NULL), 0);
    EXPECT_EQ(raddle_task_cancel(task, "early"), 0);
    (void)raddle_task_cancel(task, "again"); /* it may have ended */
    EXPECT_EQ(raddle_join(task, &outcome), 0);
    EXPECT_EQ(outcome.kind, RADDLE_CANCELLED);
    EXPECT_STR(r.seen, "early");
    EXPECT_EQ(r.waits, 3);
    EXPECT_EQ(raddle_task_cancel(task, "late"), -EALREADY);
    raddle_task_unref(task);
    return raddle_group_close(&g, 0);
}

RuntimeTest(task, one_cancelled_before_it_begins_begins_and_sees_it)
{
    cr_assert_eq(test_run(cancel_before_start, NULL), 0);
}

static int no_reason(void *arg)
{
    struct reasons r = {.seen = "none"};
    struct raddle_group g;
    raddle_task *task;

    (void)arg;
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, &task, notes_reason, &r, NULL), 0);
    test_await(&r.started, 1);
    EXPECT_EQ(raddle_task_cancel(task, NULL), 0);
    (void)raddle_task_cancel(task, "second"); /* it may have ended */
    EXPECT_EQ(raddle_join(task, NULL), 0);
    EXPECT_STR(r.seen, NULL);
    raddle_task_unref(task);
    return raddle_group_close(&g, 0);
}

RuntimeTest(task, the_first_canceller_gives_the_reason_or_none)
{
    cr_assert_eq(test_run(no_reason, NULL), 0);
}

/* Two levels of groups below the cancelled one. */
static int grandchildren(void *arg)
{
    struct raddle_group g;

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(raddle_spawn(&g, NULL, notes_reason, &((struct reasons *)arg)[i], NULL), 0);
    return raddle_group_close(&g, 0);
}

static int cancels_family(void *arg)
{
    struct reasons r[3] = {{.seen = "none"}, {.seen = "none"}, {.seen = "none"}};
    struct raddle_outcome outcome;
    struct raddle_group g;
    raddle_task *task;

    (void)arg;
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, &task, grandchildren, r, NULL), 0);
    for (int i = 0; i < 3; i++)
        test_await(&r[i].started, 1);
    EXPECT_EQ(raddle_task_cancel(task, "the family"), 0);
    EXPECT_EQ(raddle_join(task, &outcome), 0);
    EXPECT_EQ(outcome.kind, RADDLE_CANCELLED);
    for (int i = 0; i < 3; i++)
        EXPECT_STR(r[i].seen, "the family");
    raddle_task_unref(task);
    EXPECT_EQ(raddle_yield(), 0);
    return raddle_group_close(&g, 0);
}

RuntimeTest(task, cancelling_one_cancels_the_tasks_that_its_groups_own)
{
    cr_assert_eq(test_run(cancels_family, NULL), 0);
}

/* Handles that are given back at every moment, by tasks and by threads. */
static void *unrefs(void *arg)
{
    struct raddle_outcome outcome;

    while (raddle_outcome_of(arg, &outcome) == -EINPROGRESS)
        ;
    raddle_task_unref(arg);
    return NULL;
}

static int gives_back(void *arg)
{
    struct raddle_group g;
    raddle_task *task;
    pthread_t thread;

    (void)arg;
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (int i = 0; i < 50; i++) {
        EXPECT_EQ(raddle_spawn(&g, &task, test_nothing, NULL, NULL), 0);
        raddle_task_unref(task);
        EXPECT_EQ(raddle_spawn(&g, &task, test_nothing, NULL, NULL), 0);
        EXPECT_EQ(pthread_create(&thread, NULL, unrefs, raddle_task_ref(task)), 0);
        EXPECT_EQ(raddle_yield(), 0);
        EXPECT_EQ(raddle_join(task, NULL), 0);
        raddle_task_unref(task);
        pthread_join(thread, NULL);
    }
    return raddle_group_close(&g, 0);
}

RuntimeTest(task, giving_back_a_handle_never_cancels)
{
    cr_assert_eq(test_run(gives_back, NULL), 0);
}

static int clean_errno(void *arg)
{
    (void)arg;
    return errno;
}

static int dirty_errno(void *arg)
{
    (void)arg;
    errno = 77;
    return 0;
}

static int errnos(void *arg)
{
    int (*fns[])(void *) = {dirty_errno, clean_errno};
    struct raddle_group g;
    raddle_task *task;

    (void)arg;
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (int i = 0; i < 2; i++) {
        struct raddle_outcome outcome;
        EXPECT_EQ(raddle_spawn(&g, &task, fns[i], NULL, NULL), 0);
        EXPECT_EQ(raddle_join(task, &outcome), 0);
        EXPECT_EQ(outcome.rc, 0);
        raddle_task_unref(task);
    }
    return raddle_group_close(&g, 0);
}

RuntimeTest(task, errno_of_a_new_one_is_its_own)
{
    cr_assert_eq(test_run_on(1, errnos, NULL), 0);
}
