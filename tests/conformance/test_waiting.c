/*
 * tests/conformance/test_waiting.c - waiting for many, row by row: gather, wait, race, select.
 *
 * Above each case stand the rows and cases of asyncio's contract that it is for.
 */
#define _GNU_SOURCE
#include "tests/conformance/child.h"

#include <limits.h>
#include <string.h>

TestSuite(waiting, .timeout = 60);

enum { MANY = 40 };

/* A task that has ended, as its waiters know, leaves its group a moment later. */
static size_t live_soon(struct raddle_group *group, size_t expected)
{
    while (raddle_group_live(group) > expected)
        EXPECT_EQ(raddle_sleep(SHORT), 0);
    return raddle_group_live(group);
}

static struct raddle_call call(struct child *c)
{
    return (struct raddle_call){.fn = child, .arg = c};
}

/* K1 K2 TC60 */
Conform(waiting, gather_tells_all_outcomes_in_the_order_of_its_arguments)
{
    struct child c[4] = {{.sleep_ns = 3 * (int64_t)SHORT, .rc = 3},
                         {.sleep_ns = SHORT, .rc = 1},
                         {.sleep_ns = 0, .rc = -EIO},
                         {.sleep_ns = 2 * (int64_t)SHORT, .rc = 2}};
    struct raddle_call calls[4] = {call(&c[0]), call(&c[1]), call(&c[2]), call(&c[3])};
    struct raddle_group_options collect = {.mode = RADDLE_COLLECT};

    EXPECT_EQ(raddle_gather(calls, 4, &collect), -EIO);
    for (int i = 0; i < 4; i++) {
        EXPECT_EQ(calls[i].outcome.kind, i == 2 ? RADDLE_FAILED : RADDLE_OK);
        EXPECT_EQ(calls[i].outcome.rc, c[i].rc);
        EXPECT_EQ(c[i].ended, 1);
    }
    c[2].rc = 9;
    EXPECT_EQ(raddle_gather(calls, 4, NULL), 0);
    EXPECT_EQ(calls[2].outcome.rc, 9);
    EXPECT_EQ(raddle_gather(NULL, 0, NULL), 0);
    return 0;
}

/* K1: ≠ by default the others don't go on, as in a group. */
/* K1 */
Conform(waiting, gather_cancels_the_others_at_the_first_failure_unless_it_collects)
{
    struct child c[3] = {{.sleep_ns = RADDLE_NEVER},
                         {.sleep_ns = SHORT, .rc = -EIO},
                         {.sleep_ns = RADDLE_NEVER, .cleanup_rc = 8}};
    struct raddle_call calls[3] = {call(&c[0]), call(&c[1]), call(&c[2])};

    EXPECT_EQ(raddle_gather(calls, 3, NULL), -EIO);
    EXPECT_EQ(calls[0].outcome.kind, RADDLE_CANCELLED);
    EXPECT_EQ(calls[1].outcome.kind, RADDLE_FAILED);
    EXPECT_EQ(calls[2].outcome.kind, RADDLE_OK);
    EXPECT_EQ(calls[2].outcome.rc, 8);
    return 0;
}

/* K1: what asyncio's gather does at the first failure, the caller can have: the others are its own, and go on. */
/* K1 K4 */
Conform(waiting, a_wait_for_the_first_error_leaves_the_others_running)
{
    struct child c[2] = {{.sleep_ns = RADDLE_NEVER, .cleanup_rc = 4},
                         {.sleep_ns = SHORT, .rc = -EIO}};
    struct raddle_task *tasks[2];
    struct raddle_group g;
    bool done[2];

    OPEN(&g, .mode = RADDLE_COLLECT);
    for (int i = 0; i < 2; i++)
        SPAWN(&g, &tasks[i], child, &c[i]);
    EXPECT_EQ(raddle_wait(tasks, 2, RADDLE_ANY_ERROR, done), 1);
    EXPECT(!done[0] && done[1]);
    EXPECT_EQ(live_soon(&g, 1), 1);
    EXPECT_EQ(raddle_task_cancel(tasks[0], NULL), 0);
    EXPECT_EQ(raddle_wait(tasks, 2, RADDLE_ALL, done), 2);
    EXPECT(done[0] && done[1]);
    for (int i = 0; i < 2; i++)
        raddle_task_unref(tasks[i]);
    EXPECT_EQ(raddle_group_close(&g, 0), -EIO);
    return 0;
}

static int fails_after(void *arg)
{
    for (volatile unsigned i = *(unsigned *)arg; i; i--)
        ;
    return -EIO;
}

/* It fails while we look, while we get into line, while we go to sleep. */
/* K4 */
Conform(waiting, an_error_at_any_moment_ends_a_wait_for_the_first_one)
{
    for (unsigned round = 0; round < 3000; round++) {
        unsigned there = round % 97 * 3, here = round % 89 * 4;
        struct raddle_task *task;
        struct raddle_group g;
        bool done;

        OPEN(&g, .mode = RADDLE_COLLECT);
        SPAWN(&g, &task, fails_after, &there);
        for (volatile unsigned i = here; i; i--)
            ;
        EXPECT_EQ(raddle_wait(&task, 1, RADDLE_ANY_ERROR, &done), 1);
        EXPECT(done);
        raddle_task_unref(task);
        EXPECT_EQ(raddle_group_close(&g, 0), -EIO);
    }
    return 0;
}

/* Of so many calls so many at a time. */
struct counted {
    rdl_atomic(unsigned) running, most;
};

static int counted(void *arg)
{
    struct counted *c = arg;
    unsigned running = rdl_atomic_fetch_add_acq_rel(&c->running, 1u) + 1;
    unsigned most = rdl_atomic_load_relaxed(&c->most);

    while (running > most && !rdl_atomic_cas_relaxed(&c->most, &most, running))
        ;
    EXPECT_EQ(raddle_sleep(SHORT), 0);
    rdl_atomic_fetch_sub_acq_rel(&c->running, 1u);
    return 0;
}

/* K1 I10 */
Conform(waiting, gather_makes_no_more_calls_at_a_time_than_it_is_told)
{
    struct counted c = {.running = 0};
    struct raddle_call calls[MANY];

    for (int i = 0; i < MANY; i++)
        calls[i] = (struct raddle_call){.fn = counted, .arg = &c};
    EXPECT_EQ(raddle_gather(calls, MANY, &(struct raddle_group_options){.max_live = 5}), 0);
    EXPECT_EQ(c.most, 5);
    for (int i = 0; i < MANY; i++)
        EXPECT_EQ(calls[i].outcome.kind, RADDLE_OK);
    return 0;
}

/* K2 K3 */
Conform(waiting, a_gather_that_is_cancelled_cancels_its_calls_and_says_so)
{
    struct child c[2] = {{.sleep_ns = RADDLE_NEVER}, {.sleep_ns = 0, .rc = 5}};
    struct raddle_call calls[2] = {call(&c[0]), call(&c[1])};
    struct raddle_group_options collect = {.mode = RADDLE_COLLECT};
    struct raddle_scope limit;

    raddle_scope_enter(&limit, raddle_in(LONG), 0);
    EXPECT_EQ(raddle_gather(calls, 2, &collect), -ECANCELED);
    EXPECT_EQ(calls[0].outcome.kind, RADDLE_CANCELLED);
    EXPECT_EQ(calls[1].outcome.rc, 5);
    /* A cancelled one begins none. */
    EXPECT_EQ(raddle_gather(calls, 2, &collect), -ECANCELED);
    EXPECT_EQ(calls[0].outcome.kind, RADDLE_PENDING);
    EXPECT_EQ(raddle_scope_leave(&limit, -ECANCELED), -ETIMEDOUT);
    EXPECT_EQ(c[0].began, 1);

    collect.deadline = raddle_in(LONG);
    EXPECT_EQ(raddle_gather(calls, 2, &collect), -ETIMEDOUT);
    return 0;
}

static int cancels_itself(void *arg)
{
    (void)arg;
    EXPECT_EQ(raddle_task_cancel(raddle_self(), "by itself"), 0);
    return raddle_yield();
}

/* K3 */
Conform(waiting, one_cancelled_call_of_a_gather_is_an_outcome_and_no_failure)
{
    struct child c = {.sleep_ns = SHORT, .rc = 2};
    struct raddle_call calls[2] = {{.fn = cancels_itself}, call(&c)};

    EXPECT_EQ(raddle_gather(calls, 2, NULL), 0);
    EXPECT_EQ(calls[0].outcome.kind, RADDLE_CANCELLED);
    EXPECT_EQ(calls[1].outcome.rc, 2);
    return 0;
}

/* K1 K6 */
Conform(waiting, calls_that_make_no_sense_are_not_begun)
{
    struct child c = {.sleep_ns = 0};
    struct raddle_call calls[2] = {call(&c), {.fn = NULL}};
    struct raddle_group_options bad = {.scope_flags = 64};
    size_t winner = 7;

    EXPECT_EQ(raddle_gather(calls, 2, NULL), -EINVAL);
    EXPECT_EQ(raddle_gather(NULL, 1, NULL), -EINVAL);
    EXPECT_EQ(raddle_gather(calls, 1, &bad), -EINVAL);
    EXPECT_EQ(raddle_race(calls, 2, 0, &winner), -EINVAL);
    EXPECT_EQ(raddle_race(calls, 0, 0, &winner), -EINVAL);
    EXPECT_EQ(raddle_race(NULL, 1, 0, &winner), -EINVAL);
    EXPECT_EQ(raddle_race(calls, 1, -1, &winner), -EINVAL);
    EXPECT_EQ(c.began, 0);
    EXPECT_EQ(winner, 7);
    return 0;
}

/* K1 K4 K6 */
RuntimeTest(waiting, outside_a_task_it_is_not_permitted)
{
    struct child c = {.sleep_ns = 0};
    struct raddle_call one = call(&c);

    cr_assert_eq(raddle_gather(&one, 1, NULL), -EPERM);
    cr_assert_eq(raddle_race(&one, 1, 0, NULL), -EPERM);
    cr_assert_eq(c.began, 0);
}

/* K4: ≠ no timeout of its own: a quiet scope does that. */
/* K4 TC61 */
Conform(waiting, a_wait_for_any_flags_all_that_have_ended)
{
    struct child c[3] = {{.sleep_ns = 0}, {.sleep_ns = 0, .rc = -EIO}, {.sleep_ns = RADDLE_NEVER}};
    struct raddle_task *tasks[4];
    struct raddle_group g;
    bool done[4];

    OPEN(&g, .mode = RADDLE_COLLECT);
    for (int i = 0; i < 3; i++)
        SPAWN(&g, &tasks[i], child, &c[i]);
    tasks[3] = tasks[0]; /* twice is once */
    EXPECT_EQ(raddle_wait(&tasks[1], 1, RADDLE_ALL, NULL), 1);
    EXPECT_EQ(raddle_wait(tasks, 1, RADDLE_ALL, NULL), 1);
    EXPECT_EQ(raddle_wait(tasks, 4, RADDLE_ANY, done), 3);
    EXPECT(done[0] && done[1] && !done[2] && done[3]);
    EXPECT_EQ(raddle_task_cancel(tasks[2], NULL), 0);
    EXPECT_EQ(raddle_wait(tasks, 4, RADDLE_ALL, done), 4);
    EXPECT(done[0] && done[1] && done[2] && done[3]);
    for (int i = 0; i < 3; i++)
        raddle_task_unref(tasks[i]);
    EXPECT_EQ(raddle_group_close(&g, 0), -EIO);
    return 0;
}

/* K4 TC61 */
Conform(waiting, a_cancelled_task_is_no_error_and_a_time_limit_cancels_none)
{
    struct child c[3] = {
        {.sleep_ns = RADDLE_NEVER}, {.sleep_ns = 0, .rc = 1}, {.sleep_ns = RADDLE_NEVER}};
    struct raddle_task *tasks[3];
    struct raddle_scope limit;
    struct raddle_group g;
    bool done[3] = {true, false, true};

    OPEN(&g, .mode = RADDLE_COLLECT);
    for (int i = 0; i < 3; i++)
        SPAWN(&g, &tasks[i], child, &c[i]);
    EXPECT_EQ(raddle_task_cancel(tasks[0], NULL), 0);
    raddle_scope_enter(&limit, raddle_in(LONG), RADDLE_QUIET);
    EXPECT_EQ(raddle_wait(tasks, 3, RADDLE_ANY_ERROR, done), -ECANCELED);
    EXPECT_EQ(raddle_scope_leave(&limit, -ECANCELED), 0);
    EXPECT(done[0] && done[1] && !done[2]);
    EXPECT_EQ(c[2].ended, 0);
    /* Without an error it is all of them. */
    EXPECT_EQ(raddle_task_cancel(tasks[2], NULL), 0);
    EXPECT_EQ(raddle_wait(tasks, 3, RADDLE_ANY_ERROR, done), 3);
    for (int i = 0; i < 3; i++)
        raddle_task_unref(tasks[i]);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    return 0;
}

struct waiter {
    raddle_task **tasks;
    size_t count;
    enum raddle_when when;
    int rc;
    bool done[MANY];
};

static int waiter(void *arg)
{
    struct waiter *w = arg;

    w->rc = raddle_wait(w->tasks, w->count, w->when, w->done);
    return 0;
}

/* K4 TC61 */
Conform(waiting, a_wait_that_is_cancelled_leaves_the_tasks_and_other_waiters_alone)
{
    struct child c[MANY];
    struct raddle_task *tasks[MANY], *waiters[4];
    struct waiter w[4];
    struct raddle_group g;

    memset(c, 0, sizeof(c));
    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    for (int i = 0; i < MANY; i++) {
        c[i].sleep_ns = RADDLE_NEVER;
        c[i].cleanup_rc = 1;
        SPAWN(&g, &tasks[i], child, &c[i]);
    }
    for (int i = 0; i < 4; i++) {
        w[i] = (struct waiter){.tasks = tasks,
                               .count = i < 2 ? MANY : 3,
                               .when = i % 2 ? RADDLE_ANY : RADDLE_ANY_ERROR};
        SPAWN(&g, &waiters[i], waiter, &w[i]);
        test_let_park_for(waiters[i], "one of several tasks");
    }
    EXPECT_EQ(raddle_task_cancel(waiters[0], NULL), 0);
    EXPECT_EQ(raddle_task_cancel(waiters[3], NULL), 0);
    EXPECT_EQ(raddle_wait(waiters, 4, RADDLE_ANY, NULL) > 0, true);
    EXPECT_EQ(raddle_wait(&waiters[3], 1, RADDLE_ANY, NULL), 1);
    EXPECT_EQ(raddle_wait(&waiters[0], 1, RADDLE_ANY, NULL), 1);
    EXPECT(w[0].rc == -ECANCELED && w[3].rc == -ECANCELED);
    EXPECT_EQ(live_soon(&g, MANY + 2), MANY + 2);
    for (int i = 0; i < MANY; i++)
        EXPECT_EQ(raddle_task_cancel(tasks[i], NULL), 0);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    EXPECT_EQ(w[2].rc, 3);
    EXPECT_IN(w[1].rc, 1, MANY + 1);
    for (int i = 0; i < MANY; i++)
        raddle_task_unref(tasks[i]);
    for (int i = 0; i < 4; i++)
        raddle_task_unref(waiters[i]);
    return 0;
}

static int waits_for_ancestor(void *arg)
{
    return raddle_wait(arg, 1, RADDLE_ANY, NULL) == -EDEADLK ? 0 : -EIO;
}

/* K4 G8 */
Conform(waiting, bad_arguments_and_waits_without_an_end_are_refused)
{
    struct raddle_task *self = raddle_self(), *nobody = NULL;
    struct raddle_group g;

    EXPECT_EQ(raddle_wait(&self, 0, RADDLE_ALL, NULL), -EINVAL);
    EXPECT_EQ(raddle_wait(&self, (size_t)INT_MAX + 1, RADDLE_ALL, NULL), -EINVAL);
    EXPECT_EQ(raddle_wait(NULL, 1, RADDLE_ALL, NULL), -EINVAL);
    EXPECT_EQ(raddle_wait(&nobody, 1, RADDLE_ALL, NULL), -EINVAL);
    EXPECT_EQ(raddle_wait(&self, 1, (enum raddle_when)3, NULL), -EINVAL);
    EXPECT_EQ(raddle_wait(&self, 1, RADDLE_ALL, NULL), -EDEADLK);
    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    SPAWN(&g, NULL, waits_for_ancestor, &self);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    return 0;
}

/* When each call of a race began and ended. */
struct contestant {
    struct child child;
    raddle_time began, ended;
};

static int contestant(void *arg)
{
    struct contestant *c = arg;
    int rc;

    c->began = raddle_now();
    rc = child(&c->child);
    c->ended = raddle_now();
    return rc;
}

/* K6 TC58 */
Conform(waiting, a_race_starts_the_next_after_a_failure_or_a_while_and_cancels_the_losers)
{
    enum { STAGGER = 15 * LONG };
    struct contestant c[4] = {{.child = {.sleep_ns = SHORT, .rc = -EIO}},
                              {.child = {.sleep_ns = RADDLE_NEVER}},
                              {.child = {.sleep_ns = SHORT, .rc = 33}},
                              {.child = {.sleep_ns = 0, .rc = 44}}};
    struct raddle_call calls[4];
    size_t winner = 9;

    for (int i = 0; i < 4; i++)
        calls[i] = (struct raddle_call){.fn = contestant, .arg = &c[i]};
    EXPECT_EQ(raddle_race(calls, 4, STAGGER, &winner), 33);
    EXPECT_EQ(winner, 2);
    EXPECT(c[1].began >= c[0].ended);
    /* The while is counted from the start of c[1], not from its first step. */
    EXPECT(c[2].began >= c[0].ended + STAGGER);
    EXPECT(c[1].child.cancelled && c[1].ended >= c[2].began + SHORT);
    EXPECT_EQ(calls[0].outcome.rc, -EIO);
    EXPECT_EQ(calls[1].outcome.kind, RADDLE_CANCELLED);
    EXPECT_EQ(calls[2].outcome.rc, 33);
    if (c[3].child.began == 0) /* the winner may have taken longer than the while */
        EXPECT_EQ(calls[3].outcome.kind, RADDLE_PENDING);
    EXPECT(!raddle_cancelled());
    return 0;
}

/* K6 TC58 */
Conform(waiting, a_race_that_all_lose_tells_every_failure)
{
    static const int64_t staggers[] = {0, RADDLE_NEVER};
    struct child c[3] = {{.sleep_ns = LONG, .rc = -EIO},
                         {.sleep_ns = SHORT, .rc = -EPIPE},
                         {.sleep_ns = 2 * (int64_t)LONG, .rc = -ENOENT}};
    size_t winner = 9;

    for (int i = 0; i < 2; i++) {
        struct raddle_call calls[3] = {call(&c[0]), call(&c[1]), call(&c[2])};
        EXPECT_EQ(raddle_race(calls, 3, staggers[i], &winner), i == 0 ? -EPIPE : -EIO);
        for (int k = 0; k < 3; k++)
            EXPECT_EQ(calls[k].outcome.rc, c[k].rc);
    }
    EXPECT_EQ(winner, 9);
    return 0;
}

/* K6 */
Conform(waiting, a_race_that_is_cancelled_leaves_no_call_behind)
{
    struct child c[3] = {
        {.sleep_ns = RADDLE_NEVER}, {.sleep_ns = RADDLE_NEVER}, {.sleep_ns = RADDLE_NEVER}};
    struct raddle_call calls[3] = {call(&c[0]), call(&c[1]), call(&c[2])};
    struct raddle_scope limit;
    size_t winner = 9;

    raddle_scope_enter(&limit, raddle_in(LONG), 0);
    EXPECT_EQ(raddle_race(calls, 3, SHORT, &winner), -ECANCELED);
    EXPECT_EQ(raddle_race(calls, 3, SHORT, &winner), -ECANCELED);
    EXPECT_EQ(raddle_scope_leave(&limit, -ECANCELED), -ETIMEDOUT);
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(c[i].ended, c[i].began);
    EXPECT_IN(c[0].ended, 1, 2);
    EXPECT_EQ(winner, 9);
    return 0;
}

/* K1 I10 */
Conform(waiting, a_race_in_which_all_are_cancelled_has_no_winner)
{
    struct raddle_call calls[2] = {{.fn = cancels_itself}, {.fn = cancels_itself}};
    size_t winner = 9;

    EXPECT_EQ(raddle_race(calls, 2, 0, &winner), -ECANCELED);
    EXPECT_EQ(winner, 9);
    return 0;
}

/* K7 TC63 */
Conform(waiting, a_select_takes_the_first_that_is_possible_and_none_if_there_is_none)
{
    struct child c = {.sleep_ns = 0, .rc = 6};
    struct raddle_outcome outcome = {.kind = RADDLE_PENDING};
    struct raddle_group g;
    raddle_task *task;

    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    SPAWN(&g, &task, child, &c);
    {
        struct raddle_case cases[] = {
            {.op = RADDLE_ON_TIME, .when = raddle_in(RADDLE_S(1000))},
            {.op = RADDLE_ON_TASK, .object = task, .item = &outcome},
            {.op = RADDLE_ON_TASK, .object = task},
        };
        EXPECT_EQ(raddle_select(cases, 1, RADDLE_SELECT_TRY), -EAGAIN);
        EXPECT_EQ(raddle_select(cases, 3, 0), 1);
        EXPECT_EQ(outcome.rc, 6);
    }
    raddle_task_unref(task);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    return 0;
}
