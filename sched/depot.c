/*
 * sched/depot.c - one lock over the free stacks of all classes, kept by the slab they are in.
 *
 * The danger is memory that never goes back: if free stacks were one list, a million of them would
 * come back in any order, and each slab would keep one or two in use for ever. So a stack returns
 * to its slab, slabs that are partly in use are used up first, and slabs that are wholly free wait
 * on a list of their own, from which they can be unmapped with their page tables.
 *
 *     a slab is in the list   when its free stacks are   its free stacks belong to
 *     PART                    some, not all              the depot (the lock)
 *     WHOLE                   all                        the depot (the lock)
 *     none                    none, or it was shed       their users; whoever shed it
 *
 * A slab that is shed was in WHOLE: no stack of it is anywhere else, so the caller owns it alone
 * and may unmap it without the lock. Stacks that are shed are out of their slab like stacks in use:
 * nobody else can be handed them while the caller gives their memory back, and no one can shed
 * their slab.
 *
 * All orderings are the lock's. What the last user of a stack wrote happens before its put, the put
 * before the take, the take before the next user.
 */
#include "sched/depot.h"

#include <assert.h>

#include "sched/lock.h"

struct list {
    struct rdl_slab *first;
    struct rdl_slab *last;
};

static struct {
    struct rdl_lock lock;
    struct {
        struct list part;
        struct list whole;
        size_t free;
        size_t low_water;
        size_t touched;
    } classes[RDL_STACK_CLASSES];
    struct rdl_stack_cache *caches;
    /* Stacks that may hold memory and slabs in WHOLE: written under the lock, and read without it by
     * loops that ask before each sleep whether there is anything to give back. */
    rdl_atomic(size_t) spare;
} depot;

/* Under the lock. */
static void add_spare(size_t n)
{
    rdl_atomic_store_relaxed(&depot.spare, rdl_atomic_load_relaxed(&depot.spare) + n);
}

static void push(struct list *list, struct rdl_slab *slab)
{
    slab->prev = NULL;
    slab->next = list->first;
    if (list->first)
        list->first->prev = slab;
    else
        list->last = slab;
    list->first = slab;
}

static void append(struct list *list, struct rdl_slab *slab)
{
    slab->next = NULL;
    slab->prev = list->last;
    if (list->last)
        list->last->next = slab;
    else
        list->first = slab;
    list->last = slab;
}

static void unlink_slab(struct list *list, struct rdl_slab *slab)
{
    if (slab->prev)
        slab->prev->next = slab->next;
    else
        list->first = slab->next;
    if (slab->next)
        slab->next->prev = slab->prev;
    else
        list->last = slab->prev;
}

static unsigned class_of(const struct rdl_slab *slab)
{
    return rdl_atomic_load_relaxed(&slab->size_class);
}

/* Under the lock: takes the stack at link out of the free ones of its slab. */
static struct rdl_stack *take_at(struct rdl_slab *slab, struct rdl_stack **link)
{
    unsigned k = class_of(slab);
    struct rdl_stack *stack = *link;

    if (slab->free_count == slab->count) {
        unlink_slab(&depot.classes[k].whole, slab);
        push(&depot.classes[k].part, slab);
        add_spare((size_t)0 - 1);
    }
    *link = stack->next;
    if (--slab->free_count == 0)
        unlink_slab(&depot.classes[k].part, slab);
    slab->touched_count = (uint8_t)(slab->touched_count - stack->touched);
    depot.classes[k].touched -= stack->touched;
    add_spare((size_t)0 - stack->touched);
    depot.classes[k].free--;
    if (depot.classes[k].free < depot.classes[k].low_water)
        depot.classes[k].low_water = depot.classes[k].free;
    return stack;
}

/* Under the lock: takes the stack used last. */
static struct rdl_stack *take_one(struct rdl_slab *slab)
{
    return take_at(slab, &slab->free);
}

/* Under the lock: takes all that may hold memory out of a slab. */
static struct rdl_stack *take_touched(struct rdl_slab *slab, unsigned *count)
{
    struct rdl_stack *list = NULL;
    struct rdl_stack **link = &slab->free;

    *count = 0;
    while (slab->touched_count) {
        if ((*link)->touched) {
            struct rdl_stack *stack = take_at(slab, link);

            stack->next = list;
            list = stack;
            ++*count;
        } else {
            link = &(*link)->next;
        }
    }
    return list;
}

/* Under the lock. Stacks without a guard stay behind those that have one, in slab and list: when no
 * more guards can be had, the first are the ones that can still be used. */
static void put_one(struct rdl_stack *stack)
{
    struct rdl_slab *slab = rdl_slab_of(stack);
    unsigned k = class_of(slab);
    struct rdl_stack **link = &slab->free;
    struct list *list;

    assert(slab->free_count < slab->count);
    while (!stack->guarded && *link && (*link)->guarded)
        link = &(*link)->next;
    stack->next = *link;
    *link = stack;
    if (slab->free_count++ > 0)
        unlink_slab(&depot.classes[k].part, slab);
    list = slab->free_count == slab->count ? &depot.classes[k].whole : &depot.classes[k].part;
    if (slab->free->guarded)
        push(list, slab);
    else
        append(list, slab);
    slab->touched_count = (uint8_t)(slab->touched_count + stack->touched);
    depot.classes[k].touched += stack->touched;
    add_spare((size_t)stack->touched + (slab->free_count == slab->count));
    depot.classes[k].free++;
}

unsigned rdl_depot_take(unsigned size_class, unsigned max, struct rdl_stack **list)
{
    struct rdl_stack *taken = NULL;
    struct rdl_stack **end = &taken;
    unsigned n = 0;

    rdl_lock_acquire(&depot.lock);
    while (n < max) {
        struct rdl_slab *slab = depot.classes[size_class].part.first;

        if (!slab)
            slab = depot.classes[size_class].whole.first;
        if (!slab)
            break;
        *end = take_one(slab);
        end = &(*end)->next;
        n++;
    }
    *end = NULL;
    rdl_lock_release(&depot.lock);
    *list = taken;
    return n;
}

struct rdl_stack *rdl_depot_take_guarded(unsigned size_class)
{
    struct rdl_stack *stack = NULL;
    struct rdl_slab *slab;

    rdl_lock_acquire(&depot.lock);
    slab = depot.classes[size_class].part.first;
    while (slab && !slab->free->guarded)
        slab = slab->next;
    if (!slab) {
        slab = depot.classes[size_class].whole.first;
        while (slab && !slab->free->guarded)
            slab = slab->next;
    }
    if (slab)
        stack = take_one(slab);
    rdl_lock_release(&depot.lock);
    return stack;
}

void rdl_depot_put(unsigned size_class, struct rdl_stack *list, unsigned count)
{
    rdl_lock_acquire(&depot.lock);
    while (list) {
        struct rdl_stack *stack = list;

        assert(stack->size_class == size_class && count > 0);
        list = stack->next;
        count--;
        put_one(stack);
    }
    rdl_lock_release(&depot.lock);
    (void)size_class;
    (void)count;
}

void rdl_depot_add(struct rdl_slab *slab)
{
    unsigned k = class_of(slab);

    rdl_lock_acquire(&depot.lock);
    append(&depot.classes[k].whole, slab);
    add_spare(1);
    depot.classes[k].free += slab->count;
    rdl_lock_release(&depot.lock);
}

enum rdl_shed rdl_depot_shed(unsigned size_class, struct rdl_slab **slab, struct rdl_stack **list,
                             unsigned *count)
{
    enum rdl_shed found = RDL_SHED_NOTHING;
    struct list *part = &depot.classes[size_class].part;
    struct list *whole = &depot.classes[size_class].whole;

    rdl_lock_acquire(&depot.lock);
    if (whole->last) {
        *slab = whole->last;
        unlink_slab(whole, *slab);
        depot.classes[size_class].touched -= (*slab)->touched_count;
        add_spare((size_t)0 - (*slab)->touched_count - 1);
        depot.classes[size_class].free -= (*slab)->count;
        if (depot.classes[size_class].free < depot.classes[size_class].low_water)
            depot.classes[size_class].low_water = depot.classes[size_class].free;
        found = RDL_SHED_SLAB;
    } else if (depot.classes[size_class].touched) {
        /* Those that were looked at before have gone to the front. */
        struct rdl_slab *source = part->last;

        while (!source->touched_count)
            source = source->prev;
        *list = take_touched(source, count);
        found = RDL_SHED_STACKS;
    }
    rdl_lock_release(&depot.lock);
    return found;
}

size_t rdl_depot_low_water(unsigned size_class)
{
    size_t low_water;

    rdl_lock_acquire(&depot.lock);
    low_water = depot.classes[size_class].low_water;
    depot.classes[size_class].low_water = depot.classes[size_class].free;
    rdl_lock_release(&depot.lock);
    return low_water;
}

bool rdl_depot_has_spare(void)
{
    return rdl_atomic_load_relaxed(&depot.spare) != 0;
}

void rdl_depot_link(struct rdl_stack_cache *cache)
{
    rdl_lock_acquire(&depot.lock);
    cache->prev = NULL;
    cache->next = depot.caches;
    if (depot.caches)
        depot.caches->prev = cache;
    depot.caches = cache;
    rdl_lock_release(&depot.lock);
}

void rdl_depot_unlink(struct rdl_stack_cache *cache)
{
    rdl_lock_acquire(&depot.lock);
    if (cache->prev)
        cache->prev->next = cache->next;
    else
        depot.caches = cache->next;
    if (cache->next)
        cache->next->prev = cache->prev;
    rdl_lock_release(&depot.lock);
}

void rdl_depot_stats(size_t *free_stacks, size_t *touched, size_t *cached)
{
    *free_stacks = *touched = *cached = 0;
    rdl_lock_acquire(&depot.lock);
    for (unsigned k = 0; k < RDL_STACK_CLASSES; k++) {
        *free_stacks += depot.classes[k].free;
        *touched += depot.classes[k].touched;
    }
    for (const struct rdl_stack_cache *cache = depot.caches; cache; cache = cache->next)
        *cached += rdl_stack_cache_count(cache);
    rdl_lock_release(&depot.lock);
}

void rdl_depot_fork_lock(void)
{
    rdl_lock_acquire(&depot.lock);
}

void rdl_depot_fork_unlock(void)
{
    rdl_lock_release(&depot.lock);
}
