/*
 * tests/runtime/test_time.c - points in time, sleeping until them, and giving way.
 */
#define _GNU_SOURCE
#include "tests/support/fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

TestSuite(time, .timeout = 30);

enum { SHORT = 5 * 1000000 };

RuntimeTest(time, outside_a_task_nothing_can_suspend)
{
    cr_assert_eq(raddle_sleep(0), -EPERM);
    cr_assert_eq(raddle_sleep(SHORT), -EPERM);
    cr_assert_eq(raddle_sleep_until(0), -EPERM);
    cr_assert_eq(raddle_sleep_until(RADDLE_NEVER), -EPERM);
    cr_assert_eq(raddle_yield(), -EPERM);
    cr_assert_eq(raddle_checkpoint(), -EPERM);
}

RuntimeTest(time, the_clock_is_the_monotonic_one)
{
    struct timespec before, after;
    raddle_time now;

    clock_gettime(CLOCK_MONOTONIC, &before);
    now = raddle_now();
    clock_gettime(CLOCK_MONOTONIC, &after);
    cr_assert_geq(now, (raddle_time)before.tv_sec * 1000000000 + before.tv_nsec);
    cr_assert_leq(now, (raddle_time)after.tv_sec * 1000000000 + after.tv_nsec);
}

RuntimeTest(time, a_length_becomes_a_point_without_overflow)
{
    raddle_time now = raddle_now();

    cr_assert_geq(raddle_in(RADDLE_S(1)), now + RADDLE_S(1));
    cr_assert_lt(raddle_in(-RADDLE_S(1)), now);
    cr_assert_lt(raddle_in(INT64_MIN), 0);
    cr_assert_eq(raddle_in(RADDLE_NEVER), RADDLE_NEVER);
    cr_assert_eq(raddle_in(INT64_MAX - 1), RADDLE_NEVER);
    cr_assert_lt(raddle_in(INT64_MAX / 2), RADDLE_NEVER);
    cr_assert_geq(raddle_in_coarse(RADDLE_S(1)), now + RADDLE_S(1)); /* no loop: the same */
    cr_assert_eq(raddle_in_coarse(RADDLE_NEVER), RADDLE_NEVER);
    cr_assert_eq(RADDLE_US(3), 3000);
    cr_assert_eq(RADDLE_MS(3), 3000000);
    cr_assert_eq(RADDLE_S(3), 3000000000);
}

static int64_t clock_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int coarsely(void *arg)
{
    raddle_time seen, coarse;
    int64_t until;

    (void)arg;
    EXPECT_EQ(raddle_sleep(RADDLE_MS(1)), 0);
    seen = raddle_now(); /* a look at the clock */
    until = clock_now() + RADDLE_MS(3);
    while (clock_now() < until)
        ;
    coarse = raddle_in_coarse(RADDLE_S(1));
    EXPECT_EQ(coarse, seen + RADDLE_S(1));
    EXPECT(raddle_in(RADDLE_S(1)) >= coarse + (test_simulated() ? 0 : RADDLE_MS(3)));
    EXPECT_EQ(raddle_in_coarse(INT64_MAX - 1), RADDLE_NEVER);
    return 0;
}

RuntimeTest(time, a_coarse_point_is_counted_from_the_last_look_at_the_clock)
{
    cr_assert_eq(test_run(coarsely, NULL), 0);
}

static int never_early(void *arg)
{
    (void)arg;
    for (int i = 0; i < 200; i++) {
        int64_t length = 1 + (i * 7919) % 700000;
        raddle_time when = raddle_in(length);
        EXPECT_EQ(i & 1 ? raddle_sleep_until(when) : raddle_sleep(length), 0);
        EXPECT(raddle_now() >= when);
    }
    return 0;
}

RuntimeTest(time, a_sleep_is_never_too_short)
{
    cr_assert_eq(test_run(never_early, NULL), 0);
}

static int in_the_past(void *arg)
{
    static const int64_t lengths[] = {0, -1, -RADDLE_S(5), INT64_MIN};

    (void)arg;
    for (unsigned i = 0; i < 4; i++)
        EXPECT_EQ(raddle_sleep(lengths[i]), 0);
    EXPECT_EQ(raddle_sleep_until(0), 0);
    EXPECT_EQ(raddle_sleep_until(INT64_MIN), 0);
    EXPECT_EQ(raddle_sleep_until(raddle_now()), 0);
    return 0;
}

RuntimeTest(time, a_point_in_the_past_gives_way_once)
{
    cr_assert_eq(test_run(in_the_past, NULL), 0);
}

enum { SLEEPERS_MAX = 64 };

/* The order of events, on one loop. */
struct order {
    int seen[SLEEPERS_MAX];
    unsigned count, asleep;
};

struct sleeper {
    struct order *order;
    raddle_time when;
    int number;
};

static int sleeper(void *arg)
{
    struct sleeper *s = arg;
    int rc;

    s->order->asleep++;
    rc = raddle_sleep_until(s->when);
    s->order->seen[s->order->count++] = s->number;
    return rc;
}

/* Sets s[i].when, given the earliest of all. */
typedef void set_deadlines_fn(struct sleeper *s, unsigned count, raddle_time first);

/* Lets count tasks sleep, on one loop. A machine that was busy elsewhere until the first deadline had
 * passed gets more time. */
static void sleep_all(struct order *order, unsigned count, set_deadlines_fn *set_deadlines)
{
    struct sleeper s[SLEEPERS_MAX];
    bool in_time = false;

    for (int64_t lead = RADDLE_MS(5); !in_time; lead *= 2) {
        raddle_time first = raddle_in(lead);
        struct raddle_group g;

        *order = (struct order){.count = 0};
        set_deadlines(s, count, first);
        EXPECT_EQ(raddle_group_open(&g, NULL), 0);
        for (unsigned i = 0; i < count; i++) {
            s[i].order = order;
            EXPECT_EQ(raddle_spawn(&g, NULL, sleeper, &s[i], NULL), 0);
        }
        while (order->asleep < count)
            EXPECT_EQ(raddle_yield(), 0);
        in_time = raddle_now() < first;
        EXPECT_EQ(raddle_group_close(&g, 0), 0);
    }
}

/* Two deadlines, interleaved; the second group of them is due later. */
static void two_deadlines(struct sleeper *s, unsigned count, raddle_time first)
{
    for (unsigned i = 0; i < count; i++)
        s[i] = (struct sleeper){.when = first + (i & 1 ? 1000 : 0), .number = (int)i};
}

static int equal_deadlines(void *arg)
{
    sleep_all(arg, 24, two_deadlines);
    return 0;
}

RuntimeTest(time, equal_deadlines_end_in_the_order_in_which_they_were_set)
{
    struct order order = {.count = 0};

    cr_assert_eq(test_run_on(1, equal_deadlines, &order), 0);
    cr_assert_eq(order.count, 24);
    for (int i = 0; i < 24; i++)
        cr_assert_eq(order.seen[i], i < 12 ? 2 * i : 2 * (i - 12) + 1);
}

/* The i-th task to sleep is the number-th to wake. */
static void shuffled_deadlines(struct sleeper *s, unsigned count, raddle_time first)
{
    for (unsigned i = 0; i < count; i++) {
        unsigned number = i * 37 % count;
        s[i] = (struct sleeper){.when = first + RADDLE_US(300) * number, .number = (int)number};
    }
}

static int random_deadlines(void *arg)
{
    sleep_all(arg, 60, shuffled_deadlines);
    return 0;
}

RuntimeTest(time, deadlines_end_in_their_order)
{
    struct order order = {.count = 0};

    cr_assert_eq(test_run_on(1, random_deadlines, &order), 0);
    cr_assert_eq(order.count, 60);
    for (int i = 0; i < 60; i++)
        cr_assert_eq(order.seen[i], i);
}

struct turns {
    struct order *order;
    int number;
};

static int takes_turns(void *arg)
{
    struct turns *t = arg;

    for (int i = 0; i < 4; i++) {
        t->order->seen[t->order->count++] = t->number;
        EXPECT_EQ(raddle_yield(), 0);
    }
    return 0;
}

static int yields(void *arg)
{
    struct turns t[5];
    struct raddle_group g;

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (int i = 0; i < 5; i++) {
        t[i] = (struct turns){.order = arg, .number = i};
        EXPECT_EQ(raddle_spawn(&g, NULL, takes_turns, &t[i], NULL), 0);
    }
    return raddle_group_close(&g, 0);
}

RuntimeTest(time, tasks_that_give_way_on_a_lone_loop_take_turns)
{
    struct order order = {.count = 0};

    cr_assert_eq(test_run_on(1, yields, &order), 0);
    cr_assert_eq(order.count, 20);
    for (int i = 0; i < 20; i++)
        cr_assert_eq(order.seen[i], i % 5);
}

/* A task that never waits must not keep timers, and what other threads send, from the loop. */
struct busy {
    rdl_atomic(unsigned) stop;
    bool checkpoints;
};

static int busy(void *arg)
{
    struct busy *b = arg;

    while (!rdl_atomic_load_relaxed(&b->stop))
        EXPECT_EQ(b->checkpoints ? raddle_checkpoint() : raddle_yield(), 0);
    return 0;
}

static int stops_busy(void *arg)
{
    struct busy *b = arg;
    struct raddle_group g;

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (unsigned i = 0; i < 2 * test_loops(); i++)
        EXPECT_EQ(raddle_spawn(&g, NULL, busy, b, NULL), 0);
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(raddle_sleep(RADDLE_MS(2)), 0);
        EXPECT_EQ(raddle_run_in_executor(NULL, test_nothing, NULL, NULL), 0);
    }
    rdl_atomic_store_relaxed(&b->stop, 1u);
    return raddle_group_close(&g, 0);
}

RuntimeTest(time, tasks_that_only_give_way_let_timers_and_other_threads_in)
{
    struct busy b = {.checkpoints = false};

    cr_assert_eq(test_run(stops_busy, &b), 0);
}

RuntimeTest(time, tasks_with_checkpoints_let_timers_and_other_threads_in)
{
    struct busy b = {.checkpoints = true};

    cr_assert_eq(test_run(stops_busy, &b), 0);
}

static int seldom(void *arg)
{
    struct busy b = {.checkpoints = false};
    struct raddle_group g;
    struct raddle_loop_stats before, after;

    (void)arg;
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, NULL, busy, &b, NULL), 0);
    EXPECT_EQ(raddle_get_loop_stats(0, &before), 0);
    for (int i = 0; i < 20000; i++)
        EXPECT_EQ(raddle_checkpoint(), 0);
    EXPECT_EQ(raddle_get_loop_stats(0, &after), 0);
    EXPECT_IN(after.switches - before.switches, 0, 20000);
    rdl_atomic_store_relaxed(&b.stop, 1u);
    return raddle_group_close(&g, 0);
}

RuntimeTest(time, a_checkpoint_gives_way_less_often_than_a_yield)
{
    cr_assert_eq(test_run_on(1, seldom, NULL), 0);
}

static int far_sleep(void *arg)
{
    int *ended = arg;

    if (raddle_sleep_until(RADDLE_NEVER - 1) == -ECANCELED)
        (*ended)++;
    if (raddle_sleep_until((raddle_time)1 << 62) == -ECANCELED)
        (*ended)++;
    return raddle_sleep(INT64_MAX);
}

static int cancels_far(void *arg)
{
    struct raddle_outcome outcome;
    struct raddle_group g;
    raddle_task *task;

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, &task, far_sleep, arg, NULL), 0);
    EXPECT_EQ(raddle_sleep(SHORT), 0);
    EXPECT_EQ(raddle_outcome_of(task, &outcome), -EINPROGRESS);
    EXPECT_EQ(raddle_task_cancel(task, NULL), 0);
    EXPECT_EQ(raddle_join(task, &outcome), 0);
    EXPECT_EQ(outcome.kind, RADDLE_CANCELLED);
    raddle_task_unref(task);
    return raddle_group_close(&g, 0);
}

RuntimeTest(time, a_sleep_until_the_far_future_is_cancelled_as_any_other)
{
    int ended = 0;

    cr_assert_eq(test_run(cancels_far, &ended), 0);
    cr_assert_eq(ended, 2);
}

/* Many timers far away, all cancelled: TC7. */
static int many_timers(void *arg)
{
    enum { COUNT = 20000 };
    struct raddle_loop_stats stats;
    struct raddle_group g;

    (void)arg;
    EXPECT_EQ(raddle_group_open(
                  &g, &(struct raddle_group_options){.deadline = raddle_in(RADDLE_S(3600))}),
              0);
    for (int i = 0; i < COUNT; i++)
        EXPECT_EQ(raddle_spawn(&g, NULL, test_sleep_forever, NULL, NULL), 0);
    EXPECT_EQ(raddle_sleep(RADDLE_MS(50)), 0);
    raddle_group_cancel(&g, NULL);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    EXPECT_EQ(raddle_get_loop_stats(0, &stats), 0);
    EXPECT_IN(stats.timers, 0, 100);
    return 0;
}

RuntimeTest(time, thousands_of_timers_that_are_cancelled_do_not_fire)
{
    cr_assert_eq(test_run(many_timers, NULL), 0);
}

/* errno belongs to the task. */
static int sets_errno(void *arg)
{
    for (int i = 0; i < 200; i++) {
        errno = *(int *)arg;
        EXPECT_EQ(i % 3 ? raddle_yield() : raddle_sleep(1000), 0);
        EXPECT_EQ(errno, *(int *)arg);
    }
    return 0;
}

static int own_errno(void *arg)
{
    static int values[] = {1, 2, 3, 4};
    struct raddle_group g;

    (void)arg;
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (int i = 0; i < 4; i++)
        EXPECT_EQ(raddle_spawn(&g, NULL, sets_errno, &values[i],
                               &(struct raddle_spawn_options){.mobility = RADDLE_FRESH}),
                  0);
    return raddle_group_close(&g, 0);
}

/* Y9 TC111 */
RuntimeTest(time, errno_survives_a_suspension)
{
    cr_assert_eq(test_run(own_errno, NULL), 0);
}
