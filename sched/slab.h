/*
 * sched/slab.h - mappings of up to 64 stacks, and the records of these stacks.
 *
 * Only sched/stack.c and sched/depot.c include this. A slab belongs to whoever mapped it until it
 * is added to the depot, and to whoever took it out.
 */
#ifndef RDL_SCHED_SLAB_H
#define RDL_SCHED_SLAB_H

#include "sched/stack.h"

enum {
    RDL_SLAB_STACKS = 64,
    RDL_SLAB_STACKS_SHIFT = 6,
};

/* The descriptor of a slab: a cache line, in a table that stays mapped. */
struct rdl_slab {
    rdl_atomic(char *) base; /* NULL while there is no mapping */
    struct rdl_slab *next; /* in a list of the depot, or in its table's list of free descriptors */
    struct rdl_slab *prev;
    struct rdl_stack *free;     /* the depot's: most recently used first */
    rdl_atomic(uint32_t) areas; /* memory areas that its mprotect guards take */
    uint32_t index;
    uint8_t count;                  /* of stacks */
    uint8_t free_count;             /* the depot's */
    uint8_t touched_count;          /* of the free ones; the depot's */
    rdl_atomic(uint8_t) size_class; /* written by whoever maps it */
};

/* Maps a slab of this class, all its stacks free and not yet guarded. 0, or -ENOMEM. */
int rdl_slab_map(unsigned size_class, struct rdl_slab **out);

/* Unmaps a slab all of whose stacks are free. slab is not to be touched any more. */
void rdl_slab_unmap(struct rdl_slab *slab);

/* Installs the guard of a stack that the caller has taken. 0, or -ENOMEM. */
int rdl_slab_guard(struct rdl_stack *stack);

/* Gives the memory of a stack that the caller has taken back to the kernel; guard and mapping
 * stay. */
void rdl_slab_clean(struct rdl_stack *stack);

/* Makes the memory of a stack that is nobody's zero. What few coroutines go beyond stays warm, the rest goes
 * back to the kernel. */
void rdl_slab_wipe(struct rdl_stack *stack);

/* The slab of a stack. */
struct rdl_slab *rdl_slab_of(const struct rdl_stack *stack);

/* The record of slot i. */
struct rdl_stack *rdl_slab_stack(const struct rdl_slab *slab, unsigned i);

/* Fills in slabs, stacks and mapped_bytes. */
void rdl_slab_stats(struct rdl_stack_stats *out);

void rdl_slab_fork_lock(void);
void rdl_slab_fork_unlock(void);

#endif
