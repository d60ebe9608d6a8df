/*
 * runtime/generator.h - a generator, as its task and who prints it see it.
 */
#ifndef RDL_RUNTIME_GENERATOR_H
#define RDL_RUNTIME_GENERATOR_H

#include <raddle/generator.h>

#include "runtime/task.h"
#include "sched/coroutine.h"
#include "sched/stack.h"

/* At the top of its own stack. */
struct raddle_gen {
    struct rdl_coroutine inside; /* its own context, while it doesn't run */
    struct rdl_coroutine caller; /* that of who asked for an item, while it runs */
    struct rdl_stack *stack;
    raddle_gen_fn *fn;
    void *arg;
    const char *name;
    rdl_atomic(uint32_t) busy; /* somebody runs it: what is below is theirs */
    uint8_t state;
    bool closing;
    unsigned refused; /* yields since it is being closed */
    int rc;           /* what fn returned, once it has ended */
    int thrown;       /* what the pending yield is to return */
    void *item;
    void *sent;

    /* While it runs. */
    struct rdl_task *task;
    struct raddle_gen *outer; /* in which it was asked */
    struct rdl_scope *scope;  /* the task's innermost when it was asked */
    uint32_t depth;           /* of the calls with other variables: see runtime/context.h */
};

#endif
