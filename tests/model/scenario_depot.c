/*
 * tests/model/scenario_depot.c - stacks that go from loop to loop through the depot, and back to the kernel:
 * none is handed out twice, none is unmapped or cleaned while it is in use, none is lost.
 *
 * The shipping caches and depot, over slabs of two stacks that are made here. The depot has no beginning of
 * its own: what one schedule leaves behind, the next would find, so each gives everything back.
 */
#include "sched/stack.h"

#include <errno.h>

#include "sched/guard.h"
#include "sched/lock.h"
#include "sched/slab.h"
#include "sched/sys.h"
#include "tests/model/model.h"

enum { SLABS = 3, EACH = 2, STACKS = SLABS * EACH, LOOPS = 2 };

static struct rdl_slab slabs[SLABS];
static struct rdl_stack records[STACKS];
static bool mapped[SLABS];       /* under map_lock */
static struct rdl_lock map_lock; /* a slab that is unmapped may be mapped at once by another */
static unsigned in_use[STACKS];  /* plain: its user's */
static char memory[STACKS][8];   /* what a user writes to */
static struct rdl_stack_cache caches[LOOPS];
static bool guards_fail;
static unsigned trims; /* so far: each is at a later time */

/* sched/slab.h */

struct rdl_slab *rdl_slab_of(const struct rdl_stack *stack)
{
    return &slabs[(stack - records) / EACH];
}

struct rdl_stack *rdl_slab_stack(const struct rdl_slab *slab, unsigned i)
{
    return &records[(slab - slabs) * EACH + (ptrdiff_t)i];
}

int rdl_slab_map(unsigned size_class, struct rdl_slab **out)
{
    struct rdl_slab *slab = NULL;

    rdl_lock_acquire(&map_lock);
    for (unsigned i = 0; i < SLABS && !slab; i++)
        if (!mapped[i]) {
            mapped[i] = true;
            slab = &slabs[i];
        }
    rdl_lock_release(&map_lock);
    if (!slab)
        return -ENOMEM;
    slab->next = slab->prev = NULL;
    slab->free = NULL;
    slab->count = slab->free_count = EACH;
    slab->touched_count = 0;
    rdl_atomic_store_relaxed(&slab->size_class, (uint8_t)size_class);
    for (unsigned i = EACH; i-- > 0;) {
        struct rdl_stack *stack = rdl_slab_stack(slab, i);

        model_unpoison(memory[stack - records], sizeof memory[0]);
        stack->size_class = (uint8_t)size_class;
        stack->guarded = stack->touched = false;
        stack->next = slab->free;
        slab->free = stack;
    }
    *out = slab;
    return 0;
}

void rdl_slab_unmap(struct rdl_slab *slab)
{
    size_t which = (size_t)(slab - slabs);

    model_check(slab->free_count == slab->count);
    for (size_t i = which * EACH; i < (which + 1) * EACH; i++) {
        model_check(!in_use[i]);
        model_poison(memory[i], sizeof memory[0]);
    }
    rdl_lock_acquire(&map_lock);
    mapped[which] = false;
    rdl_lock_release(&map_lock);
}

int rdl_slab_guard(struct rdl_stack *stack)
{
    if (guards_fail && model_choose(2))
        return -ENOMEM;
    stack->guarded = true;
    return 0;
}

void rdl_slab_clean(struct rdl_stack *stack)
{
    model_check(!in_use[stack - records]);
    stack->touched = false;
    memory[stack - records][0] = 0;
}

void rdl_slab_wipe(struct rdl_stack *stack)
{
    rdl_slab_clean(stack);
}

void rdl_slab_stats(struct rdl_stack_stats *out)
{
    (void)out;
}

void rdl_slab_fork_lock(void)
{
}

void rdl_slab_fork_unlock(void)
{
}

void rdl_guard_stats(struct rdl_stack_stats *out)
{
    (void)out;
}

int64_t rdl_sys_now(void)
{
    return 1000;
}

/* The users. */

static void begin(void)
{
    rdl_atomic_init(&map_lock.held, 0u);
    guards_fail = false;
    for (unsigned i = 0; i < SLABS; i++)
        mapped[i] = false;
    for (unsigned i = 0; i < STACKS; i++)
        in_use[i] = 0;
    for (unsigned i = 0; i < LOOPS; i++)
        rdl_stack_cache_init(&caches[i]);
}

static struct rdl_stack *get(struct rdl_stack_cache *cache)
{
    struct rdl_stack *stack;

    if (rdl_stack_get(cache, 0, &stack) < 0)
        return NULL;
    model_check(stack->guarded);
    model_check(in_use[stack - records]++ == 0);
    memory[stack - records][0] = 1;
    return stack;
}

static void put(struct rdl_stack_cache *cache, struct rdl_stack *stack)
{
    if (!stack)
        return;
    model_check(--in_use[stack - records] == 0);
    rdl_stack_put(cache, stack);
}

/* A loop: two stacks at once, one of them through its cache. */
static void loop(void *arg)
{
    struct rdl_stack_cache *cache = arg;
    struct rdl_stack *a = get(cache), *b = get(cache);

    model_check(guards_fail || (a && b));
    put(cache, a);
    put(model_choose(2) ? cache : NULL, b);
    rdl_stack_cache_flush(cache);
}

/* Somebody gives back whatever is free. */
static void trim(void *arg)
{
    (void)arg;
    rdl_stack_trim_all();
    rdl_stack_trim_all();
}

/* As an idle loop does: gives back by and by, as the goals say, which whoever does so hands to the next. */
static void trim_by_goals(void *arg)
{
    (void)arg;
    for (int i = 0; i < 2; i++)
        (void)rdl_stack_trim(NULL, (int64_t)model_count(&trims) * INT64_C(100000000000));
}

static void begin_goals(void)
{
    begin();
    model_spawn("loop 0", loop, &caches[0]);
    model_spawn("trimmer 0", trim_by_goals, NULL);
    model_spawn("trimmer 1", trim_by_goals, NULL);
}

static void begin_share(void)
{
    begin();
    model_spawn("loop 0", loop, &caches[0]);
    model_spawn("loop 1", loop, &caches[1]);
    model_spawn("trimmer", trim, NULL);
}

static void begin_failing(void)
{
    begin_share();
    guards_fail = true;
}

static void end(void)
{
    struct rdl_stack_stats stats = {.stacks = 0};

    rdl_stack_trim_all();
    for (unsigned i = 0; i < SLABS; i++)
        model_check(!mapped[i]);
    for (unsigned i = 0; i < STACKS; i++)
        model_check(!in_use[i]);
    rdl_stack_stats(&stats);
    model_check(stats.cached == 0 && stats.touched == 0);
}

const char *const model_unwatched_names[] = {NULL};
const char model_scenario_name[] = "depot";
const struct model_case model_cases[] = {
    {"share", begin_share, end},
    {"failing", begin_failing, end},
    {"goals", begin_goals, end},
    {0},
};
