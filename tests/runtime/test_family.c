/*
 * tests/runtime/test_family.c - groups that are cancelled, nested, spawned into late, and large: no child is
 * forgotten.
 *
 * What a close returns, and by which mode: tests/runtime/test_group.c.
 */
#define _GNU_SOURCE
#include "tests/support/fixture.h"

#include <errno.h>
#include <pthread.h>

TestSuite(family, .timeout = 30);

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

/* Cancellation. */

static int cancels_itself(void *arg)
{
    struct child c[3] = {{.sleep_ns = RADDLE_NEVER},
                         {.sleep_ns = RADDLE_NEVER, .cleanup_rc = 3},
                         {.sleep_ns = RADDLE_NEVER}};
    struct raddle_group g;

    (void)arg;
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (int i = 0; i < 2; i++)
        EXPECT_EQ(raddle_spawn(&g, NULL, child, &c[i], NULL), 0);
    raddle_group_cancel(&g, "enough");
    raddle_group_cancel(&g, "more than enough");
    EXPECT(raddle_scope_cancelled(&g.scope));
    EXPECT_STR(raddle_cancel_reason(), "enough");
    EXPECT_EQ(raddle_yield(), -ECANCELED);
    /* A task spawned into a cancelled group starts, and sees it. */
    EXPECT_EQ(raddle_spawn(&g, NULL, child, &c[2], NULL), 0);
    EXPECT_EQ(raddle_group_close(&g, 5), 5);
    for (int i = 0; i < 3; i++)
        EXPECT(c[i].ended == 1 && c[i].cancelled);

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    raddle_group_cancel(&g, NULL);
    EXPECT_EQ(raddle_group_close(&g, raddle_yield()), 0);
    return 0;
}

RuntimeTest(family, a_cancelled_one_cancels_children_old_and_new)
{
    cr_assert_eq(test_run(cancels_itself, NULL), 0);
}

struct shielded_group {
    struct raddle_group *g;
    struct child *c;
    int rc;
};

static int opens_below(void *arg)
{
    struct shielded_group *s = arg;
    struct raddle_group g;

    EXPECT_EQ(raddle_group_open(&g, &(struct raddle_group_options){.scope_flags = RADDLE_SHIELD}),
              0);
    EXPECT_EQ(raddle_spawn(&g, NULL, child, s->c, NULL), 0);
    s->rc = raddle_group_close(&g, raddle_sleep(LONG));
    return raddle_yield();
}

static int shielded_group(void *arg)
{
    struct child c = {.sleep_ns = 2 * LONG, .rc = 1};
    struct shielded_group s = {.c = &c, .rc = 77};
    struct raddle_outcome outcome;
    struct raddle_group g;
    raddle_task *task;

    (void)arg;
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, &task, opens_below, &s, NULL), 0);
    test_let_park(task);
    EXPECT_EQ(raddle_task_cancel(task, "held off"), 0);
    EXPECT_EQ(raddle_join(task, &outcome), 0);
    EXPECT_EQ(outcome.kind, RADDLE_CANCELLED);
    EXPECT_EQ(s.rc, 0);
    EXPECT(!c.cancelled);
    raddle_task_unref(task);
    return raddle_group_close(&g, 0);
}

RuntimeTest(family, a_shielded_one_keeps_its_children_going)
{
    cr_assert_eq(test_run(shielded_group, NULL), 0);
}

/* Two levels: the leaf of a leaf is reached, whoever is cancelled above. */
static int subtree(void *arg)
{
    struct raddle_group g;

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(raddle_spawn(&g, NULL, child, arg, NULL), 0);
    return raddle_group_close(&g, 0);
}

static int cancels_tree(void *arg)
{
    struct child c[4] = {{.sleep_ns = RADDLE_NEVER},
                         {.sleep_ns = RADDLE_NEVER},
                         {.sleep_ns = RADDLE_NEVER},
                         {.sleep_ns = RADDLE_NEVER}};
    struct raddle_group g;

    (void)arg;
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (int i = 0; i < 4; i++)
        EXPECT_EQ(raddle_spawn(&g, NULL, subtree, &c[i], NULL), 0);
    EXPECT_EQ(raddle_sleep(SHORT), 0);
    raddle_group_cancel(&g, NULL);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    for (int i = 0; i < 4; i++)
        EXPECT_EQ(c[i].ended, 3);
    return 0;
}

RuntimeTest(family, cancellation_reaches_the_children_of_children)
{
    cr_assert_eq(test_run(cancels_tree, NULL), 0);
}

/* An outer cancellation while the close waits; test_error_and_cancel of asyncio. */
struct closer {
    struct child c;
    int close_rc;
    bool cancelled_after;
};

static int closes(void *arg)
{
    struct closer *closer = arg;
    struct raddle_group g;

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, NULL, child, &closer->c, NULL), 0);
    closer->close_rc = raddle_group_close(&g, 0);
    closer->cancelled_after = raddle_cancelled();
    return raddle_yield();
}

static int cancels_closer(void *arg)
{
    static const int cleanups[] = {0, -EIO, 4};
    static const int wanted[] = {-ECANCELED, -EIO, 0};

    (void)arg;
    for (int i = 0; i < 3; i++) {
        struct closer closer = {.c = {.sleep_ns = RADDLE_NEVER, .cleanup_rc = cleanups[i]}};
        struct raddle_outcome outcome;
        struct raddle_group g;
        raddle_task *task;

        EXPECT_EQ(raddle_group_open(&g, NULL), 0);
        EXPECT_EQ(raddle_spawn(&g, &task, closes, &closer, NULL), 0);
        test_let_park_for(task, "the tasks of its group");
        EXPECT_EQ(raddle_task_cancel(task, NULL), 0);
        EXPECT_EQ(raddle_join(task, &outcome), 0);
        EXPECT_EQ(outcome.kind, RADDLE_CANCELLED);
        EXPECT_EQ(closer.close_rc, wanted[i]);
        EXPECT(closer.cancelled_after);
        raddle_task_unref(task);
        EXPECT_EQ(raddle_group_close(&g, 0), 0);
    }
    return 0;
}

RuntimeTest(family, a_close_that_is_cancelled_waits_and_tells_what_the_children_came_to)
{
    cr_assert_eq(test_run(cancels_closer, NULL), 0);
}

static int fails_when_told(void *arg)
{
    test_await(arg, 1);
    return -EIO;
}

static int nested_failures(void *arg)
{
    struct child inner_child = {.sleep_ns = 0, .rc = -EPIPE};
    struct raddle_group outer, inner;
    rdl_atomic(unsigned) told = 0;

    (void)arg;
    EXPECT_EQ(raddle_group_open(&outer, NULL), 0);
    EXPECT_EQ(raddle_spawn(&outer, NULL, fails_when_told, &told, NULL), 0);
    EXPECT_EQ(raddle_group_open(&inner, NULL), 0);
    EXPECT_EQ(raddle_spawn(&inner, NULL, child, &inner_child, NULL), 0);
    EXPECT_EQ(raddle_group_close(&inner, 0), -EPIPE);
    rdl_atomic_store_release(&told, 1u);
    EXPECT_EQ(raddle_sleep_until(RADDLE_NEVER), -ECANCELED);
    EXPECT_EQ(raddle_group_close(&outer, 0), -EIO);
    EXPECT_EQ(raddle_yield(), 0);
    return 0;
}

RuntimeTest(family, nested_ones_fail_one_by_one)
{
    cr_assert_eq(test_run(nested_failures, NULL), 0);
}

/* Spawning late. */

struct spawner {
    struct raddle_group *g;
    struct child late;
};

static int spawns_late(void *arg)
{
    struct spawner *s = arg;
    int rc = raddle_sleep(SHORT);

    if (rc == 0)
        rc = raddle_spawn(s->g, NULL, child, &s->late, NULL);
    return rc;
}

static int closing(void *arg)
{
    struct raddle_group g;
    struct spawner s = {.g = &g, .late = {.sleep_ns = SHORT}};

    (void)arg;
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, NULL, spawns_late, &s, NULL), 0);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    EXPECT_EQ(s.late.ended, 1);
    EXPECT_EQ(raddle_spawn(&g, NULL, child, &s.late, NULL), RADDLE_ESHUTDOWN);
    EXPECT_EQ(s.late.ended, 1);
    return 0;
}

RuntimeTest(family, a_child_may_spawn_into_it_until_it_is_closed)
{
    cr_assert_eq(test_run(closing, NULL), 0);
}

static void *cancels_from_thread(void *arg)
{
    raddle_group_cancel(arg, "from a thread");
    return NULL;
}

static int cancelled_by_a_thread(void *arg)
{
    struct child c[2] = {{.sleep_ns = RADDLE_NEVER}, {.sleep_ns = RADDLE_NEVER}};
    struct raddle_group g;
    pthread_t thread;

    (void)arg;
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (int i = 0; i < 2; i++)
        EXPECT_EQ(raddle_spawn(&g, NULL, child, &c[i], NULL), 0);
    EXPECT_EQ(raddle_sleep(SHORT), 0);
    EXPECT_EQ(raddle_group_live(&g), 2);
    EXPECT_EQ(pthread_create(&thread, NULL, cancels_from_thread, &g), 0);
    EXPECT_EQ(raddle_sleep_until(RADDLE_NEVER), -ECANCELED);
    pthread_join(thread, NULL);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    EXPECT(c[0].cancelled && c[1].cancelled);
    return 0;
}

RuntimeTest(family, is_cancelled_from_another_thread)
{
    cr_assert_eq(test_run(cancelled_by_a_thread, NULL), 0);
}

static int many(void *arg)
{
    enum { CHILDREN = 20000 };
    struct child c = {.sleep_ns = 0};
    struct raddle_group g;

    (void)arg;
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (int i = 0; i < CHILDREN; i++)
        EXPECT_EQ(raddle_spawn(&g, NULL, child, &c, NULL), 0);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    EXPECT_EQ(c.ended, CHILDREN);
    return 0;
}

RuntimeTest(family, thousands_of_children_all_end)
{
    cr_assert_eq(test_run(many, NULL), 0);
}
