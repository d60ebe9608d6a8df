/*
 * sched/depot.h - the free stacks that no loop has in its cache, by slab.
 *
 * Only sched/stack.c includes this. A stack belongs to whoever took it until it is put back. Any
 * thread.
 */
#ifndef RDL_SCHED_DEPOT_H
#define RDL_SCHED_DEPOT_H

#include "sched/slab.h"

/* Takes up to max free stacks of a class, linked by next; returns how many. Maps nothing. */
unsigned rdl_depot_take(unsigned size_class, unsigned max, struct rdl_stack **list);

/* Takes a free stack of a class whose guard has been installed, NULL if there is none. */
struct rdl_stack *rdl_depot_take_guarded(unsigned size_class);

/* Puts a list of count stacks of one class back. */
void rdl_depot_put(unsigned size_class, struct rdl_stack *list, unsigned count);

/* Adds a slab that was just mapped. */
void rdl_depot_add(struct rdl_slab *slab);

/* What rdl_depot_shed() found. */
enum rdl_shed {
    RDL_SHED_NOTHING,
    RDL_SHED_SLAB,  /* a slab that is wholly free, now the caller's */
    RDL_SHED_STACKS /* free stacks that may hold memory, now the caller's */
};

/* What the depot can spare of a class, one piece at a time: whole slabs first. */
enum rdl_shed rdl_depot_shed(unsigned size_class, struct rdl_slab **slab, struct rdl_stack **list,
                             unsigned *count);

/* The least number of stacks of a class that were free since the last call, which begins anew. */
size_t rdl_depot_low_water(unsigned size_class);

/* Whether rdl_depot_shed() would find something of any class; cheap. */
bool rdl_depot_has_spare(void);

/* The caches that hold stacks, for the statistics. */
void rdl_depot_link(struct rdl_stack_cache *cache);
void rdl_depot_unlink(struct rdl_stack_cache *cache);
void rdl_depot_stats(size_t *free_stacks, size_t *touched, size_t *cached);

void rdl_depot_fork_lock(void);
void rdl_depot_fork_unlock(void);

#endif
