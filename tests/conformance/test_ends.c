/*
 * tests/conformance/test_ends.c - how tasks and whole programs come to their end: for which reason, asked for from deep
 * inside, and with generators open.
 */
#define _GNU_SOURCE
#include "tests/conformance/child.h"

#include <stdio.h>
#include <string.h>

TestSuite(ends, .timeout = 60);

/* The reason. */

/* Ends by what cancels it, and then knows why; who joins it is told the same. */
static void expect_reason(raddle_task *task, const char *reason)
{
    struct raddle_outcome outcome = {.kind = RADDLE_PENDING};

    EXPECT_EQ(raddle_join(task, &outcome), 0);
    EXPECT_EQ(outcome.kind, RADDLE_CANCELLED);
    EXPECT_STR(raddle_task_reason(task), reason);
    raddle_task_unref(task);
}

/* H8 TC38 */
Conform(ends, a_joiner_learns_why_the_task_was_cancelled_after_who_said_so_has_gone)
{
    struct child c = {.sleep_ns = RADDLE_NEVER};
    char reason[] = "deploy of release 1.4.2, which is a longer reason than most";
    struct raddle_group g;
    raddle_task *task;

    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    SPAWN(&g, &task, child, &c);
    test_let_park_for(task, "a point in time");
    EXPECT(raddle_task_reason(task) == NULL);
    EXPECT_EQ(raddle_task_cancel(task, reason), 0);
    EXPECT(raddle_task_cancel(task, "the second") <= 0); /* it may have ended */
    EXPECT_EQ(raddle_join(task, NULL), 0);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    memset(reason, '-', sizeof(reason) - 1);
    expect_reason(task, "deploy of release 1.4.2, which is a longer reason than most");
    return 0;
}

static int sleeps_in_a_group(void *arg)
{
    struct child c = {.sleep_ns = RADDLE_NEVER};
    struct raddle_group g;

    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    SPAWN(&g, (raddle_task **)arg, child, &c);
    return raddle_group_close(&g, 0);
}

/* H8 */
Conform(ends, the_reason_goes_down_to_the_children_whatever_was_cancelled)
{
    struct child c = {.sleep_ns = RADDLE_NEVER}, fails = {.sleep_ns = SHORT, .rc = -EIO};
    raddle_task *task, *below = NULL;
    struct raddle_scope scope;
    struct raddle_group g;

    /* The group. */
    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    SPAWN(&g, &task, sleeps_in_a_group, &below);
    test_let_park_for(task, "the tasks of its group");
    raddle_group_cancel(&g, "the group");
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    expect_reason(task, "the group");
    expect_reason(below, "the group");

    /* A scope around it; a deadline; a sibling that fails. */
    raddle_scope_enter(&scope, 0, 0);
    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    SPAWN(&g, &task, child, &c);
    raddle_scope_cancel(&scope, "the scope");
    EXPECT_EQ(raddle_scope_leave(&scope, raddle_group_close(&g, 0)), 0);
    expect_reason(task, "the scope");

    OPEN(&g, .mode = RADDLE_FAIL_FAST, .deadline = raddle_in(SHORT));
    SPAWN(&g, &task, child, &c);
    EXPECT_EQ(raddle_group_close(&g, 0), -ETIMEDOUT);
    expect_reason(task, "deadline");

    OPEN(&g, .mode = RADDLE_FAIL_FAST);
    SPAWN(&g, &task, child, &c);
    SPAWN(&g, NULL, child, &fails);
    EXPECT_EQ(raddle_group_close(&g, 0), -EIO);
    expect_reason(task, "a task of its group failed");
    return 0;
}

static int fails_when_cancelled(void *arg)
{
    EXPECT_EQ(raddle_sleep_until(RADDLE_NEVER), -ECANCELED);
    return *(int *)arg;
}

/* H8 */
Conform(ends, who_was_cancelled_and_ended_otherwise_has_no_reason_nor_who_got_none)
{
    int results[] = {5, -EIO, -ECANCELED};
    struct raddle_group g;
    raddle_task *task;

    EXPECT(raddle_task_reason(NULL) == NULL);
    for (int i = 0; i < 3; i++) {
        OPEN(&g, .mode = RADDLE_COLLECT);
        SPAWN(&g, &task, fails_when_cancelled, &results[i]);
        EXPECT_EQ(raddle_task_cancel(task, i < 2 ? "enough" : NULL), 0);
        EXPECT_EQ(raddle_join(task, NULL), 0);
        EXPECT(raddle_task_reason(task) == NULL);
        raddle_task_unref(task);
        EXPECT_EQ(raddle_group_close(&g, 0), i == 1 ? -EIO : 0);
    }
    return 0;
}

/* The end of the program, asked for from deep inside. */

enum { LEVELS = 3, THE_END = -ECONNABORTED };

struct level {
    unsigned depth;
    struct child beside; /* cleans up when the end comes; the one of the second level fails at it */
    struct raddle_group_error errors[4];
    size_t error_count;
    int rc;
};

static int asks_for_the_end(void *arg)
{
    struct level *levels = arg;

    for (unsigned i = 0; i < LEVELS; i++)
        test_await(&levels[i].beside.began, 1);
    return THE_END;
}

static int goes_deeper(void *arg)
{
    struct level *level = arg;
    struct raddle_group g;

    level->beside.sleep_ns = RADDLE_NEVER;
    OPEN(&g, .errors = level->errors, .max_errors = 4);
    SPAWN(&g, NULL, child, &level->beside);
    if (level->depth + 1 < LEVELS)
        SPAWN(&g, NULL, goes_deeper, level + 1);
    else
        SPAWN(&g, NULL, asks_for_the_end, level - level->depth);
    level->rc = raddle_group_close(&g, raddle_sleep_until(RADDLE_NEVER));
    level->error_count = raddle_group_errors(&g);
    return level->rc;
}

/* I5 */
RuntimeTest(ends, a_child_ends_the_program_by_failing_and_no_failure_beside_it_is_lost)
{
    struct level levels[LEVELS] = {{.depth = 0}, {.depth = 1}, {.depth = 2}};

    levels[1].beside.cleanup_rc = -EIO;
    cr_assert_eq(test_run(goes_deeper, levels), THE_END);
    for (unsigned i = 0; i < LEVELS; i++) {
        cr_assert_eq(levels[i].rc, THE_END);
        cr_assert_eq(levels[i].beside.ended, 1);
        cr_assert_eq(levels[i].errors[0].rc, THE_END);
        cr_assert_eq(levels[i].error_count, i == 1 ? 2 : 1);
    }
    cr_assert_eq(levels[1].errors[1].rc, -EIO);
    /* Nothing is the worse for it: there can be another run. */
    cr_assert_eq(test_run(test_nothing, NULL), 0);
}

/* Generators that are open when the program ends. */

struct log {
    raddle_task *task; /* in which they are used */
    int order[4], count;
    rdl_atomic(unsigned) begun;
    bool elsewhere;
};

struct numbers {
    struct log *log;
    int number;
};

/* Says that it has been closed, and by whom, after a wait. */
static int counts(raddle_gen *gen, void *arg)
{
    struct numbers *n = arg;
    struct raddle_scope shield;
    int rc = 0;

    while (rc == 0)
        rc = raddle_gen_yield(gen, n, NULL);
    raddle_scope_enter(&shield, 0, RADDLE_SHIELD);
    EXPECT_EQ(raddle_scope_leave(&shield, raddle_sleep(SHORT)), 0);
    n->log->elsewhere |= raddle_self() != n->log->task;
    n->log->order[n->log->count++] = n->number;
    return n->number == 2 ? -EIO : rc;
}

static int uses_two(void *arg)
{
    struct log *log = arg;
    struct numbers first = {log, 1}, second = {log, 2}, third = {log, 3};
    raddle_auto(gen) raddle_gen *a = NULL;
    raddle_auto(gen) raddle_gen *b = NULL;
    raddle_auto(gen) raddle_gen *never = NULL;
    void *item;

    log->task = raddle_self();
    EXPECT_EQ(raddle_gen_open(&a, counts, &first, NULL), 0);
    EXPECT_EQ(raddle_gen_open(&b, counts, &second, NULL), 0);
    EXPECT_EQ(raddle_gen_open(&never, counts, &third, NULL), 0);
    EXPECT_EQ(raddle_gen_next(a, NULL, &item), 1);
    EXPECT_EQ(raddle_gen_next(b, NULL, &item), 1);
    rdl_atomic_store_release(&log->begun, 1u);
    return raddle_sleep_until(RADDLE_NEVER);
}

static int leaves_them_open(void *arg)
{
    struct log *log = arg;

    EXPECT_EQ(raddle_spawn(raddle_background(), NULL, uses_two, log, NULL), 0);
    test_await(&log->begun, 1);
    return 7;
}

static void note_report(const char *line, void *arg)
{
    snprintf(arg, 256, "%s", line);
}

/* A6 */
RuntimeTest(ends, the_end_of_a_run_closes_the_generators_of_its_tasks_in_these_and_reports_failures)
{
    static char reported[256];
    struct log log = {.count = 0};

    raddle_on_report(note_report, reported);
    cr_assert_eq(test_run(leaves_them_open, &log), 7);
    raddle_on_report(NULL, NULL);
    /* The innermost first; the third had not begun, and isn't begun for that. */
    cr_assert_eq(log.count, 2);
    cr_assert(log.order[0] == 2 && log.order[1] == 1);
    cr_assert_not(log.elsewhere);
    cr_assert(strstr(reported, "counts"), "%s", reported);
}
