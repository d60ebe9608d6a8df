/*
 * tests/conformance/seeds.h - the scenarios that tests/conformance/sim_seeds.c takes through many seeds.
 *
 * Each is the main task of a simulated run, which sees to it that nothing is lost, nothing comes twice, and no
 * task is left. What it does depends on the seed alone: its argument is the state of a generator of random
 * numbers (test_random()) that the seed has begun.
 *
 * All loops share one thread, and change only where a task suspends: plain fields will do between tasks.
 */
#ifndef TESTS_CONFORMANCE_SEEDS_H
#define TESTS_CONFORMANCE_SEEDS_H

#include "tests/support/runtime.h"

/* seeds_pairs.c: each way to wait, with two things that want to end the wait at about the same moment. */
int seeds_pairs(void *random);

/* seeds_sync.c */
int seeds_semaphore(void *random);
int seeds_locks(void *random);
int seeds_condition(void *random);
int seeds_meetings(void *random);

/* seeds_share.c */
int seeds_channels(void *random);
int seeds_ends(void *random);
int seeds_watch(void *random);
int seeds_broadcast(void *random);
int seeds_generators(void *random);

/* seeds_group.c */
int seeds_groups(void *random);
int seeds_scopes(void *random);
int seeds_gather(void *random);

/* seeds_net.c */
int seeds_echo(void *random);
int seeds_broken_echo(void *random);

/* A number below bound. */
static inline unsigned seeds_below(uint32_t *random, unsigned bound)
{
    return test_random(random) % bound;
}

/* A short while: many of them end in the same moment as another, as a look at the clock takes up to a microsecond. */
static inline int64_t seeds_while(uint32_t *random)
{
    return (int64_t)seeds_below(random, 8) * RADDLE_US(1);
}

/* Some tasks may move at each suspension, some stay. */
static inline const struct raddle_spawn_options *seeds_mobility(uint32_t *random)
{
    static const struct raddle_spawn_options options[] = {
        {.mobility = RADDLE_MIGRATABLE}, {.mobility = RADDLE_FRESH}, {.mobility = RADDLE_PINNED}};

    return &options[seeds_below(random, 3)];
}

/* Spawns a task that there has to be. */
static inline void seeds_spawn(struct raddle_group *g, raddle_task **out, raddle_task_fn *fn,
                               void *arg, uint32_t *random)
{
    EXPECT_EQ(raddle_spawn(g, out, fn, arg, seeds_mobility(random)), 0);
}

/* A group of tasks of which each runs to its end. */
static inline void seeds_open(struct raddle_group *g)
{
    EXPECT_EQ(raddle_group_open(g, &(struct raddle_group_options){.mode = RADDLE_COLLECT}), 0);
}

/* Sleeps, whoever has cancelled the caller. */
static inline void seeds_pause(int64_t length_ns)
{
    struct raddle_scope shield;

    raddle_scope_enter(&shield, 0, RADDLE_SHIELD);
    EXPECT_EQ(raddle_scope_leave(&shield, raddle_sleep(length_ns)), 0);
}

#endif
