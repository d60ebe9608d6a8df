/*
 * tests/conformance/sim_run.h - raddle_run() on a driver of that name, and in a simulated world of that seed.
 */
#ifndef TESTS_CONFORMANCE_SIM_RUN_H
#define TESTS_CONFORMANCE_SIM_RUN_H

#include <inttypes.h>
#include <stdio.h>

#include "tests/support/fixture.h"

static inline int run_named(const char *name, unsigned loops, raddle_task_fn *fn, void *arg)
{
    struct raddle_run_options o = {.loops = loops, .driver = name};

    return raddle_run(fn, arg, &o);
}

static inline int run_seed(uint64_t seed, unsigned loops, raddle_task_fn *fn, void *arg)
{
    char name[64];

    snprintf(name, sizeof(name), "sim:seed=%" PRIu64, seed);
    return run_named(name, loops, fn, arg);
}

#endif
