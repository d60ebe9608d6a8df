/*
 * tests/conformance/test_exits.c - exit stacks and cleaning up: rows Z6 and Z7 of the contract, and TC36.
 */
#define _GNU_SOURCE
#include "tests/support/fixture.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

TestSuite(exits, .timeout = 60);

/* What was called, and told. */
static char log_text[256];

static void log_clear(void)
{
    log_text[0] = 0;
}

struct step {
    const char *name;
    int (*answer)(int rc);
};

static int passes(int rc)
{
    return rc;
}

static int suppresses(int rc)
{
    (void)rc;
    return 0;
}

static int fails(int rc)
{
    (void)rc;
    return -EIO;
}

static int note(void *arg, int rc)
{
    const struct step *step = arg;
    size_t length = strlen(log_text);

    snprintf(log_text + length, sizeof(log_text) - length, "%s%s:%d", length ? " " : "", step->name,
             rc);
    return step->answer(rc);
}

static struct step a = {"a", passes}, b = {"b", passes}, c = {"c", passes};
static struct step zero = {"zero", suppresses}, eio = {"eio", fails};

static void push(struct raddle_exits *exits, struct step *step)
{
    EXPECT_EQ(raddle_exits_push(exits, note, step), 0);
}

static int passes_through(void *arg)
{
    struct raddle_exits exits = RADDLE_EXITS_INIT;
    (void)arg;

    EXPECT_EQ(raddle_exits_close(&exits, 5, 0), 5);
    push(&exits, &a);
    push(&exits, &b);
    push(&exits, &c);
    EXPECT_EQ(raddle_exits_close(&exits, 5, 0), 5);
    EXPECT_STR(log_text, "c:5 b:5 a:5");
    log_clear();
    EXPECT_EQ(raddle_exits_close(&exits, -EPIPE, 0), -EPIPE); /* it is empty */
    EXPECT_STR(log_text, "");

    push(&exits, &a);
    push(&exits, &zero);
    push(&exits, &b);
    push(&exits, &eio); /* replaces what was before */
    push(&exits, &c);
    EXPECT_EQ(raddle_exits_close(&exits, -EPIPE, 0), 0);
    EXPECT_STR(log_text, "c:-32 eio:-32 b:-5 zero:-5 a:0");
    log_clear();
    push(&exits, &eio);
    push(&exits, &zero);
    EXPECT_EQ(raddle_exits_close(&exits, 0, 0), -EIO);
    return 0;
}

/* Z7 */
RuntimeTest(exits, the_last_pushed_is_the_first_called_and_the_result_passes_through_each)
{
    cr_assert_eq(test_run(passes_through, NULL), 0);
}

/* Z7 */
RuntimeTest(exits, bad_arguments_are_einval_and_a_plain_thread_has_exits_too)
{
    struct raddle_exits exits = RADDLE_EXITS_INIT;

    cr_expect_eq(raddle_exits_push(NULL, note, &a), -EINVAL);
    cr_expect_eq(raddle_exits_push(&exits, NULL, &a), -EINVAL);
    cr_expect_eq(raddle_exits_close(NULL, 4, 0), 4);
    push(&exits, &a);
    push(&exits, &b);
    cr_expect_eq(raddle_exits_close(&exits, 1, 0), 1);
    cr_assert_str_eq(log_text, "b:1 a:1");
}

enum { MANY = 1000 };

static int counts_down(void *arg, int rc)
{
    EXPECT_EQ(*(int *)arg, rc - 1);
    return rc - 1;
}

/* Z7 */
RuntimeTest(exits, any_number_may_be_pushed)
{
    struct raddle_exits exits = RADDLE_EXITS_INIT;
    int numbers[MANY];

    for (int i = 0; i < MANY; i++) {
        numbers[i] = i;
        cr_assert_eq(raddle_exits_push(&exits, counts_down, &numbers[i]), 0);
    }
    cr_assert_eq(raddle_exits_close(&exits, MANY, 0), 0);
}

static int moves(void *arg)
{
    struct raddle_exits from = RADDLE_EXITS_INIT, to = RADDLE_EXITS_INIT;

    for (int size = 1; size < 12; size += 5) { /* in it, and in memory of its own */
        for (int i = 0; i < size; i++)
            push(&from, &a);
        EXPECT_EQ(raddle_exits_move(&from, &to), 0);
        EXPECT_EQ(raddle_exits_move(&from, &from), -EINVAL);
        push(&from, &b);
        EXPECT_EQ(raddle_exits_move(&from, &to), -EINVAL);
        log_clear();
        EXPECT_EQ(raddle_exits_close(&from, 1, 0), 1);
        EXPECT_STR(log_text, "b:1");
        log_clear();
        EXPECT_EQ(raddle_exits_close(&to, 2, 0), 2);
        EXPECT_EQ(strlen(log_text), (size_t)(4 * size - 1));
    }
    EXPECT_EQ(raddle_exits_move(NULL, &to), -EINVAL);
    EXPECT_EQ(raddle_exits_move(&from, NULL), -EINVAL);
    (void)arg;
    return 0;
}

/* Z7 */
RuntimeTest(exits, what_is_moved_is_closed_by_who_has_it_then)
{
    cr_assert_eq(test_run(moves, NULL), 0);
}

static int pushes_more(void *arg, int rc)
{
    push(arg, &b);
    push(arg, &c);
    return rc;
}

static int pushes_meanwhile(void *arg)
{
    struct raddle_exits exits = RADDLE_EXITS_INIT;
    (void)arg;

    push(&exits, &a);
    EXPECT_EQ(raddle_exits_push(&exits, pushes_more, &exits), 0);
    EXPECT_EQ(raddle_exits_close(&exits, 3, 0), 3);
    EXPECT_STR(log_text, "c:3 b:3 a:3");
    return 0;
}

/* Z7 */
RuntimeTest(exits, what_is_pushed_by_one_that_is_called_comes_next)
{
    cr_assert_eq(test_run(pushes_meanwhile, NULL), 0);
}

/* Z6: the ends of things that suspend, in a task that is cancelled. */
static int closes_slowly(void *arg, int rc)
{
    EXPECT(!raddle_cancelled());
    EXPECT_EQ(raddle_sleep(RADDLE_US(300)), 0);
    return note(arg, rc);
}

static int works(void *arg)
{
    struct raddle_exits exits = RADDLE_EXITS_INIT;
    int rc;

    (void)arg;
    EXPECT_EQ(raddle_exits_push(&exits, closes_slowly, &a), 0);
    EXPECT_EQ(raddle_exits_push(&exits, closes_slowly, &b), 0);
    rc = raddle_exits_close(&exits, test_sleep_forever(NULL), 0);
    EXPECT(raddle_cancelled());
    return rc;
}

static int cancels(void *arg)
{
    struct raddle_outcome outcome;
    struct raddle_group g;
    raddle_task *task = NULL;

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, &task, works, arg, NULL), 0);
    test_let_park(task);
    EXPECT_EQ(raddle_task_cancel(task, "enough"), 0);
    EXPECT_EQ(raddle_join(task, &outcome), 0);
    EXPECT_EQ(outcome.kind, RADDLE_CANCELLED);
    raddle_task_unref(task);
    return raddle_group_close(&g, 0);
}

/* Z6 */
RuntimeTest(exits, an_end_may_suspend_in_a_task_that_is_cancelled_and_the_cancellation_passes)
{
    cr_assert_eq(test_run(cancels, NULL), 0);
    cr_assert_str_eq(log_text, "b:-125 a:-125");
}

static char reported[256];

static void report(const char *line, void *arg)
{
    (void)arg;
    strncpy(reported, line, sizeof(reported) - 1);
}

static int returns_early(void)
{
    raddle_auto(exits) struct raddle_exits exits = RADDLE_EXITS_INIT;

    push(&exits, &a);
    push(&exits, &b);
    return 7;
}

static int leaves_a_failure(void)
{
    raddle_auto(exits) struct raddle_exits exits = RADDLE_EXITS_INIT;

    push(&exits, &eio);
    return 8;
}

static int has_auto(void *arg)
{
    (void)arg;
    EXPECT_EQ(returns_early(), 7);
    EXPECT_STR(log_text, "b:0 a:0");
    EXPECT_STR(reported, "");
    EXPECT_EQ(leaves_a_failure(), 8);
    EXPECT(strstr(reported, "exit stack") && strstr(reported, "-5"));
    return 0;
}

/* Z6 */
RuntimeTest(exits, what_a_return_leaves_open_is_closed_with_its_block)
{
    raddle_on_report(report, NULL);
    cr_assert_eq(test_run(has_auto, NULL), 0);
    raddle_on_report(NULL, NULL);
}

/* TC36: against a peer that never answers. */
struct flush {
    raddle_time deadline; /* as it saw it */
    int tried, rc;
    int64_t nested_ns; /* the budget of a close within it */
    struct flush *nested;
};

static int flushes(void *arg, int rc)
{
    struct flush *flush = arg;

    flush->deadline = raddle_effective_deadline();
    if (flush->nested) {
        struct raddle_exits exits = RADDLE_EXITS_INIT;
        EXPECT_EQ(raddle_exits_push(&exits, flushes, flush->nested), 0);
        flush->rc = raddle_exits_close(&exits, 0, flush->nested_ns);
        return rc < 0 ? rc : flush->rc;
    }
    flush->rc = raddle_sleep_until(RADDLE_NEVER);
    flush->tried++;
    return rc < 0 ? rc : flush->rc;
}

static int flushes_in_vain(void *arg)
{
    struct flush *flush = arg;
    struct raddle_exits exits = RADDLE_EXITS_INIT;
    raddle_time before = raddle_now();

    EXPECT_EQ(raddle_exits_push(&exits, flushes, flush), 0);
    EXPECT_EQ(raddle_exits_push(&exits, flushes, flush), 0); /* spends all of it */
    EXPECT_EQ(raddle_exits_close(&exits, 0, RADDLE_MS(5)), -ETIMEDOUT);
    EXPECT_EQ(flush->tried, 2);
    EXPECT_EQ(flush->rc, -ECANCELED);
    EXPECT(raddle_now() >= before + RADDLE_MS(5));
    EXPECT(!raddle_cancelled());
    EXPECT_EQ(raddle_yield(), 0);
    EXPECT_EQ(raddle_exits_push(&exits, flushes, flush), 0);
    EXPECT_EQ(raddle_exits_close(&exits, -ECANCELED, -1), -ECANCELED); /* which was there before */
    EXPECT_EQ(flush->tried, 3);
    return 0;
}

/* TC36 */
RuntimeTest(exits, a_clean_up_against_a_dead_peer_ends_with_its_budget)
{
    struct flush flush = {.tried = 0};

    cr_assert_eq(test_run(flushes_in_vain, &flush), 0);
}

static int nests(void *arg)
{
    struct flush inner = {.tried = 0};
    struct flush outer = {.nested = &inner, .nested_ns = RADDLE_S(1000)};
    struct raddle_exits exits = RADDLE_EXITS_INIT;
    (void)arg;

    EXPECT_EQ(raddle_exits_push(&exits, flushes, &outer), 0);
    EXPECT_EQ(raddle_exits_close(&exits, 0, RADDLE_MS(5)), -ETIMEDOUT);
    EXPECT_EQ(inner.tried, 1);
    EXPECT_EQ(inner.deadline, outer.deadline); /* not a thousand seconds */
    outer.nested_ns = RADDLE_NEVER;
    EXPECT_EQ(raddle_exits_push(&exits, flushes, &outer), 0);
    EXPECT_EQ(raddle_exits_close(&exits, 0, RADDLE_MS(5)), -ETIMEDOUT);
    EXPECT_EQ(inner.deadline, outer.deadline);
    outer.nested_ns = RADDLE_MS(1);
    EXPECT_EQ(raddle_exits_push(&exits, flushes, &outer), 0);
    EXPECT_EQ(raddle_exits_close(&exits, 0, RADDLE_NEVER), -ETIMEDOUT);
    EXPECT_EQ(outer.deadline, RADDLE_NEVER);
    EXPECT(inner.deadline < RADDLE_NEVER);
    return 0;
}

/* TC36 */
RuntimeTest(exits, a_clean_up_within_another_has_no_more_time_than_that)
{
    cr_assert_eq(test_run(nests, NULL), 0);
}

static int manages(raddle_gen *gen, void *arg)
{
    int rc = raddle_gen_yield(gen, arg, NULL);

    return note(arg, rc);
}

static int enters_generators(void *arg)
{
    struct raddle_exits exits = RADDLE_EXITS_INIT;
    struct step *steps[] = {&a, &b, &c};
    int rc = 0;
    (void)arg;

    for (unsigned i = 0; rc == 0 && i < 3; i++) {
        raddle_gen *gen = NULL;
        rc = raddle_gen_open(&gen, manages, steps[i], NULL);
        if (rc == 0)
            rc = raddle_exits_push(&exits, raddle_gen_exit, gen);
        if (rc == 0)
            rc = raddle_gen_enter(gen, NULL);
    }
    EXPECT_EQ(rc, 0);
    EXPECT_EQ(raddle_exits_close(&exits, -EPIPE, 0), -EPIPE);
    EXPECT_STR(log_text, "c:-32 b:-32 a:-32");
    return 0;
}

/* Z7 */
RuntimeTest(exits, a_context_manager_is_entered_and_its_exit_pushed)
{
    cr_assert_eq(test_run(enters_generators, NULL), 0);
}
