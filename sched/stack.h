/*
 * sched/stack.h - stacks to run coroutines on: by size class, guarded, cached and given back.
 *
 * Stacks come from slabs of up to 64 in one mapping, each with a guard of at least 64 KiB below it.
 * A guard that can't be had is -ENOMEM, never a stack without one. Each loop has a cache; a depot
 * with a lock is behind all caches.
 *
 * The record of a stack is not on the stack. It may be read, and its wait fired, for ever: records
 * are never unmapped. When a million stacks have been given back to the kernel, whole tables of
 * records read as zero until they are used again, and their waits then go on with generations that
 * were never seen.
 */
#ifndef RDL_SCHED_STACK_H
#define RDL_SCHED_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sched/annotate.h"
#include "sched/atomic.h"
#include "sched/wait.h"

enum {
    RDL_STACK_CLASSES = 7, /* 16 KiB, 64 KiB, 256 KiB, 1 MiB, 4 MiB, 16 MiB, 64 MiB */
    RDL_STACK_DEFAULT_BYTES = 64 * 1024,
    RDL_STACK_MAX_BYTES = 64 * 1024 * 1024,
    RDL_STACK_GUARD_BYTES = 64 * 1024 * (int)RDL_STACK_SCALE,
    /* A stack's top is below the end of its memory by up to this much, so that the tops of many
     * stacks don't share the same few sets of a cache. */
    RDL_STACK_COLOURS = 32,
    RDL_STACK_COLOUR_BYTES = 64,
};

/* One cache line. low, top, id and size_class change only while the stack is nobody's. */
struct rdl_stack {
    _Alignas(64) struct rdl_wait wait;
    struct rdl_stack *next;   /* in a cache or the depot; the owner's while the stack is in use */
    char *low;                /* usable: [low, top) */
    char *top;                /* a multiple of 64 */
    rdl_atomic(void *) owner; /* set by the user of the stack, who sets it back to NULL */
    /* Of a stack without an owner, which an owner's coroutine runs on for now: the stack that it came from. */
    rdl_atomic(struct rdl_stack *) user;
    uint32_t id;
    uint8_t size_class;
    bool guarded; /* the guard has been installed */
    bool touched; /* handed out since its memory was last given back */
    bool dirty;   /* may hold what was last left on it */
};

/* A loop's stacks that are ready to be used: the most recently used one first. Owner thread
 * only. */
struct rdl_stack_cache {
    struct {
        struct rdl_stack *first;
        rdl_atomic(unsigned) count; /* read by rdl_stack_stats() */
        unsigned low_water;         /* the least that count has been since the last trim */
    } classes[RDL_STACK_CLASSES];
    struct rdl_stack_cache *next; /* all caches that hold stacks, under the depot's lock */
    struct rdl_stack_cache *prev;
    bool linked;
    int64_t trim_ns; /* when the next trim is due; INT64_MAX: nothing to do */
};

void rdl_stack_cache_init(struct rdl_stack_cache *cache);

/* Any thread: how many stacks it has. */
size_t rdl_stack_cache_count(const struct rdl_stack_cache *cache);

/* Gives all to the depot. The cache may be used again, or its memory go away. */
void rdl_stack_cache_flush(struct rdl_stack_cache *cache);

/*
 * A stack of at least usable_bytes, less up to RDL_STACK_COLOURS cache lines; 0 is the default. Its
 * contents are undefined, its owner NULL and its wait idle. cache NULL: any thread, from the depot.
 * Returns 0, -EINVAL above RDL_STACK_MAX_BYTES, or -ENOMEM.
 */
int rdl_stack_get(struct rdl_stack_cache *cache, size_t usable_bytes, struct rdl_stack **out);

/* Takes a stack back on which nothing runs any more. cache NULL: any thread, to the depot. */
void rdl_stack_put(struct rdl_stack_cache *cache, struct rdl_stack *stack);

/* The memory of a stack that is in use, but for nothing that is on it: reads as zero until it is written again. False: it
 * is locked. The caller sees to touched and dirty when it is used again. */
bool rdl_stack_give_back(struct rdl_stack *stack);

/* Any thread: the record with this id, of a stack in use or not; NULL if there never was one. */
struct rdl_stack *rdl_stack_at(uint32_t id);

/* Async-signal-safe: the stack to which address belongs, or to whose guard; NULL if none. */
struct rdl_stack *rdl_stack_find(const void *address, bool *in_guard);

/* Any thread: calls fn for each record of a mapped slab, in use (owner is set) or not, until it
 * returns false. Stacks may come and go meanwhile. */
void rdl_stack_for_each(bool (*fn)(struct rdl_stack *stack, void *arg), void *arg);

/*
 * Gives memory that was free for a while back to the kernel. A loop calls it when it has nothing to
 * run and is about to sleep, with the time, and gets the time at which it wants to be called next:
 * INT64_MAX when there is nothing left to give. A loop that has nothing else to do sleeps no longer
 * than that.
 *
 * Each 100 ms, half of what was not needed at any moment of them goes: from the cache to the depot,
 * from the depot to the kernel. A call works for at most half a millisecond. cache may be NULL.
 */
int64_t rdl_stack_trim(struct rdl_stack_cache *cache, int64_t now_ns);

/* Any thread: gives everything that is free in the depot back to the kernel, now. */
void rdl_stack_trim_all(void);

enum rdl_stack_guard {
    RDL_STACK_GUARD_UNKNOWN,  /* no stack was needed yet */
    RDL_STACK_GUARD_REGIONS,  /* MADV_GUARD_INSTALL */
    RDL_STACK_GUARD_MPROTECT, /* two memory areas each, within the budget */
};

struct rdl_stack_stats {
    enum rdl_stack_guard guard;
    size_t slabs;        /* mapped */
    size_t stacks;       /* in them */
    size_t in_use;       /* handed out and not put back; exact when nothing moves */
    size_t cached;       /* free, in the loops' caches */
    size_t mapped_bytes; /* address space */
    size_t touched;      /* stacks in the depot that may hold memory */
    size_t areas;        /* memory areas that mprotect guards take of vm.max_map_count */
    size_t areas_budget; /* how many they may take */
};

void rdl_stack_stats(struct rdl_stack_stats *out);

/* What guards will be made of, found out now if it isn't known. */
enum rdl_stack_guard rdl_stack_guard_kind(void);

/* Guards made from now on: by mprotect only, or as the kernel allows. For tests and a policy
 * option. */
void rdl_stack_force_mprotect(bool on);

/*
 * Between begin and end, of which there may be several at once: a stack that is put is wiped, and so is one
 * that is handed out and was put before. Nothing of a coroutine is found by the next, or by who looks at the
 * memory of the process later. Any thread.
 */
void rdl_stack_scrub_begin(void);
void rdl_stack_scrub_end(void);

/* Tests: another budget of memory areas; 0 is the real one. */
void rdl_stack_set_areas_budget(size_t areas);

/* Around fork(), so that the child finds the depot whole: before it, and after it in both. */
void rdl_stack_fork_lock(void);
void rdl_stack_fork_unlock(void);

/* The usable bytes that a stack of this class has, less the colour. */
size_t rdl_stack_class_bytes(unsigned size_class);

#endif
