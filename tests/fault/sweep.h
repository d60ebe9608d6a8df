/*
 * tests/fault/sweep.h - one scenario with one fault, in a process of its own.
 */
#ifndef TESTS_FAULT_SWEEP_H
#define TESTS_FAULT_SWEEP_H

#include "tests/fault/inject.h"
#include "tests/fault/scenarios.h"

/* What the process says of itself at its end. */
struct sweep_result {
    rdl_atomic(bool) done;
    int faulty, healthy; /* what the scenario returned with the fault, and then without */
    int descriptors, threads;
    int signals;   /* not back to the action that was set before */
    size_t stacks; /* in use */
    struct fault_held held;
};

struct sweep_shared {
    struct fault_shared fault;
    struct sweep_result result;
};

struct sweep_case {
    const struct fault_scenario *scenario;
    const char *driver; /* uring, epoll, or any: what the library picks */
    struct fault_plan plan;
    /* By the census: */
    unsigned calls[RDL_SYS_COUNT];
    struct fault_held held;
};

enum sweep_kind {
    SWEEP_FINE,
    SWEEP_TOLD,
    SWEEP_ENDED,
    SWEEP_CRASHED,
    SWEEP_HUNG,
    SWEEP_WRONG,  /* the scenario saw what no failure excuses */
    SWEEP_BROKEN, /* it doesn't work any more afterwards */
    SWEEP_LEFT,   /* something is left */
};

struct sweep_verdict {
    enum sweep_kind kind;
    int status; /* of waitpid() */
    unsigned injected;
    struct sweep_result result;
    char words[4000]; /* what the process wrote to standard error */
};

/* Runs c without a fault, which has to be fine, and fills in what it says about calls and memory. */
void sweep_census(struct sweep_shared *shared, struct sweep_case *c, struct sweep_verdict *v);

void sweep_run(struct sweep_shared *shared, const struct sweep_case *c, struct sweep_verdict *v);

/* Prints what was bad, and how to have it again. */
void sweep_report(const struct sweep_case *c, const struct sweep_verdict *v);

#endif
