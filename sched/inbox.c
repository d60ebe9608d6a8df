/*
 * sched/inbox.c - a stack that is pushed by compare-exchange, emptied by exchange, and turned
 * around.
 *
 * The danger is in closing. A loop that ends empties its inbox, finds nothing, and goes; what is
 * pushed between the look and the going is lost, and with it a wake or somebody's request.
 * Therefore "closed" is a value of the same word that holds the list: one compare-exchange from
 * empty to closed decides whether a push came before, and is then found, or after, and is then
 * refused.
 *
 *     newest      the inbox is    changed by
 *     NULL        empty           push (to r), close (to closed)
 *     r           holding r...    push (to another r), take_all (to NULL)
 *     closed      closed          nobody
 *
 * Ordering. push [A] releases the runnable to the exchange in take_all [B]. Later pushes are
 * read-modify-writes, so they carry the earlier releases on, and the one acquire gets the whole
 * list. close orders nothing: it succeeds on an empty inbox, and the owner has everything from
 * before.
 *
 * No ABA: a push compares the head but never looks into it, so it doesn't matter if it is another
 * list with the same head; and take_all doesn't compare.
 *
 * Lifetime. The pusher's last touch is its compare-exchange; after that r belongs to the inbox and
 * may be run and freed. Who may still be pushing when the inbox's memory goes away is for its loop
 * to say.
 */
#include "sched/inbox.h"

#include <stddef.h>

/* Its address is what matters. */
static struct rdl_runnable closed;

void rdl_inbox_init(struct rdl_inbox *inbox)
{
    rdl_atomic_init(&inbox->newest, NULL);
}

bool rdl_inbox_push(struct rdl_inbox *inbox, struct rdl_runnable *r)
{
    struct rdl_runnable *newest = rdl_atomic_load_relaxed(&inbox->newest);

    do {
        if (newest == &closed)
            return false;
        r->next = newest;
    } while (!rdl_atomic_cas_release(&inbox->newest, &newest, r)); /* [A] */
    return true;
}

struct rdl_runnable *rdl_inbox_take_all(struct rdl_inbox *inbox)
{
    struct rdl_runnable *newest, *oldest = NULL;

    /* Nobody but the owner empties or closes it, so what the look finds stays: no exchange for
     * nothing. */
    if (rdl_inbox_empty(inbox))
        return NULL;

    newest = rdl_atomic_exchange_acquire(&inbox->newest, NULL); /* [B] */
    while (newest) {
        struct rdl_runnable *next = newest->next;

        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}

bool rdl_inbox_empty(const struct rdl_inbox *inbox)
{
    struct rdl_runnable *newest = rdl_atomic_load_relaxed(&inbox->newest);

    return !newest || newest == &closed;
}

bool rdl_inbox_close(struct rdl_inbox *inbox)
{
    struct rdl_runnable *newest = NULL;

    return rdl_atomic_cas_relaxed(&inbox->newest, &newest, &closed) || newest == &closed;
}
