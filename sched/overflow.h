/*
 * sched/overflow.h - reports the overflow of a coroutine's stack before the process dies of it.
 *
 * The report is written to standard error from a signal handler, which needs a stack of its own:
 * every thread that runs coroutines makes one. Then the signal goes where it would have gone: to
 * the handler that was there before, or to its default action.
 */
#ifndef RDL_SCHED_OVERFLOW_H
#define RDL_SCHED_OVERFLOW_H

#include <stdbool.h>
#include <stddef.h>

#include "sched/stack.h"

/*
 * Writes to fd whose stack it is (a task's name, where it was spawned), one line or more. Runs in a
 * signal handler of the thread that overflowed: async-signal-safe calls only.
 */
typedef void rdl_overflow_describe_fn(int fd, const struct rdl_stack *stack);

/* Any thread, any number of times: installs the handler of SIGSEGV and SIGBUS. 0 or -errno. */
int rdl_overflow_install(void);

/* Any thread, at any time: who describes a stack; NULL for nobody. */
void rdl_overflow_set_describe(rdl_overflow_describe_fn *describe);

/* What a thread has its signal stack in; zero before init and after fini. */
struct rdl_overflow_thread {
    void *mapping;
    size_t bytes;
    void *previous_low; /* the signal stack that the thread had before, NULL if none */
    size_t previous_bytes;
};

/* The calling thread: gives it a signal stack unless it has one that is large enough. 0 or
 * -errno. */
int rdl_overflow_thread_init(struct rdl_overflow_thread *thread);
void rdl_overflow_thread_fini(struct rdl_overflow_thread *thread);

#endif
