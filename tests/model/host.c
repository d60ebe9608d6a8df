/*
 * tests/model/host.c - drivers, stacks, a clock and memory on virtual threads.
 *
 * What is taken from here and given back is poisoned in between, so that a late touch is found.
 */
#include "tests/model/host.h"

#include <errno.h>
#include <string.h>

#include "runtime/monitor.h"
#include "sched/lock.h"
#include "sched/loop.h"
#include "sched/stack.h"
#include "sched/sys.h"
#include "tests/model/model.h"

enum {
    STACK_BYTES = 32 * 1024,
    BLOCK_BYTES = 1024, /* of the stack: where control blocks are */
    PENDING = 4,
    HEAP_BYTES = 64 * 1024,
};

struct driver {
    struct rdl_driver base;
    rdl_atomic(uint32_t) woken;
    struct host_op *pending[PENDING];
};

static struct driver drivers[HOST_DRIVERS];
static struct rdl_stack records[HOST_STACKS];
static _Alignas(64) char stacks[HOST_STACKS][STACK_BYTES];
static struct rdl_lock depot_lock;
static struct rdl_stack *depot;
static unsigned stacks_out;
static _Alignas(64) char heap[HEAP_BYTES];
static size_t heap_used;
static unsigned heap_out;
static int64_t clock_ns;

void host_begin(void)
{
    for (unsigned i = 0; i < HOST_DRIVERS; i++) {
        drivers[i] = (struct driver){.base = drivers[i].base};
        rdl_atomic_init(&drivers[i].woken, 0u);
    }
    rdl_atomic_init(&depot_lock.held, 0u);
    depot = NULL;
    stacks_out = 0;
    for (unsigned i = HOST_STACKS; i-- > 0;) {
        struct rdl_stack *stack = &records[i];

        rdl_atomic_init(&stack->wait.word, (uint64_t)0);
        rdl_atomic_init(&stack->wait.poked, 0u);
        rdl_atomic_init(&stack->wait.shield_depth, 0u);
        rdl_atomic_init(&stack->owner, NULL);
        stack->id = i;
        stack->low = stacks[i];
        stack->top = stacks[i] + STACK_BYTES;
        stack->next = depot;
        depot = stack;
    }
    heap_used = 0;
    heap_out = 0;
    clock_ns = 1000;
}

void host_end(void)
{
    model_check(stacks_out == 0);
    model_check(heap_out == 0);
}

void host_pass(int64_t ns)
{
    clock_ns += ns;
}

/* sched/stack.h */

void rdl_stack_cache_init(struct rdl_stack_cache *cache)
{
    (void)cache;
}

void rdl_stack_cache_flush(struct rdl_stack_cache *cache)
{
    (void)cache;
}

int rdl_stack_get(struct rdl_stack_cache *cache, size_t usable_bytes, struct rdl_stack **out)
{
    struct rdl_stack *stack;

    (void)cache;
    (void)usable_bytes;
    rdl_lock_acquire(&depot_lock);
    stack = depot;
    if (stack) {
        depot = stack->next;
        stacks_out++;
    }
    rdl_lock_release(&depot_lock);
    if (!stack)
        return -ENOMEM;
    model_unpoison(stack->top - BLOCK_BYTES, BLOCK_BYTES);
    *out = stack;
    return 0;
}

void rdl_stack_put(struct rdl_stack_cache *cache, struct rdl_stack *stack)
{
    (void)cache;
    model_poison(stack->top - BLOCK_BYTES, BLOCK_BYTES);
    rdl_lock_acquire(&depot_lock);
    stack->next = depot;
    depot = stack;
    stacks_out--;
    rdl_lock_release(&depot_lock);
}

int64_t rdl_stack_trim(struct rdl_stack_cache *cache, int64_t now_ns)
{
    (void)cache;
    (void)now_ns;
    return INT64_MAX;
}

/* sched/pageout.h: no fiber of a scenario takes part. */

void rdl_paging_wait(struct rdl_loop *loop, struct rdl_paging *paging)
{
    (void)loop;
    (void)paging;
    model_fail("a stack is to be paged out");
}

void rdl_paging_end(struct rdl_loop *loop, struct rdl_paging *paging)
{
    rdl_paging_wait(loop, paging);
}

void rdl_pager_work(struct rdl_loop *loop)
{
    rdl_paging_wait(loop, NULL);
}

/* runtime/monitor.h: no signals come here. */

void rdl_monitor_look(void)
{
}

/* sched/sys.h */

unsigned rdl_sys_cpus(pid_t thread)
{
    (void)thread;
    return 2;
}

int64_t rdl_sys_now(void)
{
    return clock_ns;
}

void *rdl_sys_malloc(size_t bytes)
{
    char *p = heap + heap_used;

    bytes = (bytes + 31) / 16 * 16;
    if (heap_used + bytes > HEAP_BYTES)
        model_fail("the model's heap is full");
    heap_used += bytes;
    *(size_t *)(void *)p = bytes - 16;
    heap_out++;
    return p + 16;
}

void *rdl_sys_calloc(size_t count, size_t bytes)
{
    return memset(rdl_sys_malloc(count * bytes), 0, count * bytes);
}

void *rdl_sys_calloc_aligned(size_t alignment, size_t bytes)
{
    /* What precedes the memory is its size. */
    heap_used = (heap_used + 16 + alignment - 1) / alignment * alignment - 16;
    return rdl_sys_calloc(1, bytes);
}

void rdl_sys_free(void *memory)
{
    if (!memory)
        return;
    heap_out--;
    model_poison(memory, *(size_t *)(void *)((char *)memory - 16));
}

/* sched/driver.h */

static struct driver *of(struct rdl_driver *driver)
{
    return (struct driver *)(void *)driver;
}

static int start(struct rdl_driver *driver)
{
    (void)driver;
    return 0;
}

static bool submit(struct rdl_driver *driver, struct rdl_op *op)
{
    struct host_op *o = (struct host_op *)(void *)op;

    for (unsigned i = 0; i < PENDING; i++)
        if (!of(driver)->pending[i]) {
            o->submitted = true;
            of(driver)->pending[i] = o;
            return false;
        }
    model_fail("the model's driver is full");
}

/* Ends what is at place i. */
static struct host_op *reap(struct driver *d, unsigned i, int32_t result)
{
    struct host_op *op = d->pending[i];

    d->pending[i] = NULL;
    op->submitted = false;
    op->result = result;
    if (op->ended)
        op->ended(op);
    return op;
}

static bool cancel(struct rdl_driver *driver, struct rdl_op *op)
{
    struct driver *d = of(driver);

    for (unsigned i = 0; i < PENDING; i++) {
        if (d->pending[i] != (struct host_op *)(void *)op)
            continue;
        if (model_choose(2)) {
            (void)reap(d, i, -ECANCELED);
            return true;
        }
        d->pending[i]->cancelled = d->pending[i]->waits || model_choose(2);
        return false;
    }
    model_fail("cancelled an operation that the driver doesn't have");
}

/* Can the operation complete in this poll? */
static bool can_end(const struct host_op *op)
{
    return op && (!op->waits || op->cancelled);
}

static int poll_driver(struct rdl_driver *driver, int64_t timeout_ns)
{
    struct driver *d = of(driver);
    bool pending = false;
    int completed = 0;

    for (unsigned i = 0; i < PENDING; i++)
        pending |= can_end(d->pending[i]);
    if (timeout_ns < 0 && !pending)
        model_sleep_while(&d->woken, 0);
    if (!rdl_atomic_exchange_acq_rel(&d->woken, 0u) && timeout_ns > 0 && !pending)
        clock_ns += timeout_ns;
    /* A loop that spins leaves the processor to others now and then. */
    if (timeout_ns == 0)
        model_yield();
    for (unsigned i = 0; i < PENDING; i++)
        if (can_end(d->pending[i]) && model_choose(2)) {
            bool cancelled = d->pending[i]->cancelled;
            struct host_op *op = reap(d, i, cancelled ? -ECANCELED : 1);

            rdl_fiber_complete(op->fiber, host_op(op));
            completed++;
        }
    return completed;
}

static void wake(struct rdl_driver *driver)
{
    (void)rdl_atomic_exchange_acq_rel(&of(driver)->woken, 1u);
}

static void nothing(struct rdl_driver *driver)
{
    (void)driver;
}

struct rdl_driver *host_driver(unsigned index)
{
    static const struct rdl_driver_ops ops = {
        .name = "model",
        .start = start,
        .submit = submit,
        .cancel = cancel,
        .poll = poll_driver,
        .wake = wake,
        .destroy = nothing,
        .abandon = nothing,
    };

    drivers[index].base.ops = &ops;
    return &drivers[index].base;
}
