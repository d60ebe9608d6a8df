/*
 * sched/deque.c - the Chase-Lev deque, bounded, in C11 atomics.
 *
 * The danger. The owner takes from the end that nobody else touches, so it doesn't want to pay a
 * compare-exchange for it. But when one runnable is left, both ends are the same: the owner may
 * take it while a thief, who hasn't seen bottom move, steals it. It would run twice.
 *
 * The answer. The owner first gives notice and then looks; a thief first looks and then claims:
 *
 *     take                                        steal
 *     1. bottom = b (withdraws position b)        1. read top = t
 *     2. seq_cst fence                    [F]     2. seq_cst fence                    [F']
 *     3. read top; if it is below b, b is mine    3. read bottom; empty unless t is below it
 *     4. if it is b: compare-exchange top         4. compare-exchange top, t to t + 1
 *
 * If [F] comes first in the order of fences, step 3 of the thief sees b withdrawn. If [F'] comes
 * first, the owner's step 3 sees top at least where the thief saw it: so if the owner finds top
 * below b, the thief's t is below b as well, and its claim is not for b. Only when the owner finds
 * top == b can both want b, and then both go through the compare-exchange, which one of them wins.
 *
 * Who owns what. A runnable in the ring belongs to the ring. Position p belongs to the owner once
 * it has withdrawn it (p == bottom) and found top < p, otherwise to whoever moved top from p.
 *
 * Ordering.
 *
 *     [A] Every store to bottom is a release, also the two of take: a thief acquires whichever it
 *         reads [A'], and with it the slots and what the runnables in them point to. In C11 as of
 *         2020 a relaxed store doesn't carry on the release of an earlier one. A release fence
 *         before relaxed stores would do as well, but ThreadSanitizer doesn't understand it.
 *     [B] A thief reads the slot before it moves top. Moving top releases that read to the owner's
 *         push [B'], which may use the slot again only after it has acquired a top beyond the old
 *         position. A thief that reads a slot too late reads something else, and then its
 *         compare-exchange fails, because top has moved. Positions never repeat, so it can't
 *         succeed by accident.
 *
 * Emptiness. take may say "empty" without a fence: top only grows and bottom is the owner's own, so
 * top >= bottom, once seen, stays true until the owner pushes. steal and steal_half may as well: a
 * fence before reading bottom doesn't make the read fresher, it only orders it, and that order
 * matters for claiming a position, not for going away. A caller who must not overlook a push (the
 * last look before parking) has published its intention and fenced itself; its relaxed read of
 * bottom then sees every push whose pusher fenced before. What take hides for a moment is one
 * runnable that its owner is about to run.
 *
 * Many at once. A thief moves top by one only. By more, it could claim a position that the owner
 * has meanwhile taken without looking at top again (owner: top < b, mine). The owner itself may:
 * nobody else moves bottom.
 *
 * Lifetime. The ring lives as long as its loop's team. A thief may hold the pointer that it read
 * from a slot, but follows it only after it won.
 *
 * Tried: Tokio's packed head with a stealer's mark, which moves a batch by one compare-exchange. It
 * has no newest-first end, and while one thief copies, others find nothing.
 */
#include "sched/deque.h"
#include "sched/planted.h"

#include <assert.h>
#include <stddef.h>

enum { MASK = RDL_DEQUE_SLOTS - 1 };

static_assert((RDL_DEQUE_SLOTS & MASK) == 0, "a slot is found by masking");
static_assert(offsetof(struct rdl_deque, bottom) % RDL_DEQUE_LINE == 0 &&
                  offsetof(struct rdl_deque, top) - offsetof(struct rdl_deque, bottom) >=
                      RDL_DEQUE_LINE &&
                  offsetof(struct rdl_deque, slots) - offsetof(struct rdl_deque, top) >=
                      RDL_DEQUE_LINE,
              "a thief that moves top must not take the line of bottom or of the slots away");

void rdl_deque_init(struct rdl_deque *d)
{
    rdl_atomic_init(&d->bottom, 0);
    rdl_atomic_init(&d->top, 0);
    for (int i = 0; i < RDL_DEQUE_SLOTS; i++)
        rdl_atomic_init(&d->slots[i], NULL);
}

/* How many there are between two positions that were read one after the other. */
static unsigned between(int64_t top, int64_t bottom)
{
    return bottom > top ? (unsigned)(bottom - top) : 0;
}

bool rdl_deque_push(struct rdl_deque *d, struct rdl_runnable *r)
{
    int64_t bottom = rdl_atomic_load_relaxed(&d->bottom);
    int64_t top = rdl_atomic_load_acquire(&d->top); /* [B'] */

    if (bottom - top >= RDL_DEQUE_SLOTS)
        return false;
    rdl_atomic_store_relaxed(&d->slots[bottom & MASK], r);
    rdl_atomic_store_release(&d->bottom, bottom + 1); /* [A] */
    return true;
}

struct rdl_runnable *rdl_deque_take(struct rdl_deque *d)
{
    int64_t newest = rdl_atomic_load_relaxed(&d->bottom) - 1;
    int64_t top = rdl_atomic_load_relaxed(&d->top);
    struct rdl_runnable *r = NULL;

    if (top > newest)
        return NULL;

    rdl_atomic_store_release(&d->bottom, newest); /* [A] */
    if (!RDL_PLANTED(FENCE))
        rdl_atomic_fence_seq_cst(); /* [F] with [F'] in steal */
    top = rdl_atomic_load_relaxed(&d->top);
    if (top < newest)
        return rdl_atomic_load_relaxed(&d->slots[newest & MASK]);

    /* The last one, or it is gone: as if a thief of ourselves. */
    if (top == newest && rdl_atomic_cas_seq_cst(&d->top, &top, top + 1))
        r = rdl_atomic_load_relaxed(&d->slots[newest & MASK]);
    rdl_atomic_store_release(&d->bottom, newest + 1); /* [A] */
    return r;
}

unsigned rdl_deque_take_half(struct rdl_deque *d, struct rdl_runnable **list)
{
    int64_t bottom = rdl_atomic_load_relaxed(&d->bottom);
    int64_t top = rdl_atomic_load_relaxed(&d->top);
    struct rdl_runnable **link = list;
    unsigned count;

    do {
        count = (between(top, bottom) + 1) / 2;
        if (count == 0)
            return 0;
        /* No fence: whose the positions are is decided by this alone. */
    } while (!rdl_atomic_cas_acq_rel(&d->top, &top, top + count));

    /* Only now are they ours to link. The slots change by our own hand only. */
    for (unsigned i = 0; i < count; i++) {
        *link = rdl_atomic_load_relaxed(&d->slots[(top + i) & MASK]);
        link = &(*link)->next;
    }
    *link = NULL;
    return count;
}

struct rdl_runnable *rdl_deque_steal(struct rdl_deque *d)
{
    for (;;) {
        int64_t top = rdl_atomic_load_acquire(&d->top);
        struct rdl_runnable *r;

        if (top >= rdl_atomic_load_relaxed(&d->bottom))
            return NULL;

        rdl_atomic_fence_seq_cst();                     /* [F'] with [F] in take */
        if (top >= rdl_atomic_load_acquire(&d->bottom)) /* [A'] */
            return NULL;
        r = rdl_atomic_load_relaxed(&d->slots[top & MASK]);
        if (rdl_atomic_cas_seq_cst(&d->top, &top, top + 1)) /* [B] */
            return r;
    }
}

unsigned rdl_deque_steal_half(struct rdl_deque *from, struct rdl_deque *into,
                              struct rdl_runnable **first)
{
    unsigned half = (rdl_deque_count(from) + 1) / 2;
    unsigned room = RDL_DEQUE_SLOTS - rdl_deque_count(into); /* thieves there can only add to it */
    unsigned count = 0;

    assert(from != into);
    /* *first needs no room. */
    while (count < half && count <= room) {
        struct rdl_runnable *r = rdl_deque_steal(from);

        if (!r)
            break;
        if (count == 0) {
            *first = r;
        } else {
            bool pushed = rdl_deque_push(into, r);

            assert(pushed);
            (void)pushed;
        }
        count++;
    }
    return count;
}

unsigned rdl_deque_count(const struct rdl_deque *d)
{
    /* top first: it only grows, so what is read late makes the count too high, hardly too low. */
    int64_t top = rdl_atomic_load_acquire(&d->top);

    return between(top, rdl_atomic_load_relaxed(&d->bottom));
}
