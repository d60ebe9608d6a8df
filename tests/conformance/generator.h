/*
 * tests/conformance/generator.h - what the tests of generators share: to open one, to ask it, to keep what is reported.
 */
#ifndef TESTS_CONFORMANCE_GENERATOR_H
#define TESTS_CONFORMANCE_GENERATOR_H

#include <string.h>

#include "tests/support/fixture.h"

#define open_gen(fn, arg) open_named((fn), (arg), #fn)

static inline raddle_gen *open_named(raddle_gen_fn *fn, void *arg, const char *name)
{
    raddle_gen *gen = NULL;

    EXPECT_EQ(raddle_gen_open_at(&gen, fn, arg, NULL, name), 0);
    return gen;
}

/* What comes next, an int: or -1 at the end, and the error. */
static inline int next_of(raddle_gen *gen)
{
    void *item = NULL;
    int rc = raddle_gen_next(gen, NULL, &item);

    return rc == 1 ? *(int *)item : rc == 0 ? -1 : rc;
}

static char reported[512];

static inline void note(const char *line, void *arg)
{
    (void)arg;
    strncpy(reported, line, sizeof(reported) - 1);
}

#endif
