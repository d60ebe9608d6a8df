/*
 * tests/conformance/child.h - a task that sleeps, then returns, and tells what it saw; for many of the cases.
 */
#ifndef TESTS_CONFORMANCE_CHILD_H
#define TESTS_CONFORMANCE_CHILD_H

#include <errno.h>

#include "tests/support/fixture.h"

enum { SHORT = 5 * 1000000, LONG = 20 * 1000000 };

struct child {
    int64_t sleep_ns; /* RADDLE_NEVER: until it is cancelled */
    int rc;           /* what it returns when it was not cancelled */
    int cleanup_rc;   /* and when it was; 0: -ECANCELED */
    bool cancelled;
    rdl_atomic(unsigned) began, ended;
};

static inline int child(void *arg)
{
    struct child *c = arg;
    int rc;

    rdl_atomic_fetch_add_acq_rel(&c->began, 1u);
    rc = c->sleep_ns == RADDLE_NEVER ? raddle_sleep_until(RADDLE_NEVER) : raddle_sleep(c->sleep_ns);
    c->cancelled = rc == -ECANCELED;
    rdl_atomic_fetch_add_acq_rel(&c->ended, 1u);
    if (rc < 0)
        return c->cleanup_rc ? c->cleanup_rc : rc;
    return c->rc;
}

/* What can't be spawned. */
static raddle_task_fn *const no_fn;

#define SPAWN(group, out, fn, arg) EXPECT_EQ(raddle_spawn(group, out, fn, arg, NULL), 0)
#define OPEN(group, ...)                                                                           \
    EXPECT_EQ(raddle_group_open((group), &(struct raddle_group_options){__VA_ARGS__}), 0)

/* The case runs as the main task. */
#define Conform(suite, name)                                                                       \
    static int suite##_##name##_task(void *arg);                                                   \
    RuntimeTest(suite, name)                                                                       \
    {                                                                                              \
        cr_assert_eq(test_run(suite##_##name##_task, NULL), 0);                                    \
    }                                                                                              \
    static int suite##_##name##_task(__attribute__((unused)) void *arg)

#endif
