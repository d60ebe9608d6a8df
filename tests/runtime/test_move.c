/*
 * tests/runtime/test_move.c - the debug mode in which a migratable task goes on elsewhere after each suspension.
 */
#define _GNU_SOURCE
#include "tests/support/fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

TestSuite(move, .timeout = 60);

enum { LOOPS = 4, ROUNDS = 500, TASKS = 16 };

/* Calls, as a compiler keeps the address of errno over a suspension. */
static __attribute__((noinline)) void set_errno(int value)
{
    errno = value;
    __asm__ volatile("" ::: "memory");
}

static __attribute__((noinline)) int get_errno(void)
{
    int value = errno;

    __asm__ volatile("" ::: "memory");
    return value;
}

/* How many suspensions ended on another loop than they began on, and how many on the same. */
struct moves {
    unsigned moved, stayed;
};

static void note(struct moves *m, const raddle_loop *before)
{
    if (raddle_running_loop() == before)
        m->stayed++;
    else
        m->moved++;
}

static int suspends(void *arg)
{
    struct moves *m = arg;

    for (int i = 0; i < ROUNDS; i++) {
        raddle_loop *before = raddle_running_loop();

        set_errno(1000 + i);
        EXPECT_EQ(raddle_yield(), 0);
        note(m, before);
        EXPECT_EQ(get_errno(), 1000 + i);

        before = raddle_running_loop();
        set_errno(2000 + i);
        EXPECT_EQ(raddle_sleep(1000), 0);
        note(m, before);
        EXPECT_EQ(get_errno(), 2000 + i);
    }
    return 0;
}

struct both {
    struct moves migratable[TASKS], fresh[TASKS];
};

static int of_both_kinds(void *arg)
{
    struct raddle_spawn_options movable = {.mobility = RADDLE_MIGRATABLE};
    struct raddle_spawn_options fresh = {.mobility = RADDLE_FRESH};
    struct both *b = arg;
    struct raddle_group g;

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (unsigned i = 0; i < TASKS; i++) {
        EXPECT_EQ(raddle_spawn(&g, NULL, suspends, &b->migratable[i], &movable), 0);
        EXPECT_EQ(raddle_spawn(&g, NULL, suspends, &b->fresh[i], &fresh), 0);
    }
    return raddle_group_close(&g, 0);
}

static void expect_that_all_moved(const struct both *b)
{
    for (unsigned i = 0; i < TASKS; i++) {
        EXPECT_EQ(b->migratable[i].moved, 2 * ROUNDS);
        EXPECT_EQ(b->migratable[i].stayed, 0);
        EXPECT_EQ(b->fresh[i].moved, 0);
        EXPECT_EQ(b->fresh[i].stayed, 2 * ROUNDS);
    }
}

/* TC111 */
RuntimeTest(move, every_suspension_of_a_migratable_task_ends_on_another_loop)
{
    struct raddle_run_options o = {.loops = LOOPS, .flags = RADDLE_RUN_MOVE};
    struct both b = {0};

    cr_assert_eq(raddle_run(of_both_kinds, &b, &o), 0);
    expect_that_all_moved(&b);
}

RuntimeTest(move, the_environment_asks_for_it)
{
    struct raddle_run_options o = {.loops = LOOPS};
    struct both b = {0};

    setenv("RADDLE_DEBUG", "move", 1);
    cr_assert_eq(raddle_run(of_both_kinds, &b, &o), 0);
    expect_that_all_moved(&b);
    setenv("RADDLE_DEBUG", "", 1);
    cr_assert_eq(raddle_run(test_nothing, NULL, &o), 0);
}

static void heard(const char *line, void *arg)
{
    (void)line;
    ++*(unsigned *)arg;
}

RuntimeTest(move, a_word_that_nobody_knows_is_refused_and_reported)
{
    static const char *const bad[] = {"mov",     "moved",     "move,",
                                      ",move",   "move,x",    "move move",
                                      "yes",     "2",         "slow",
                                      "slow=",   "slow=5",    "slow=ms",
                                      "slow=5m", "slow=-5ms", "slow=99999999999s",
                                      "chain=",  "chain=x",   "chain=5x"};
    static unsigned reports;

    raddle_on_report(heard, &reports);
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        setenv("RADDLE_DEBUG", bad[i], 1);
        EXPECT_EQ(raddle_run(test_nothing, NULL, NULL), -EINVAL);
        EXPECT_EQ(reports, i + 1);
    }
    raddle_on_report(NULL, NULL);
    unsetenv("RADDLE_DEBUG");
}

/* A thread wakes it, which runs no loop. */
static int job(void *arg)
{
    usleep(200);
    (void)arg;
    return 0;
}

static int works_blocking(void *arg)
{
    struct moves *m = arg;

    for (unsigned i = 0; i < ROUNDS / 5; i++) {
        raddle_loop *before = raddle_running_loop();
        EXPECT_EQ(raddle_run_in_executor(NULL, job, NULL, NULL), 0);
        note(m, before);
    }
    return 0;
}

/* The main task is pinned: a child of it does it. */
static int by_a_child(void *arg)
{
    struct raddle_group g;

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, NULL, works_blocking, arg, NULL), 0);
    return raddle_group_close(&g, 0);
}

RuntimeTest(move, who_is_woken_by_a_thread_moves_too)
{
    struct raddle_run_options o = {
        .loops = LOOPS, .flags = RADDLE_RUN_MOVE, .mobility = RADDLE_MIGRATABLE};
    struct moves m = {0};

    cr_assert_eq(raddle_run(by_a_child, &m, &o), 0);
    EXPECT_IN(m.moved, 1,
              ROUNDS / 5 + 1); /* a job that is done before the task parks suspends nobody */
}

RuntimeTest(move, alone_there_is_nowhere_to_go)
{
    struct raddle_run_options o = {
        .loops = 1, .flags = RADDLE_RUN_MOVE, .mobility = RADDLE_MIGRATABLE};
    struct moves m = {0};

    cr_assert_eq(raddle_run(suspends, &m, &o), 0);
    EXPECT_EQ(m.stayed, 2 * ROUNDS);
}
