/*
 * tests/conformance/test_local.c - task-local storage: what row Y8 of the contract sends its users to.
 */
#define _GNU_SOURCE
#include "tests/support/fixture.h"

#include <errno.h>
#include <string.h>

TestSuite(local, .timeout = 60);

/* What was destroyed, in order. */
static char destroyed[16];

static void destroy(void *value)
{
    strncat(destroyed, value, sizeof(destroyed) - strlen(destroyed) - 1);
}

static struct raddle_local first = RADDLE_LOCAL_INIT(destroy);
static struct raddle_local second = RADDLE_LOCAL_INIT(destroy);
static struct raddle_local third = RADDLE_LOCAL_INIT(destroy);
static struct raddle_local bare = RADDLE_LOCAL_INIT(NULL);

static int has_nothing(void *arg)
{
    (void)arg;
    EXPECT(raddle_local_get(&first) == NULL);
    return 0;
}

static int sets(void *arg)
{
    struct raddle_group g;
    (void)arg;

    EXPECT(raddle_local_get(&first) == NULL);
    EXPECT_EQ(raddle_local_set(NULL, "x"), -EINVAL);
    EXPECT_EQ(raddle_local_set(&first, "z"), 0);
    EXPECT_EQ(raddle_local_set(&second, "2"), 0);
    EXPECT_EQ(raddle_local_set(&third, "3"), 0);
    EXPECT_EQ(raddle_local_set(&bare, "b"), 0);
    EXPECT_EQ(raddle_local_set(&first, "1"), 0); /* it stays where it is */
    EXPECT_STR(raddle_local_get(&first), "1");
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, NULL, has_nothing, NULL, NULL), 0);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    EXPECT_EQ(raddle_local_set(&second, NULL), 0);
    EXPECT(raddle_local_get(&second) == NULL);
    EXPECT_STR(raddle_local_get(&bare), "b");
    return 0;
}

/* Y8 */
RuntimeTest(local, a_task_has_its_own_and_what_was_set_first_is_destroyed_last)
{
    EXPECT(raddle_local_get(&first) == NULL);
    EXPECT_EQ(raddle_local_set(&first, "x"), -EPERM);
    cr_assert_eq(test_run(sets, NULL), 0);
    cr_assert_str_eq(destroyed, "31");
}

enum { ROUNDS = 100, TASKS = 8 };

static struct raddle_local mine = RADDLE_LOCAL_INIT(NULL);

static int moves(void *arg)
{
    EXPECT_EQ(raddle_local_set(&mine, arg), 0);
    for (int i = 0; i < ROUNDS; i++) {
        EXPECT_EQ(i % 2 ? raddle_yield() : raddle_sleep(1), 0);
        EXPECT(raddle_local_get(&mine) == arg);
    }
    return 0;
}

static int has_movers(void *arg)
{
    struct raddle_spawn_options options = {.mobility = RADDLE_MIGRATABLE};
    struct raddle_group g;
    char values[TASKS];
    (void)arg;

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (unsigned i = 0; i < TASKS; i++)
        EXPECT_EQ(raddle_spawn(&g, NULL, moves, &values[i], &options), 0);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    return 0;
}

/* Y8 */
RuntimeTest(local, it_moves_with_its_task_from_thread_to_thread)
{
    cr_assert_eq(test_run(has_movers, NULL), 0);
}

/* A destructor that suspends, of a task that was cancelled. */
struct end {
    rdl_atomic(unsigned) began, ended;
    int rc;
    raddle_task *self;
    struct raddle_mutex mutex;
};

static void suspends(void *value)
{
    struct end *end = value;

    rdl_atomic_fetch_add_acq_rel(&end->began, 1u);
    EXPECT(!raddle_cancelled());
    EXPECT(raddle_effective_deadline() <= raddle_in(RADDLE_LOCAL_BUDGET_NS));
    EXPECT(raddle_self() == end->self);
    EXPECT_EQ(raddle_unlock(&end->mutex), 0); /* which its task still holds */
    end->rc = raddle_sleep(RADDLE_MS(2));
    rdl_atomic_fetch_add_acq_rel(&end->ended, 1u);
}

static struct raddle_local slow = RADDLE_LOCAL_INIT(suspends);

static int is_cancelled(void *arg)
{
    struct end *end = arg;

    end->self = raddle_self();
    EXPECT_EQ(raddle_lock(&end->mutex), 0);
    EXPECT_EQ(raddle_local_set(&slow, end), 0);
    return test_sleep_forever(NULL);
}

static int cancels(void *arg)
{
    struct end *end = arg;
    struct raddle_outcome outcome;
    struct raddle_group g;
    raddle_task *task;

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, &task, is_cancelled, end, NULL), 0);
    test_let_park(task);
    EXPECT_EQ(raddle_task_cancel(task, "enough"), 0);
    EXPECT_EQ(raddle_join(task, &outcome), 0);
    EXPECT_EQ(rdl_atomic_load_acquire(&end->ended), 1);
    EXPECT_EQ(outcome.kind, RADDLE_CANCELLED);
    raddle_task_unref(task);
    return raddle_group_close(&g, 0);
}

/* Y8 */
RuntimeTest(local, a_destructor_may_suspend_though_its_task_was_cancelled)
{
    struct end end = {.rc = 99};

    cr_assert_eq(test_run(cancels, &end), 0);
    cr_assert_eq(end.rc, 0);
}

/* Destructors that set again: once, or for ever. */
static struct raddle_local again, endless;
static unsigned times;

static void sets_once(void *value)
{
    times++;
    if (value == &again)
        EXPECT_EQ(raddle_local_set(&again, &endless), 0);
}

static void sets_for_ever(void *value)
{
    times++;
    EXPECT_EQ(raddle_local_set(&endless, value), 0);
}

static int leaves_one(void *arg)
{
    return raddle_local_set(arg, arg);
}

static char report[256];

static void note(const char *line, void *arg)
{
    (void)arg;
    strncpy(report, line, sizeof(report) - 1);
}

/* Y8 */
RuntimeTest(local, a_destructor_may_set_again_but_not_for_ever)
{
    again.destroy = sets_once;
    endless.destroy = sets_for_ever;
    raddle_on_report(note, NULL);
    cr_assert_eq(test_run(leaves_one, &again), 0);
    cr_assert_eq(times, 2);
    cr_assert_str_empty(report);
    times = 0;
    cr_assert_eq(test_run(leaves_one, &endless), 0);
    cr_assert_eq(times, 4);
    cr_assert(strstr(report, "\"main\"") && strstr(report, "task-local storage"));
    raddle_on_report(NULL, NULL);
}
