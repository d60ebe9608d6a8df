/*
 * tests/conformance/sim_run.h - raddle_run() on a driver of that name, and in simulated worlds of one seed or of many.
 *
 * RADDLE_TEST_SEEDS says of how many, RADDLE_TEST_SEED the first (1).
 */
#ifndef TESTS_CONFORMANCE_SIM_RUN_H
#define TESTS_CONFORMANCE_SIM_RUN_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/support/fixture.h"

static inline int run_named(const char *name, unsigned loops, raddle_task_fn *fn, void *arg)
{
    struct raddle_run_options o = {.loops = loops, .driver = name};

    return raddle_run(fn, arg, &o);
}

/* options: "", or such as "loss=20,short=60". */
static inline int run_world(uint64_t seed, const char *options, unsigned loops, raddle_task_fn *fn,
                            void *arg)
{
    char name[128];

    snprintf(name, sizeof(name), "sim:seed=%" PRIu64 "%s%s", seed, *options ? "," : "", options);
    return run_named(name, loops, fn, arg);
}

static inline int run_seed(uint64_t seed, unsigned loops, raddle_task_fn *fn, void *arg)
{
    return run_world(seed, "", loops, fn, arg);
}

static inline unsigned long number_from(const char *name, unsigned long otherwise)
{
    const char *text = getenv(name);

    return text ? strtoul(text, NULL, 10) : otherwise;
}

/* Each of so many seeds on one loop and on three: 0, or the seed that went wrong. */
static inline uint64_t through_seeds(unsigned long seeds, const char *options, raddle_task_fn *fn,
                                     void *arg)
{
    uint64_t first = number_from("RADDLE_TEST_SEED", 1);
    uint64_t count = number_from("RADDLE_TEST_SEEDS", seeds);

    for (uint64_t seed = first; seed < first + count; seed++)
        for (unsigned loops = 1; loops <= 3; loops += 2) {
            int rc = run_world(seed, options, loops, fn, arg);
            if (rc != 0 || test_failures()) {
                fprintf(stderr, "%s%s%u loops, RADDLE_TEST_SEED=%" PRIu64 ": %d\n", options,
                        *options ? ", " : "", loops, seed, rc);
                return seed;
            }
        }
    return 0;
}

#endif
