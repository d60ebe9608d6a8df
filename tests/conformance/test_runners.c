/*
 * tests/conformance/test_runners.c - what the runs of a runner have in common beside the loop: one context.
 *
 * The loop, refusals and the close are in tests/conformance/test_loops.c.
 */
#include "tests/support/fixture.h"

#include <errno.h>

#include "sched/sys.h"

TestSuite(runners, .timeout = 60);

static rdl_atomic(int) living; /* values that no drop has been told of */

static void drop(void *value)
{
    (void)value;
    rdl_atomic_fetch_sub_acq_rel(&living, 1);
}

static struct raddle_var stage = RADDLE_VAR_INIT("stage", "none", NULL);
static struct raddle_var owned = RADDLE_VAR_INIT("owned", NULL, drop);

struct app {
    struct raddle_group group;
    const char *seen[4];
    unsigned count;
};

static void look(struct app *app)
{
    app->seen[app->count++] = raddle_var_get(&stage);
}

static int sets_for_itself(void *arg)
{
    look(arg);
    return raddle_var_set(&stage, "a child's", NULL);
}

/* The child has a copy: what it sets is seen by no run. */
static int set_up(void *arg)
{
    struct app *app = arg;

    look(app);
    EXPECT_EQ(raddle_var_set(&stage, "set up", NULL), 0);
    rdl_atomic_fetch_add_acq_rel(&living, 1);
    EXPECT_EQ(raddle_var_set(&owned, app, NULL), 0);
    EXPECT_EQ(raddle_group_open(&app->group, NULL), 0);
    EXPECT_EQ(raddle_spawn(&app->group, NULL, sets_for_itself, app, NULL), 0);
    return raddle_group_close(&app->group, 5);
}

static int serve(void *arg)
{
    look(arg);
    EXPECT(raddle_var_get(&owned) == arg);
    EXPECT_EQ(raddle_var_set(&stage, "serving", NULL), 0);
    return -EPIPE;
}

static int tear_down(void *arg)
{
    look(arg);
    return 0;
}

/* A2 */
RuntimeTest(runners, its_runs_share_one_context_that_begins_as_the_threads)
{
    struct app app = {.count = 0};
    struct raddle_runner runner;

    cr_assert_eq(raddle_var_set(&stage, "the thread's", NULL), 0);
    cr_assert_eq(raddle_runner_open(&runner, NULL), 0);
    cr_assert_eq(raddle_runner_run(&runner, set_up, &app), 5);
    cr_assert_eq(raddle_var_set(&stage, "set later", NULL), 0);
    cr_assert_eq(raddle_runner_run(&runner, serve, &app), -EPIPE);
    cr_assert_eq(raddle_runner_run(&runner, tear_down, &app), 0);
    cr_assert_eq(living, 1);
    cr_assert_eq(raddle_runner_close(&runner), 0);
    cr_assert_eq(living, 0); /* it went with the runner */
    cr_assert_str_eq(app.seen[0], "the thread's");
    cr_assert_str_eq(app.seen[1], "set up");
    cr_assert_str_eq(app.seen[2], "set up");
    cr_assert_str_eq(app.seen[3], "serving");
    cr_assert_str_eq(raddle_var_get(&stage), "set later"); /* the thread's own is as it was */
    /* Another one begins anew. */
    app.count = 0;
    cr_assert_eq(raddle_runner_open(&runner, NULL), 0);
    cr_assert_eq(raddle_runner_run(&runner, tear_down, &app), 0);
    cr_assert_eq(raddle_runner_close(&runner), 0);
    cr_assert_str_eq(app.seen[0], "set later");
}

/* So many allocations succeed, and then one fails. */
static rdl_atomic(int) succeeding;

static int no_memory(enum rdl_sys_call call, size_t *length)
{
    (void)length;
    if (call != RDL_SYS_CALLOC && call != RDL_SYS_MALLOC)
        return 0;
    return rdl_atomic_fetch_sub_acq_rel(&succeeding, 1) == 0 ? -ENOMEM : 0;
}

/* A2 */
RuntimeTest(runners, one_that_finds_no_memory_can_be_run_again)
{
    struct app app = {.count = 0};
    int failed = 0, rc = -ENOMEM;

    for (int n = 0; rc != 0 && n < 100; n++) {
        struct raddle_runner runner;
        raddle_loop *loop = NULL;

        cr_assert_eq(raddle_runner_open(&runner, NULL), 0);
        rdl_atomic_store_release(&succeeding, n);
        rdl_sys_set_hook(no_memory);
        rc = raddle_runner_get_loop(&runner, &loop);
        rdl_sys_set_hook(NULL);
        failed += rc < 0;
        if (rdl_atomic_load_acquire(&succeeding) < 0 && rc == 0)
            rc = -ENOMEM; /* what had failed could be done without */
        app.count = 0;
        cr_assert_eq(raddle_runner_run(&runner, tear_down, &app), 0);
        cr_assert_eq(app.count, 1);
        cr_assert_eq(raddle_runner_close(&runner), 0);
    }
    cr_assert_eq(rc, 0);
    cr_assert_gt(failed, 1);
}
