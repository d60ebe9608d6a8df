/*
 * raddle/bench_skynet.c - a million tasks that add up their numbers: each starts ten, down to the leaves.
 *
 *     skynet.L            on L loops; per leaf, so that nanoseconds are the milliseconds of a million. One loop
 *                         runs fresh tasks in spawn order, which is breadth first: there each is started eagerly
 */
#include "tools/raddle/bench.h"

#include <stdio.h>

enum { BRANCHES = 10 };

struct tree {
    struct rdl_bench *bench;
    uint64_t leaves;
};

static const struct raddle_spawn_options eagerly = {.eager_start = true};

struct node {
    const struct raddle_spawn_options *how; /* its branches are started */
    uint64_t number, leaves;                /* the numbers of its leaves begin with number */
    uint64_t sum;                           /* written by its task */
};

static int node_task(void *arg);

static int branch_out(struct node *node)
{
    struct node branch[BRANCHES] = {{0}};
    uint64_t share = node->leaves / BRANCHES;
    struct raddle_group group;
    int rc = raddle_group_open(&group, NULL);

    for (unsigned i = 0; rc == 0 && i < BRANCHES; i++) {
        branch[i] =
            (struct node){.how = node->how, .number = node->number + i * share, .leaves = share};
        rc = raddle_spawn(&group, NULL, node_task, &branch[i], node->how);
    }
    rc = raddle_group_close(&group, rc);
    node->sum = 0;
    for (unsigned i = 0; i < BRANCHES; i++)
        node->sum += branch[i].sum;
    return rc;
}

static int node_task(void *arg)
{
    struct node *node = arg;

    if (node->leaves > 1)
        return branch_out(node);
    node->sum = node->number;
    return 0;
}

static int grow(void *arg, struct rdl_series *series)
{
    const struct tree *tree = arg;
    struct node root = {.how = raddle_loop_count() == 1 ? &eagerly : NULL, .leaves = tree->leaves};
    uint64_t wanted = tree->leaves * (tree->leaves - 1) / 2;
    struct rdl_stopwatch watch;
    int rc;

    rdl_stopwatch_start(&watch);
    rc = node_task(&root);
    rdl_stopwatch_add(&watch, tree->leaves, series);
    if (rc == 0 && root.sum != wanted)
        rc = rdl_bench_wrong("skynet", root.sum, wanted);
    return rc;
}

static int skynet_main(void *arg)
{
    struct tree *tree = arg;
    char name[32];

    (void)snprintf(name, sizeof name, "skynet.%u", raddle_loop_count());
    return rdl_bench_repeat(tree->bench, name, "ns", grow, tree);
}

/* The power of ten that is nearest from below: each node has ten branches, or is a leaf. */
static uint64_t leaves_of(const struct rdl_bench *bench)
{
    uint64_t asked = bench->count ? bench->count : bench->quick ? 100 * 1000 : 1000 * 1000;
    uint64_t leaves = 1;

    while (leaves <= asked / BRANCHES)
        leaves *= BRANCHES;
    return leaves;
}

int rdl_bench_skynet(struct rdl_bench *bench)
{
    struct tree tree = {bench, leaves_of(bench)};
    unsigned loops = bench->run.loops ? bench->run.loops : bench->cpus;
    int status = 0;

    if (!bench->run.loops || loops == 1)
        status |= rdl_bench_run(bench, 1, skynet_main, &tree);
    if (loops > 1)
        status |= rdl_bench_run(bench, loops, skynet_main, &tree);
    return status;
}
