/*
 * runtime/debug.h - debug mode: what was asked for, and whether anything was.
 *
 * What is asked for belongs to a loop. Process-wide there are only two counts, of loops that want something, so that
 * who is about to do something rare asks one word whether anybody cares.
 */
#ifndef RDL_RUNTIME_DEBUG_H
#define RDL_RUNTIME_DEBUG_H

#include <stdbool.h>
#include <stdint.h>

#include "sched/atomic.h"

/* The words of RADDLE_DEBUG (raddle/debug.h). Zeroed: nothing. */
struct rdl_debug {
    bool move, scrub;
    bool checks;     /* "1" */
    int64_t slow_ns; /* a step that takes longer is reported; 0: none */
    uint32_t chain;  /* and so is a chain of so many callbacks; 0: none */
};

/*
 * What RADDLE_DEBUG and words (NULL: nothing) ask for; where both name a threshold, words. 0 with *out written, or
 * -EINVAL, with a report if the environment is wrong, or words are.
 */
int rdl_debug_read(const char *words, struct rdl_debug *out);

/* A loop with these settings has come, or goes. */
void rdl_debug_begin(const struct rdl_debug *debug);
void rdl_debug_end(const struct rdl_debug *debug);

/* In the child of a fork, which has no loops. */
void rdl_debug_after_fork(void);

/* In the model nothing is debugged: what is behind these is not compiled. */
#ifdef RDL_MODEL
static inline bool rdl_debug_checks(void)
{
    return false;
}

static inline bool rdl_debug_watches_calls(void)
{
    return false;
}
#else
extern rdl_atomic(uint32_t) rdl_debug_checking, rdl_debug_watching;

/* Some loop of the process has checks switched on. */
static inline bool rdl_debug_checks(void)
{
    return __builtin_expect(rdl_atomic_load_relaxed(&rdl_debug_checking) != 0, 0);
}

/* Some loop of the process wants its callbacks watched. */
static inline bool rdl_debug_watches_calls(void)
{
    return __builtin_expect(rdl_atomic_load_relaxed(&rdl_debug_watching) != 0, 0);
}
#endif

#endif
