/*
 * sched/guard.h - makes a range of a mapping fault on any access, within what the kernel allows.
 *
 * What stacks' users need of it (which kind it is, to force one) is in sched/stack.h.
 */
#ifndef RDL_SCHED_GUARD_H
#define RDL_SCHED_GUARD_H

#include "sched/stack.h"

enum { RDL_GUARD_PAGE_BYTES_MAX = 64 * 1024 };

/*
 * Guards [low, low + bytes), both multiples of the page size. Returns how many memory areas it took
 * of the budget, which go back with rdl_guard_release() once the mapping is gone, or -ENOMEM.
 */
int rdl_guard_install(char *low, size_t bytes);
void rdl_guard_release(size_t areas);

/* Fills in guard, areas and areas_budget. */
void rdl_guard_stats(struct rdl_stack_stats *out);

#endif
