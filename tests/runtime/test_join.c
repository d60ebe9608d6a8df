/*
 * tests/runtime/test_join.c - waiting for a task's end: before it, after it, together, in vain.
 */
#define _GNU_SOURCE
#include "tests/support/fixture.h"

#include <errno.h>
#include <pthread.h>

TestSuite(join, .timeout = 30);

enum { SHORT = 5 * 1000000 };

RuntimeTest(join, outside_a_task_nothing_is_joined)
{
    cr_assert_eq(raddle_join(NULL, NULL), -EINVAL);
}

static int remembers_self(void *arg)
{
    *(raddle_task **)arg = raddle_task_ref(raddle_self());
    EXPECT_EQ(raddle_join(NULL, NULL), -EINVAL);
    return 3;
}

RuntimeTest(join, outside_a_task_it_is_eperm_even_for_an_ended_one)
{
    struct raddle_outcome outcome = {.rc = 99};
    raddle_task *task = NULL;

    cr_assert_eq(test_run(remembers_self, &task), 3);
    cr_assert_eq(raddle_join(task, &outcome), -EPERM);
    cr_assert_eq(outcome.rc, 99);
    raddle_task_unref(task);
}

static int sleeps_then(void *arg)
{
    int rc = raddle_sleep(SHORT);

    return rc < 0 ? rc : *(int *)arg;
}

static int before_and_after(void *arg)
{
    struct raddle_outcome outcome = {.kind = RADDLE_PENDING};
    struct raddle_group g;
    raddle_task *task;
    int value = 21;

    (void)arg;
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, &task, sleeps_then, &value, NULL), 0);
    for (int i = 0; i < 3; i++) {
        outcome.kind = RADDLE_PENDING;
        EXPECT_EQ(raddle_join(task, &outcome), 0);
        EXPECT_EQ(outcome.kind, RADDLE_OK);
        EXPECT_EQ(outcome.rc, 21);
        EXPECT_EQ(raddle_join(task, NULL), 0);
    }
    raddle_task_unref(task);
    return raddle_group_close(&g, 0);
}

RuntimeTest(join, works_before_the_end_and_any_number_of_times_after_it)
{
    cr_assert_eq(test_run(before_and_after, NULL), 0);
}

struct joiner {
    raddle_task *target;
    int rc, order, *next;
};

static int joiner(void *arg)
{
    struct joiner *j = arg;
    struct raddle_outcome outcome = {.kind = RADDLE_PENDING};

    j->rc = raddle_join(j->target, &outcome);
    EXPECT_EQ(outcome.kind != RADDLE_PENDING, j->rc == 0);
    if (j->next)
        j->order = (*j->next)++;
    return j->rc;
}

static int many_joiners(void *arg)
{
    enum { COUNT = 50 };
    struct joiner j[COUNT];
    struct raddle_group g;
    raddle_task *target;
    int value = 1;

    (void)arg;
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, &target, sleeps_then, &value, NULL), 0);
    for (int i = 0; i < COUNT; i++) {
        j[i] = (struct joiner){.target = target, .rc = 77};
        EXPECT_EQ(raddle_spawn(&g, NULL, joiner, &j[i], NULL), 0);
    }
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    for (int i = 0; i < COUNT; i++)
        EXPECT_EQ(j[i].rc, 0);
    raddle_task_unref(target);
    return 0;
}

RuntimeTest(join, any_number_of_tasks_wait_for_one)
{
    cr_assert_eq(test_run(many_joiners, NULL), 0);
}

static int ordered_joiners(void *arg)
{
    enum { COUNT = 10 };
    struct joiner j[COUNT];
    struct raddle_group g;
    raddle_task *target;
    int value = 1, next = 0;

    (void)arg;
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, &target, sleeps_then, &value, NULL), 0);
    for (int i = 0; i < COUNT; i++) {
        j[i] = (struct joiner){.target = target, .next = &next};
        EXPECT_EQ(raddle_spawn(&g, NULL, joiner, &j[i], NULL), 0);
    }
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    for (int i = 0; i < COUNT; i++)
        EXPECT_EQ(j[i].order, i);
    raddle_task_unref(target);
    return 0;
}

RuntimeTest(join, on_a_lone_loop_joiners_go_on_in_the_order_in_which_they_came)
{
    cr_assert_eq(test_run_on(1, ordered_joiners, NULL), 0);
}

static int cancelled_joiner(void *arg)
{
    struct raddle_outcome outcome = {.kind = RADDLE_PENDING};
    struct joiner j[3];
    raddle_task *target, *tasks[3];
    struct raddle_group g;

    (void)arg;
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, &target, test_sleep_forever, NULL, NULL), 0);
    for (int i = 0; i < 3; i++) {
        j[i] = (struct joiner){.target = target, .rc = 77};
        EXPECT_EQ(raddle_spawn(&g, &tasks[i], joiner, &j[i], NULL), 0);
        test_let_park_for(tasks[i], "the end of a task");
    }
    /* The one in the middle leaves the others where they are, and the target alone. */
    EXPECT_EQ(raddle_task_cancel(tasks[1], NULL), 0);
    EXPECT_EQ(raddle_join(tasks[1], &outcome), 0);
    EXPECT_EQ(outcome.kind, RADDLE_CANCELLED);
    EXPECT_EQ(j[1].rc, -ECANCELED);
    EXPECT_EQ(raddle_outcome_of(target, &outcome), -EINPROGRESS);
    EXPECT_EQ(raddle_outcome_of(tasks[0], &outcome), -EINPROGRESS);
    EXPECT_EQ(raddle_task_cancel(tasks[2], NULL), 0);
    EXPECT_EQ(raddle_task_cancel(tasks[0], NULL), 0);
    EXPECT_EQ(raddle_task_cancel(target, NULL), 0);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    for (int i = 0; i < 3; i++)
        raddle_task_unref(tasks[i]);
    raddle_task_unref(target);
    return 0;
}

RuntimeTest(join, one_that_is_cancelled_leaves_the_others_and_the_target_alone)
{
    cr_assert_eq(test_run(cancelled_joiner, NULL), 0);
}

static int with_deadline(void *arg)
{
    struct raddle_outcome outcome = {.rc = 99};
    struct raddle_scope s;
    struct raddle_group g;
    raddle_task *task;

    (void)arg;
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, &task, test_sleep_forever, NULL, NULL), 0);
    raddle_scope_enter(&s, raddle_in(SHORT), 0);
    EXPECT_EQ(raddle_scope_leave(&s, raddle_join(task, &outcome)), -ETIMEDOUT);
    EXPECT_EQ(outcome.rc, 99);
    EXPECT_EQ(raddle_task_cancel(task, NULL), 0);
    raddle_scope_enter(&s, 0, 0);
    raddle_scope_cancel(&s, NULL);
    EXPECT_EQ(raddle_join(task, &outcome), -ECANCELED);
    EXPECT_EQ(outcome.rc, 99);
    EXPECT_EQ(raddle_scope_leave(&s, 0), 0);
    raddle_task_unref(task);
    return raddle_group_close(&g, 0);
}

RuntimeTest(join, a_deadline_and_a_cancelled_scope_end_it)
{
    cr_assert_eq(test_run(with_deadline, NULL), 0);
}

/* Who waits for oneself, or for who waits for one, would wait for ever. */
struct ancestors {
    raddle_task *grandparent, *parent;
};

static int joins_ancestors(void *arg)
{
    struct ancestors *a = arg;

    EXPECT_EQ(raddle_join(raddle_self(), NULL), -EDEADLK);
    EXPECT_EQ(raddle_join(a->parent, NULL), -EDEADLK);
    EXPECT_EQ(raddle_join(a->grandparent, NULL), -EDEADLK);
    return 0;
}

static int parent(void *arg)
{
    struct ancestors *a = arg;
    struct raddle_group g;

    a->parent = raddle_self();
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, NULL, joins_ancestors, a, NULL), 0);
    return raddle_group_close(&g, 0);
}

static int grandparent(void *arg)
{
    struct ancestors a = {.grandparent = raddle_self()};
    struct raddle_group g;

    (void)arg;
    EXPECT_EQ(raddle_join(raddle_self(), NULL), -EDEADLK);
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, NULL, parent, &a, NULL), 0);
    return raddle_group_close(&g, 0);
}

RuntimeTest(join, of_oneself_or_an_ancestor_is_a_deadlock)
{
    cr_assert_eq(test_run(grandparent, NULL), 0);
}

static int chain_link(void *arg)
{
    return arg ? raddle_join(arg, NULL) : raddle_sleep(SHORT);
}

static int chain(void *arg)
{
    enum { LENGTH = 100 };
    raddle_task *tasks[LENGTH];
    struct raddle_group g;

    (void)arg;
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (int i = 0; i < LENGTH; i++)
        EXPECT_EQ(raddle_spawn(&g, &tasks[i], chain_link, i ? tasks[i - 1] : NULL, NULL), 0);
    EXPECT_EQ(raddle_join(tasks[LENGTH - 1], NULL), 0);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    for (int i = 0; i < LENGTH; i++)
        raddle_task_unref(tasks[i]);
    return 0;
}

RuntimeTest(join, a_chain_of_them_ends_one_after_the_other)
{
    cr_assert_eq(test_run(chain, NULL), 0);
}
