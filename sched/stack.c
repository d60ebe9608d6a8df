/*
 * sched/stack.c - the loops' caches of stacks, and when free memory goes back to the kernel.
 *
 * A stack is warm after use: its first page, and whatever its last user needed, are there. So the
 * stack used last is handed out first, and nothing is given back on the way: that is done by loops
 * that have nothing to run. What they give back is what nobody needed: the least that was free at
 * any moment of an interval (the low water mark). Half of it goes each interval, so a burst is
 * forgotten within seconds, and a load that comes in waves shorter than that keeps its stacks.
 *
 *     cache --half of its low water--> depot --half of its low water--> kernel
 *
 * When a stack can't be had, whatever is free goes back first, whichever class it is of.
 */
#include "sched/stack.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "sched/depot.h"
#include "sched/guard.h"
#include "sched/slab.h"
#include "sched/sys.h"

#define INTERVAL_NS INT64_C(100000000) /* between two looks at the low water marks */
#define WORK_NS     INT64_C(500000)    /* what one call of rdl_stack_trim() may take */
#define REST_NS     INT64_C(1000000)   /* and when the next is due if that was not enough */

enum { DEFAULT_CLASS = 1 };

static_assert((size_t)16 * 1024 << (2 * DEFAULT_CLASS) == RDL_STACK_DEFAULT_BYTES, "it is that");

/* How many stacks of each class a loop keeps; half of them move to and from the depot at once. */
static const uint16_t cache_limits[RDL_STACK_CLASSES] = {1024, 1024, 64, 16, 4, 2, 1};

/* Giving back from the depot: one thread at a time. */
static struct {
    rdl_atomic(bool) busy;
    rdl_atomic(int64_t) next_ns;     /* when the low water marks are looked at again */
    size_t goals[RDL_STACK_CLASSES]; /* stacks yet to give back of each class; under busy */
} trimmer;

static int class_for(size_t bytes)
{
    int k = 0;

    if (!bytes)
        return DEFAULT_CLASS;
    if (bytes > RDL_STACK_MAX_BYTES)
        return -EINVAL;
    while ((size_t)16 * 1024 << (2 * k) < bytes)
        k++;
    return k;
}

/* --- the cache --- */

static inline unsigned count_of(const struct rdl_stack_cache *cache, unsigned k)
{
    return rdl_atomic_load_relaxed(&cache->classes[k].count);
}

static inline void set_count(struct rdl_stack_cache *cache, unsigned k, unsigned count)
{
    rdl_atomic_store_relaxed(&cache->classes[k].count, count);
    if (count < cache->classes[k].low_water)
        cache->classes[k].low_water = count;
}

size_t rdl_stack_cache_count(const struct rdl_stack_cache *cache)
{
    size_t count = 0;

    for (unsigned k = 0; k < RDL_STACK_CLASSES; k++)
        count += count_of(cache, k);
    return count;
}

static struct rdl_stack *pop(struct rdl_stack_cache *cache, unsigned k)
{
    struct rdl_stack *stack = cache->classes[k].first;

    if (stack) {
        cache->classes[k].first = stack->next;
        set_count(cache, k, count_of(cache, k) - 1);
    }
    return stack;
}

/* Leaves the cache with the keep stacks used last. */
static void give(struct rdl_stack_cache *cache, unsigned k, unsigned keep)
{
    struct rdl_stack **link = &cache->classes[k].first;
    struct rdl_stack *rest;
    unsigned count = count_of(cache, k);

    if (count <= keep)
        return;
    for (unsigned i = 0; i < keep; i++)
        link = &(*link)->next;
    rest = *link;
    *link = NULL;
    set_count(cache, k, keep);
    rdl_depot_put(k, rest, count - keep);
}

void rdl_stack_cache_init(struct rdl_stack_cache *cache)
{
    memset(cache, 0, sizeof *cache);
}

void rdl_stack_cache_flush(struct rdl_stack_cache *cache)
{
    for (unsigned k = 0; k < RDL_STACK_CLASSES; k++)
        give(cache, k, 0);
    if (cache->linked)
        rdl_depot_unlink(cache);
    cache->linked = false;
}

static void link_cache(struct rdl_stack_cache *cache)
{
    if (!cache->linked)
        rdl_depot_link(cache);
    cache->linked = true;
}

/* --- get and put --- */

/* Takes up to max stacks of a class, mapping more when the depot has none. */
static int take(unsigned k, unsigned max, struct rdl_stack **list, unsigned *count)
{
    /* Another thread may be faster than we are, with the slab that we have just mapped. */
    while ((*count = rdl_depot_take(k, max, list)) == 0) {
        struct rdl_slab *slab;
        int rc = rdl_slab_map(k, &slab);

        if (rc < 0)
            return rc;
        rdl_depot_add(slab);
    }
    return 0;
}

static int take_one(struct rdl_stack_cache *cache, unsigned k, struct rdl_stack **out)
{
    struct rdl_stack *stack;
    unsigned count;
    int rc;

    if (!cache)
        return take(k, 1, out, &count);
    stack = pop(cache, k);
    if (!stack) {
        rc = take(k, (cache_limits[k] + 1u) / 2, &stack, &count);
        if (rc < 0)
            return rc;
        link_cache(cache);
        cache->classes[k].first = stack->next;
        set_count(cache, k, count - 1);
    }
    *out = stack;
    return 0;
}

/* The way of a get that found no guarded stack: by what is free elsewhere, guarded or mapped. */
static int take_scarce(struct rdl_stack_cache *cache, unsigned k, struct rdl_stack **out)
{
    unsigned count;
    int rc;

    if (cache)
        give(cache, k, 0);
    *out = rdl_depot_take_guarded(k);
    if (*out)
        return 0;
    rdl_stack_trim_all();
    rc = take(k, 1, out, &count);
    if (rc < 0)
        return rc;
    rc = (*out)->guarded ? 0 : rdl_slab_guard(*out);
    if (rc < 0)
        rdl_depot_put(k, *out, 1);
    return rc;
}

static rdl_atomic(unsigned) scrubbing; /* runs that asked for it */

void rdl_stack_scrub_begin(void)
{
    rdl_atomic_fetch_add_relaxed(&scrubbing, 1u);
}

void rdl_stack_scrub_end(void)
{
    rdl_atomic_fetch_sub_relaxed(&scrubbing, 1u);
}

static bool scrubs(void)
{
    return __builtin_expect(rdl_atomic_load_relaxed(&scrubbing) != 0, 0);
}

static void scrub(struct rdl_stack *stack)
{
    if (scrubs() && stack->dirty)
        rdl_slab_wipe(stack);
}

/* A warm stack is a few cache misses away: begin those of the one that is handed out after this one. Its
 * record was prefetched the last time. Tried: the one after that, which waits for a record (100,000 warm
 * spawns: 240 ns each, 330 with it), and slots instead of a list, from which any number ahead can be prefetched
 * (no difference: it is the page tables, which a virtual machine walks twice). */
static void prefetch_next(const struct rdl_stack_cache *cache, unsigned k)
{
    const struct rdl_stack *next = cache ? cache->classes[k].first : NULL;

    if (!next)
        return;
    __builtin_prefetch(next->next, 1);
    for (int line = 1; line <= 8; line++)
        __builtin_prefetch(next->top - line * 64, 1);
}

/* In use from now on. */
static void hand_out(const struct rdl_stack_cache *cache, unsigned k, struct rdl_stack *stack)
{
    prefetch_next(cache, k);
    stack->next = NULL;
    stack->touched = true;
    stack->dirty = true;
}

static __attribute__((noinline)) int get_slowly(struct rdl_stack_cache *cache, unsigned k,
                                                struct rdl_stack **out)
{
    struct rdl_stack *stack;
    int rc = take_one(cache, k, &stack);

    if (rc == 0 && !stack->guarded && rdl_slab_guard(stack) < 0) {
        stack->next = NULL;
        rdl_depot_put(k, stack, 1);
        rc = -ENOMEM;
    }
    if (rc < 0)
        rc = take_scarce(cache, k, &stack);
    if (rc < 0)
        return rc;
    scrub(stack);
    hand_out(cache, k, stack);
    *out = stack;
    return 0;
}

int rdl_stack_get(struct rdl_stack_cache *cache, size_t usable_bytes, struct rdl_stack **out)
{
    int k = class_for(usable_bytes);
    struct rdl_stack *stack;

    if (k < 0)
        return k;
    stack = cache ? cache->classes[k].first : NULL;
    if (__builtin_expect(!stack || !stack->guarded, 0) || scrubs())
        return get_slowly(cache, (unsigned)k, out);
    (void)pop(cache, (unsigned)k);
    hand_out(cache, (unsigned)k, stack);
    *out = stack;
    return 0;
}

static inline void push(struct rdl_stack_cache *cache, unsigned k, struct rdl_stack *stack)
{
    stack->next = cache->classes[k].first;
    cache->classes[k].first = stack;
    set_count(cache, k, count_of(cache, k) + 1);
}

static __attribute__((noinline)) void put_slowly(struct rdl_stack_cache *cache,
                                                 struct rdl_stack *stack)
{
    unsigned k = stack->size_class;

    scrub(stack);
    if (!cache) {
        stack->next = NULL;
        rdl_depot_put(k, stack, 1);
        return;
    }
    if (count_of(cache, k) >= cache_limits[k])
        give(cache, k, cache_limits[k] / 2u);
    link_cache(cache);
    push(cache, k, stack);
}

void rdl_stack_put(struct rdl_stack_cache *cache, struct rdl_stack *stack)
{
    if (!stack)
        return;
    assert(!rdl_atomic_load_relaxed(&stack->owner) && stack->guarded);
    if (__builtin_expect(!cache || !cache->linked, 0) ||
        count_of(cache, stack->size_class) >= cache_limits[stack->size_class] || scrubs())
        put_slowly(cache, stack);
    else
        push(cache, stack->size_class, stack);
}

/* --- giving back --- */

/* One piece of what the depot can spare of a class; returns how many stacks it was. */
static size_t shed_one(unsigned k)
{
    struct rdl_slab *slab;
    struct rdl_stack *list;
    unsigned count;

    switch (rdl_depot_shed(k, &slab, &list, &count)) {
    case RDL_SHED_SLAB:
        count = slab->count;
        rdl_slab_unmap(slab);
        return count;
    case RDL_SHED_STACKS:
        for (struct rdl_stack *stack = list; stack; stack = stack->next) {
            if (stack->touched)
                rdl_slab_clean(stack);
        }
        rdl_depot_put(k, list, count);
        return count;
    case RDL_SHED_NOTHING:
        break;
    }
    return 0;
}

void rdl_stack_trim_all(void)
{
    for (unsigned k = 0; k < RDL_STACK_CLASSES; k++) {
        while (shed_one(k))
            ;
    }
}

/* Gives to the depot; returns when to come again. */
static int64_t trim_cache(struct rdl_stack_cache *cache, int64_t now_ns)
{
    if (rdl_stack_cache_count(cache) == 0)
        return INT64_MAX;
    if (now_ns >= cache->trim_ns) {
        for (unsigned k = 0; k < RDL_STACK_CLASSES; k++) {
            unsigned count = count_of(cache, k);

            give(cache, k, count - (cache->classes[k].low_water + 1) / 2);
            cache->classes[k].low_water = count_of(cache, k);
        }
        cache->trim_ns = now_ns + INTERVAL_NS;
    }
    return rdl_stack_cache_count(cache) ? cache->trim_ns : INT64_MAX;
}

/* Under busy: gives to the kernel what the goals say, until end_ns. Returns whether they are
 * reached. */
static bool work_on_goals(int64_t end_ns)
{
    for (unsigned k = 0; k < RDL_STACK_CLASSES; k++) {
        while (trimmer.goals[k]) {
            size_t shed = shed_one(k);

            trimmer.goals[k] -= shed && shed < trimmer.goals[k] ? shed : trimmer.goals[k];
            if (rdl_sys_now() >= end_ns)
                return false;
        }
    }
    return true;
}

/* Gives to the kernel; returns when to come again. */
static int64_t trim_depot(int64_t now_ns)
{
    int64_t next_ns = rdl_atomic_load_relaxed(&trimmer.next_ns);
    int64_t begin_ns; /* now_ns may be of another clock, or old */

    if (!rdl_depot_has_spare())
        return INT64_MAX;
    if (now_ns < next_ns && next_ns - now_ns <= INTERVAL_NS)
        return next_ns;
    /* acquire pairs with the release below: the goals are those of the last who worked on them. */
    if (rdl_atomic_exchange_acquire(&trimmer.busy, true))
        return now_ns + INTERVAL_NS;
    begin_ns = rdl_sys_now();
    if (work_on_goals(begin_ns + WORK_NS)) {
        for (unsigned k = 0; k < RDL_STACK_CLASSES; k++)
            trimmer.goals[k] = (rdl_depot_low_water(k) + 1) / 2;
        next_ns = now_ns + INTERVAL_NS;
    } else {
        next_ns = now_ns + (rdl_sys_now() - begin_ns) + REST_NS;
    }
    rdl_atomic_store_relaxed(&trimmer.next_ns, next_ns);
    rdl_atomic_store_release(&trimmer.busy, false);
    return next_ns;
}

int64_t rdl_stack_trim(struct rdl_stack_cache *cache, int64_t now_ns)
{
    int64_t cache_ns = cache ? trim_cache(cache, now_ns) : INT64_MAX;
    int64_t depot_ns = trim_depot(now_ns);

    return cache_ns < depot_ns ? cache_ns : depot_ns;
}

/* --- statistics, fork --- */

void rdl_stack_stats(struct rdl_stack_stats *out)
{
    size_t free_stacks;
    size_t taken;

    *out = (struct rdl_stack_stats){.guard = RDL_STACK_GUARD_UNKNOWN};
    rdl_depot_stats(&free_stacks, &out->touched, &out->cached);
    rdl_slab_stats(out);
    rdl_guard_stats(out);
    taken = free_stacks + out->cached;
    out->in_use = out->stacks > taken ? out->stacks - taken : 0;
}

void rdl_stack_fork_lock(void)
{
    rdl_depot_fork_lock();
    rdl_slab_fork_lock();
}

void rdl_stack_fork_unlock(void)
{
    rdl_slab_fork_unlock();
    rdl_depot_fork_unlock();
}
