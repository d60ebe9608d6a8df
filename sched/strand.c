/*
 * sched/strand.c - the turn of a strand, and who waits for it.
 *
 * The danger. A fiber becomes runnable on one thread while the one that has the turn leaves its stack on another:
 * if each thinks that the other takes care of it, it never runs; if both do, two fibers of the strand run at once.
 *
 *     taken    first    the turn is                            changed by
 *     false    NULL     nobody's                               enter, to taken
 *     true     any      that of a fiber that is queued,        enter: one more waits
 *                       runs, or is being landed after         pass: to the first that waits, or to nobody
 *
 * Both words are under one lock, and nobody waits while the turn is nobody's: an enter comes either before the
 * pass, and is in the list that the pass looks at, or after it, and finds the turn free.
 *
 * A fiber passes the turn on only when it is off its stack, so the next may run at once, anywhere. It does so
 * after its wait was published: it may have been fired by then, and stand in the list itself, behind those that
 * came before. That is what makes it fair: one that gives way goes to the end.
 *
 * Ordering. The lock is all there is: what a fiber did before it left happens before the release in pass, and that
 * before the acquire of whoever gets the turn next, in pass or in a later enter. Fibers of a strand may share
 * plain data.
 *
 * Lifetime. Each fiber has a reference, and gives it back after its last pass. A fiber that waits in the list
 * keeps the strand as well: after a pass that has handed the turn to another, on another thread, the strand is
 * not touched any more. Who lands takes the strand from the fiber before it publishes that fiber's sleep.
 *
 * Tried on paper: a queue by compare-exchange with the turn as a bit of its head, as in boost.asio. It saves the lock,
 * which is held for five instructions, and needs a second queue to turn its order around, which a pass by one thread
 * and the next pass by another would both have to own.
 */
#include "sched/strand.h"

#include <stddef.h>

#include "sched/fiber.h"
#include "sched/sys.h"

void rdl_strand_init(struct rdl_strand *strand)
{
    *strand = (struct rdl_strand){.taken = false};
    rdl_atomic_init(&strand->references, 1u);
    rdl_atomic_init(&strand->lock.held, 0u);
    rdl_atomic_init(&strand->waiting, 0u);
}

struct rdl_strand *rdl_strand_ref(struct rdl_strand *strand)
{
    if (strand)
        rdl_atomic_fetch_add_relaxed(&strand->references, 1u);
    return strand;
}

void rdl_strand_unref(struct rdl_strand *strand)
{
    /* acq_rel: what others did with it comes before the free. */
    if (strand && rdl_atomic_fetch_sub_acq_rel(&strand->references, 1u) == 1)
        rdl_sys_free(strand);
}

/* The lock held. */
static void count(struct rdl_strand *strand, int change)
{
    rdl_atomic_store_relaxed(&strand->waiting,
                             rdl_atomic_load_relaxed(&strand->waiting) + (uint32_t)change);
}

bool rdl_strand_enter(struct rdl_fiber *fiber)
{
    struct rdl_strand *strand = fiber->strand;
    struct rdl_runnable *r = &fiber->run;
    bool has_turn;

    rdl_lock_acquire(&strand->lock);
    has_turn = !strand->taken;
    strand->taken = true;
    if (!has_turn) {
        r->next = NULL;
        if (strand->first)
            strand->last->next = r;
        else
            strand->first = r;
        strand->last = r;
        count(strand, 1);
    }
    rdl_lock_release(&strand->lock);
    return has_turn;
}

struct rdl_fiber *rdl_strand_pass(struct rdl_strand *strand)
{
    struct rdl_runnable *next;

    rdl_lock_acquire(&strand->lock);
    next = strand->first;
    if (next) {
        strand->first = next->next;
        count(strand, -1);
    } else {
        strand->taken = false;
    }
    rdl_lock_release(&strand->lock);
    return (struct rdl_fiber *)(void *)next;
}
