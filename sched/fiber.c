/*
 * sched/fiber.c - the life of a fiber: created, started, parked, finished, made runnable, ended.
 *
 * The end of a wait, in order. Somebody wins rdl_wait_fire(). If the sleeper has not parked yet,
 * whoever lands after it sees that and finishes it; otherwise the winner now owns the fiber and
 * routes it: to its home loop, directly or through the inbox, or, when it is migratable and the
 * wait had armed nothing, wherever the winner runs. Home finishes it: disarms its timer, cancels
 * its operation, and when that has been reaped queues the fiber.
 *
 * Whether a wait is home's to finish is decided by the sleeper before it parks (homebound), published by the
 * park, and the same for the whole generation. It must not be read from the timer or the operation, which
 * home may be ending at that very moment: then the winner would take the fiber elsewhere, and home would
 * fire the fiber's next wait.
 *
 * rdl_fiber_finish() may run before the completion of the operation or after it; both see which by
 * fiber->op, which only home's thread touches once the fiber has parked. finishing says that it was
 * first and that the completion is to queue the fiber.
 */
#define _GNU_SOURCE
#include "sched/fiber.h"

#include <assert.h>
#include <errno.h>
#include <raddle/error.h>
#include <raddle/time.h>
#include <string.h>

#include "sched/annotate.h"
#include "sched/loop.h"
#include "sched/pageout.h"
#include "sched/planted.h"
#include "sched/strand.h"
#include "sched/sys.h"

static_assert(offsetof(struct rdl_stack, wait) == 0, "a wait is found by its record");
static_assert(offsetof(struct rdl_fiber, run) == 0, "a runnable is found by its fiber");

/*
 * errno belongs to the task, and its address to the thread. By the loop's pointer to it no compiler carries the
 * address of one thread's errno over a switch.
 *
 * stale is where the bug is planted, as it would come in: the address from before is used after.
 */
static inline int errno_save(const struct rdl_loop *loop, int **stale)
{
    *stale = RDL_PLANTED(ERRNO) ? loop->errno_at : NULL;
    return *loop->errno_at;
}

/* After a suspension, on whatever loop that is now. */
static inline void errno_restore(const struct rdl_fiber *self, int *stale, int value)
{
    *(RDL_PLANTED(ERRNO) ? stale : self->home->errno_at) = value;
}

static struct rdl_coroutine *fiber_begin(void *arg)
{
    struct rdl_fiber *self = arg;

    rdl_loop_land(self->home);
    *self->home->errno_at = 0; /* not what another task left here */
    self->started = true;
    self->main(self);
    return rdl_loop_exit(rdl_loop_current(), self);
}

/* A fiber, which is zero, on stack below top. */
static inline void init(struct rdl_fiber *fiber, struct rdl_stack *stack, char *top,
                        void (*main)(struct rdl_fiber *))
{
    fiber->stack = stack;
    fiber->main = main;
    fiber->nearest_ns = RADDLE_NEVER;
    rdl_timer_init(&fiber->timer);
    rdl_coroutine_init(&fiber->co, stack->low, top, fiber_begin, fiber);
    rdl_atomic_store_relaxed(&stack->wait.poked, 0u);
    rdl_atomic_store_relaxed(&stack->wait.shield_depth, 0u);
    rdl_atomic_store_release(&stack->owner, fiber);
}

/* No canary: it would guard one pointer, in each spawn. */
__attribute__((no_stack_protector)) int
rdl_fiber_create(struct rdl_stack_cache *cache, size_t block_bytes, size_t zeroed,
                 size_t stack_bytes, void (*main)(struct rdl_fiber *), struct rdl_fiber **out)
{
    struct rdl_stack *stack;
    struct rdl_fiber *fiber;
    char *block;
    int rc = rdl_stack_get(cache, stack_bytes, &stack);

    if (rc < 0)
        return rc;
    block = stack->top - ((block_bytes + 63) & ~(size_t)63);
    memset(block, 0, zeroed);
    fiber = (struct rdl_fiber *)(void *)block;
    init(fiber, stack, block, main);
    *out = fiber;
    return 0;
}

int rdl_fiber_create_apart(struct rdl_stack_cache *cache, struct rdl_fiber *fiber,
                           struct rdl_paging *paging, size_t stack_bytes,
                           void (*main)(struct rdl_fiber *))
{
    struct rdl_stack *stack;
    int rc = rdl_stack_get(cache, stack_bytes, &stack);

    if (rc < 0)
        return rc;
    init(fiber, stack, stack->top, main);
    fiber->paging = paging;
    paging->fiber = fiber;
    return 0;
}

void rdl_fiber_discard(struct rdl_stack_cache *cache, struct rdl_fiber *fiber)
{
    struct rdl_stack *stack = fiber->stack;
    bool apart = fiber->paging != NULL;

    rdl_strand_unref(fiber->strand);
    rdl_coroutine_fini(&fiber->co);
    rdl_atomic_store_release(&stack->owner, NULL);
    rdl_stack_put(cache, stack);
    if (apart)
        rdl_sys_free(fiber);
}

int rdl_cancel_check_deadline(struct rdl_fiber *self)
{
    /* A task that has not parked since may have computed past its deadline. */
    return self->nearest_ns <= rdl_loop_look(rdl_loop_current()) ? rdl_cancel_look(self) : 0;
}

struct rdl_ticket rdl_fiber_arm(struct rdl_fiber *self, enum rdl_park how)
{
    struct rdl_wait *wait = &self->stack->wait;

    if (how == RDL_PARK_SHIELDED) {
        /* Every poke is held off; those that came before are looked at afterwards, as they would
         * keep the task from sleeping at all. */
        rdl_atomic_store_relaxed(&wait->shield_depth, UINT32_MAX);
        if (rdl_atomic_exchange_acquire(&wait->poked, 0u))
            self->held_poke = true;
    }
    return rdl_wait_arm(wait);
}

static void unshield(struct rdl_fiber *self, enum rdl_park how)
{
    struct rdl_wait *wait = &self->stack->wait;

    if (how != RDL_PARK_SHIELDED)
        return;
    rdl_atomic_store_relaxed(&wait->shield_depth, self->scope ? self->scope->shield_depth : 0);
    if (self->held_poke) {
        self->held_poke = false;
        (void)rdl_atomic_exchange_relaxed(&wait->poked, 1u);
    }
}

bool rdl_fiber_disarm(struct rdl_fiber *self, enum rdl_park how)
{
    bool quiet = rdl_wait_disarm(&self->stack->wait);

    unshield(self, how);
    return quiet;
}

int32_t rdl_fiber_park(struct rdl_fiber *self, enum rdl_park how, const char *what, uint64_t object)
{
    struct rdl_loop *loop = rdl_loop_current();
    int *stale;
    int saved = errno_save(loop, &stale);

    rdl_atomic_store_relaxed(&self->waiting_object, object);
    rdl_atomic_store_relaxed(&self->waiting_since_ns, rdl_loop_now(loop));
    rdl_atomic_store_relaxed(&self->waiting_for, what);
    if (how == RDL_PARK_CANCELLABLE && self->nearest_ns != RADDLE_NEVER)
        rdl_timer_arm(&loop->timers, &self->timer, self->nearest_ns);
    self->homebound = self->op || rdl_timer_armed(&self->timer);
    rdl_loop_leave(loop, self, RDL_LEAVE_PARK);
    rdl_atomic_store_relaxed(&self->waiting_for, NULL);
    errno_restore(self, stale, saved);
    unshield(self, how);
    return rdl_wait_result(&self->stack->wait);
}

void rdl_fiber_finish(struct rdl_loop *home, struct rdl_fiber *fiber)
{
    rdl_timer_disarm(&home->timers, &fiber->timer);
    if (fiber->op) {
        if (!home->driver->ops->cancel(home->driver, fiber->op) && !RDL_PLANTED(REUSE)) {
            fiber->finishing = true;
            return;
        }
        fiber->op = NULL;
        if (__builtin_expect(fiber->paging != NULL, 0))
            rdl_paging_end(home, fiber->paging);
    }
    rdl_loop_woken(home, fiber);
}

/* Whoever won: the fiber is parked, and the caller's. */
static void route(struct rdl_fiber *fiber)
{
    struct rdl_loop *home = fiber->home;
    struct rdl_loop *here = rdl_loop_current();

    if (here == home) {
        rdl_fiber_finish(home, fiber);
    } else if (rdl_fiber_is(fiber, RADDLE_MIGRATABLE) && home->team && !fiber->homebound) {
        if (here && here->team == home->team)
            rdl_loop_woken(here, fiber);
        else
            rdl_team_woken(home->team, fiber);
    } else {
        /* A loop closes its inbox only when no fiber is left on it. */
        (void)rdl_loop_post(home, &fiber->run);
    }
}

static struct rdl_fiber *fiber_of(struct rdl_wait *wait)
{
    return rdl_atomic_load_relaxed(&((struct rdl_stack *)(void *)wait)->owner);
}

bool rdl_fiber_fire(struct rdl_ticket ticket, int32_t result)
{
    enum rdl_fire fire = rdl_wait_fire(ticket, result);

    if (fire == RDL_FIRE_QUEUE)
        route(fiber_of(ticket.wait));
    return fire != RDL_FIRE_LOST;
}

void rdl_fiber_poke(struct rdl_fiber *fiber, uint32_t depth)
{
    if (rdl_wait_poke(&fiber->stack->wait, depth, -ECANCELED) == RDL_FIRE_QUEUE)
        route(fiber);
}

void rdl_fiber_attach(struct rdl_fiber *self, struct rdl_op *op)
{
    self->op = op;
}

void rdl_fiber_complete(struct rdl_fiber *fiber, struct rdl_op *op)
{
    struct rdl_wait *wait = &fiber->stack->wait;
    (void)op;

    fiber->op = NULL;
    if (__builtin_expect(fiber->paging != NULL, 0))
        rdl_paging_end(fiber->home, fiber->paging);
    if (fiber->finishing) {
        fiber->finishing = false;
        rdl_loop_woken(fiber->home, fiber);
        return;
    }
    /* Lost: somebody fired first, and its message to this loop is on the way; it finds no
     * operation. */
    if (rdl_wait_fire(rdl_wait_ticket(wait), 0) == RDL_FIRE_QUEUE)
        rdl_fiber_finish(fiber->home, fiber);
}

void rdl_fiber_start_eagerly(struct rdl_fiber *fiber)
{
    struct rdl_loop *loop = rdl_loop_current();
    struct rdl_fiber *self = rdl_atomic_load_relaxed(&loop->current);

    if (loop->team || !self) {
        rdl_loop_start_next(loop, fiber);
        return;
    }
    int *stale;
    int saved = errno_save(loop, &stale);
    rdl_loop_start_now(loop, self, fiber);
    errno_restore(self, stale, saved);
}

void rdl_fiber_yield(struct rdl_fiber *self)
{
    struct rdl_loop *loop = rdl_loop_current();

    if (!rdl_loop_busy(loop) && !rdl_loop_slice_over(loop, 1) && !rdl_loop_moves(loop, self) &&
        !(self->strand && rdl_strand_wanted(self->strand)))
        return;
    int *stale;
    int saved = errno_save(loop, &stale);
    rdl_loop_leave(loop, self, RDL_LEAVE_YIELD);
    errno_restore(self, stale, saved);
}

void rdl_fiber_charge(struct rdl_fiber *self)
{
    /* A system call costs about what so many switches do. */
    if (rdl_loop_slice_over(rdl_loop_current(), 8))
        rdl_fiber_yield(self);
}

int rdl_fiber_move(struct rdl_fiber *self, struct rdl_loop *to)
{
    struct rdl_loop *loop = rdl_loop_current();
    uint8_t before = rdl_atomic_load_relaxed(&self->mobility);

    rdl_atomic_store_relaxed(&self->mobility, RADDLE_PINNED);
    if (loop == to)
        return 0;
    int *stale;
    int saved = errno_save(loop, &stale);
    loop->move_to = to;
    rdl_loop_leave(loop, self, RDL_LEAVE_MOVE);
    errno_restore(self, stale, saved);
    if (self->home == to)
        return 0;
    rdl_atomic_store_relaxed(&self->mobility, before);
    return RADDLE_ESHUTDOWN;
}
