/*
 * tests/race/race_context.c - contexts are copied, changed and given back by many tasks and threads at once: each
 * sees what it set, or what it was started with, and every value is dropped once.
 *
 *     race_context [--rounds N]
 *
 * In a round a tree of tasks is spawned, each of which has its parent's context and changes it; half of them share
 * one raddle_ctx, which plain threads copy and read meanwhile.
 */
#define _GNU_SOURCE
#include "tests/support/runtime.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { VARS = 20, FAN = 4, DEPTH = 3, THREADS = 2, SETS = 8 };

static rdl_atomic(int) living;

static void drop(void *value)
{
    EXPECT(*(int *)value >= 0);
    *(int *)value = -1;
    free(value);
    rdl_atomic_fetch_sub_acq_rel(&living, 1);
}

static struct raddle_var vars[VARS];
static struct raddle_var depth_of = RADDLE_VAR_INIT("depth", NULL, NULL);

static void set(unsigned which, int value)
{
    int *memory = malloc(sizeof(*memory));

    *memory = value;
    rdl_atomic_fetch_add_acq_rel(&living, 1);
    EXPECT_EQ(raddle_var_set(&vars[which], memory, NULL), 0);
}

static int get(unsigned which)
{
    int *value = raddle_var_get(&vars[which]);

    return value ? *value : 0;
}

struct node {
    raddle_ctx *shared;
    unsigned depth;
    int expected; /* what the parent had set all to */
    uint32_t random;
};

static int grows(void *arg);

static void grow_on(const struct node *node, uint32_t *random, int mine)
{
    struct raddle_spawn_options own = {.mobility = RADDLE_MIGRATABLE};
    struct node children[FAN];
    struct raddle_group g;

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (unsigned i = 0; i < FAN; i++) {
        children[i] = (struct node){node->shared, node->depth + 1, mine, test_random(random)};
        EXPECT_EQ(raddle_spawn(&g, NULL, grows, &children[i], &own), 0);
    }
    for (unsigned i = 0; i < VARS; i++) /* while they read what was there */
        set(i, mine + 1);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    for (unsigned i = 0; i < VARS; i++)
        EXPECT_EQ(get(i), mine + 1);
}

static int grows(void *arg)
{
    struct node *node = arg;
    uint32_t random = node->random | 1;
    int mine = (int)(test_random(&random) % 1000000);

    for (unsigned i = 0; i < VARS; i++)
        EXPECT_EQ(get(i), node->expected);
    for (unsigned i = 0; i < VARS; i++)
        set(i, mine);
    if (test_random(&random) % 2)
        EXPECT_EQ(raddle_yield(), 0);
    if (node->depth < DEPTH)
        grow_on(node, &random, mine);
    return 0;
}

/* Values that are not dropped are read, whoever replaces them meanwhile. */
static const int depths[] = {0, 1, 2, 3, 4, 5, 6, 7};

static int shares(void *arg)
{
    struct node *node = arg;
    uint32_t random = node->random | 1;

    for (unsigned i = 0; i < SETS; i++) {
        const int *seen = raddle_var_get(&depth_of);
        EXPECT(seen >= depths && seen < depths + 8);
        EXPECT_EQ(raddle_var_set(&depth_of, &depths[test_random(&random) % 8], NULL), 0);
        set(test_random(&random) % VARS, 1);
        if (test_random(&random) % 4 == 0)
            EXPECT_EQ(raddle_yield(), 0);
    }
    return 0;
}

static int copies(void *arg)
{
    raddle_ctx *copy = NULL;
    const int *seen = raddle_var_get(&depth_of), *now;

    EXPECT_EQ(raddle_ctx_copy(&copy), 0);
    now = raddle_ctx_get(copy, &depth_of);
    EXPECT(seen >= depths && seen < depths + 8 && now >= depths && now < depths + 8);
    raddle_ctx_unref(copy);
    return *(int *)arg;
}

static void *reads(void *arg)
{
    raddle_ctx *ctx = arg;
    int three = 3, rc;

    for (unsigned i = 0; i < SETS * 4; i++) {
        const int *seen = raddle_ctx_get(ctx, &depth_of);
        EXPECT(seen >= depths && seen < depths + 8);
        rc = raddle_ctx_run(ctx, copies, &three); /* the other thread may be in it */
        EXPECT(rc == 3 || rc == -EBUSY);
    }
    raddle_ctx_unref(ctx);
    return NULL;
}

static int has_shared(void *arg)
{
    struct node node = *(struct node *)arg;
    struct raddle_spawn_options shared = {.mobility = RADDLE_MIGRATABLE};
    struct node children[FAN];
    struct raddle_group g;
    pthread_t threads[THREADS];

    for (unsigned i = 0; i < VARS; i++)
        set(i, node.expected);
    EXPECT_EQ(raddle_var_set(&depth_of, &depths[0], NULL), 0);
    EXPECT_EQ(raddle_ctx_copy(&shared.context), 0);
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        (void)raddle_ctx_ref(shared.context);
        EXPECT_EQ(pthread_create(&threads[i], NULL, reads, shared.context), 0);
    }
    for (unsigned i = 0; i < FAN; i++) {
        children[i] = (struct node){.random = test_random(&node.random)};
        EXPECT_EQ(raddle_spawn(&g, NULL, shares, &children[i], &shared), 0);
    }
    raddle_ctx_unref(shared.context);
    EXPECT_EQ(raddle_spawn(&g, NULL, grows, &node, NULL), 0);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    return 0;
}

int main(int argc, char **argv)
{
    unsigned long rounds = test_argument(argc, argv, "--rounds", 30);

    for (unsigned i = 0; i < VARS; i++)
        vars[i] = (struct raddle_var)RADDLE_VAR_INIT("v", NULL, drop);
    for (unsigned long i = 1; i <= rounds; i++) {
        struct node root = {.expected = 7, .random = (uint32_t)i * 2654435761u};
        EXPECT_EQ(test_run(has_shared, &root), 0);
        EXPECT_EQ(rdl_atomic_load_acquire(&living), 0);
    }
    return test_result();
}
