/*
 * sched/unwind.h - the frames of a stack that stands still, found on a copy of it.
 */
#ifndef RDL_SCHED_UNWIND_H
#define RDL_SCHED_UNWIND_H

#include <stdbool.h>
#include <stddef.h>

struct rdl_coroutine;

/* Where a stack goes on: see rdl_coroutine_frames(). */
struct rdl_unwind {
    void *pc, *fp, *sp;
};

/* Where co goes on, which may be running: then it is garbage, but for at->sp, which is between low and top. False: co
 * stands on another stack, or this is not known on this processor. */
bool rdl_unwind_begin(struct rdl_unwind *at, const struct rdl_coroutine *co, const char *low,
                      const char *top);

/*
 * Copies [at->sp, top), which another thread may be writing to, to copy, and makes what points into it point into
 * the copy. The caller finds out whether what was copied was whole.
 */
void rdl_unwind_copy(struct rdl_unwind *at, const char *top, char *copy);

/* The return addresses of a copied stack, the innermost first: how many. Not in a
 * signal handler. */
int rdl_unwind_frames(const struct rdl_unwind *at, void **pcs, int max);

#endif
