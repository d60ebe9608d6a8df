/*
 * tests/conformance/test_spawn_hook.c - a policy that is asked before each spawn, asyncio's task factory.
 */
#include "tests/support/fixture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "runtime/loop.h"

TestSuite(spawn_hook, .timeout = 60);

struct asked {
    struct raddle_policy policy; /* first */
    rdl_atomic(unsigned) asked;
    raddle_task_fn *refused; /* is not spawned */
    bool refuses_all;
    raddle_ctx *context; /* of those that have a name */
};

static struct raddle_var variable = RADDLE_VAR_INIT("variable", "unset", NULL);

static int before_spawn(const struct raddle_policy *policy, raddle_task_fn *fn, void *arg,
                        const struct raddle_spawn_site *site, struct raddle_spawn_options *options)
{
    struct asked *self = (struct asked *)(uintptr_t)policy;

    (void)arg;
    rdl_atomic_fetch_add_relaxed(&self->asked, 1u);
    if (fn == self->refused || self->refuses_all)
        return -EDQUOT;
    if (options->name && strcmp(options->name, "named") == 0) {
        EXPECT(site && strstr(site->file, "test_spawn_hook.c") && site->line > 0);
        options->name = "renamed";
        options->stack_bytes = 200 * 1024;
        options->mobility = RADDLE_PINNED;
        options->context = self->context;
        options->loop = NULL; /* not looked at */
    }
    if (options->name && strcmp(options->name, "bad") == 0)
        options->mobility = (enum raddle_mobility)9;
    return 0;
}

/* More than the default stack has. */
static int uses_its_stack(void *arg)
{
    volatile char large[150 * 1024];

    for (size_t i = 0; i < sizeof(large); i += 4096)
        large[i] = (char)i;
    EXPECT(strcmp(raddle_task_name(raddle_self()), "renamed") == 0);
    EXPECT(strcmp(raddle_var_get(&variable), "set") == 0);
    EXPECT_EQ(rdl_atomic_load_relaxed(&rdl_fiber_self()->mobility), RADDLE_PINNED);
    *(unsigned *)arg += (unsigned)large[0] + 1;
    return 0;
}

static int refused_task(void *arg)
{
    EXPECT(!arg); /* never runs */
    return 0;
}

static int sets_variable(void *arg)
{
    return raddle_var_set(&variable, arg, NULL);
}

static int spawns(void *arg)
{
    struct asked *self = arg;
    struct raddle_spawn_options named = {.name = "named"}, bad = {.name = "bad"};
    unsigned before = rdl_atomic_load_relaxed(&self->asked), ran = 0;
    struct raddle_group g;
    raddle_task *task = NULL;

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, NULL, test_nothing, NULL, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, NULL, uses_its_stack, &ran, &named), 0);
    EXPECT(strcmp(named.name, "named") == 0 && named.stack_bytes == 0); /* it was given a copy */
    EXPECT_EQ(raddle_spawn(&g, &task, refused_task, &ran, NULL), -EDQUOT);
    EXPECT(task == NULL);
    EXPECT_EQ(raddle_spawn(&g, NULL, refused_task, &ran, &bad), -EDQUOT);
    EXPECT_EQ(raddle_spawn(&g, NULL, test_nothing, NULL, &bad), -EINVAL);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    EXPECT_EQ(ran, 1);
    EXPECT_EQ(rdl_atomic_load_relaxed(&self->asked) - before, 5);
    return 0;
}

static struct asked asked(const struct raddle_policy *base)
{
    struct asked a = {.policy = {.base = base, .name = "asked", .before_spawn = before_spawn},
                      .refused = refused_task};

    return a;
}

static void make_context(struct asked *a)
{
    cr_assert_eq(raddle_ctx_create(&a->context), 0);
    cr_assert_eq(raddle_ctx_run(a->context, sets_variable, (void *)(uintptr_t) "set"), 0);
}

/* G11 */
RuntimeTest(spawn_hook, is_told_of_every_spawn_and_may_change_it_or_refuse)
{
    struct asked a = asked(NULL);
    struct raddle_run_options options = {.loops = test_loops(), .policy = &a.policy};

    make_context(&a);
    cr_assert_eq(raddle_run(spawns, &a, &options), 0);
    raddle_ctx_unref(a.context);
}

/* G11 */
RuntimeTest(spawn_hook, is_its_bases_where_a_policy_has_none_and_nobodys_where_none_has)
{
    struct asked a = asked(NULL);
    struct raddle_policy derived = {.base = &a.policy, .name = "derived"};
    struct raddle_run_options options = {.loops = test_loops(), .policy = &derived};
    unsigned seen;

    make_context(&a);
    cr_assert_eq(raddle_run(spawns, &a, &options), 0);
    raddle_ctx_unref(a.context);
    seen = rdl_atomic_load_relaxed(&a.asked);
    cr_assert_eq(test_run_on(test_loops(), test_nothing, NULL), 0);
    cr_assert_eq(rdl_atomic_load_relaxed(&a.asked), seen);
}

static int spawns_refused_with_a_limit(void *arg)
{
    struct raddle_group_options limit = {.max_live = 1};
    struct raddle_group g;

    (void)arg;
    EXPECT_EQ(raddle_group_open(&g, &limit), 0);
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(raddle_spawn(&g, NULL, refused_task, NULL, NULL), -EDQUOT);
    EXPECT_EQ(raddle_spawn(&g, NULL, test_nothing, NULL, NULL), 0); /* the place is free */
    return raddle_group_close(&g, 0);
}

/* G11 */
RuntimeTest(spawn_hook, one_that_it_refuses_takes_no_place_of_a_group)
{
    struct asked a = asked(NULL);
    struct raddle_run_options options = {.loops = test_loops(), .policy = &a.policy};

    cr_assert_eq(raddle_run(spawns_refused_with_a_limit, NULL, &options), 0);
}

/* G11 */
RuntimeTest(spawn_hook, is_not_asked_for_main_tasks_so_that_a_loop_can_be_run_and_closed)
{
    struct asked a = asked(NULL);
    struct raddle_run_options options = {.loops = test_loops(), .policy = &a.policy};
    raddle_loop *loop = NULL;

    a.refuses_all = true;
    cr_assert_eq(raddle_run(test_nothing, NULL, &options), 0);
    cr_assert_eq(raddle_set_thread_policy(&a.policy), 0);
    cr_assert_eq(raddle_new_loop(&loop), 0);
    cr_assert_eq(raddle_loop_run_until_complete(loop, test_nothing, NULL), 0);
    cr_assert_eq(raddle_loop_close(loop), 0);
    cr_assert_eq(raddle_set_thread_policy(NULL), 0);
    cr_assert_eq(rdl_atomic_load_relaxed(&a.asked), 0);
}
