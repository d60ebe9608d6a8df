/*
 * runtime/feed.c - waiting for what comes next, and the counted senders.
 *
 * Who waits is granted nothing but another look: all that waited when something came are woken by it, look under the
 * lock, and wait again if it was not for them. So one that is cancelled, and finds itself still in line, has missed
 * nothing: what would have been for it would have taken it out of the line.
 *
 * Selects stand in a line of their own, with nothing but a ticket: they are woken, leave all their lines, and look
 * again. The lock is released to fire. Those that come back meanwhile are behind all that were there before, so as
 * many as there were are told, and no more.
 */
#include "runtime/feed.h"

#include <errno.h>
#include <raddle/error.h>

#include "sched/loop.h"
#include "sched/sys.h"

enum { BATCH = 16 };

struct rdl_feed *rdl_feed_create(size_t bytes)
{
    struct rdl_feed *feed = rdl_sys_calloc(1, bytes);

    if (feed)
        rdl_atomic_init(&feed->references, 1u);
    return feed;
}

void rdl_feed_ref(struct rdl_feed *feed)
{
    rdl_atomic_fetch_add_relaxed(&feed->references, 1u);
}

void rdl_feed_unref(struct rdl_feed *feed)
{
    /* acq_rel: what others did with it comes before the free. */
    if (feed && rdl_atomic_fetch_sub_acq_rel(&feed->references, 1u) == 1)
        rdl_sys_free(feed);
}

/* The lock held, and released meanwhile. */
static void tell_selects(struct rdl_feed *feed)
{
    struct rdl_ticket tickets[BATCH];
    size_t left = feed->selecting, count;

    while (left && feed->selects.first) {
        for (count = 0; count < BATCH && left && feed->selects.first; left--, feed->selecting--)
            tickets[count++] = rdl_line_call(&feed->selects);
        rdl_lock_release(&feed->queue.lock);
        for (size_t i = 0; i < count; i++)
            (void)rdl_fiber_fire(tickets[i], 0);
        rdl_feed_lock(feed);
    }
}

void rdl_feed_join(struct rdl_feed *feed, struct rdl_place *place, struct rdl_ticket ticket)
{
    place->ticket = ticket;
    rdl_line_join(&feed->selects, place);
    feed->selecting++;
}

void rdl_feed_leave(struct rdl_feed *feed, struct rdl_place *place)
{
    rdl_feed_lock(feed);
    feed->selecting -= place->in_line;
    rdl_line_leave(&feed->selects, place);
    rdl_feed_unlock(feed);
}

void rdl_feed_tell(struct rdl_feed *feed)
{
    if (feed->selecting)
        tell_selects(feed);
    while (rdl_queue_first(&feed->queue))
        rdl_queue_grant(&feed->queue, 0);
    rdl_queue_release(&feed->queue);
}

void rdl_feed_end(struct rdl_feed *feed)
{
    rdl_feed_lock(feed);
    feed->ended = true;
    rdl_feed_tell(feed);
}

bool rdl_feed_wait(struct rdl_feed *feed, struct rdl_fiber *fiber, const char *what)
{
    struct rdl_waiter waiter;

    rdl_waiter_join(&waiter, &feed->queue, fiber, RDL_PARK_CANCELLABLE);
    rdl_feed_unlock(feed);
    if (!rdl_waiter_sleep(&waiter, what)) {
        rdl_feed_unlock(feed);
        return false;
    }
    rdl_feed_lock(feed);
    return true;
}

void rdl_feed_charge(struct rdl_fiber *fiber)
{
    if (fiber && rdl_loop_slice_over(rdl_loop_current(), 1))
        rdl_fiber_yield(fiber);
}

int rdl_feed_open_sender(struct rdl_feed *feed, struct rdl_feed_sender **out)
{
    struct rdl_feed_sender *sender = rdl_sys_calloc(1, sizeof(*sender));
    bool ended;

    if (!sender)
        return -ENOMEM;
    rdl_feed_lock(feed);
    ended = feed->ended;
    feed->senders += !ended;
    rdl_feed_unlock(feed);
    if (ended) {
        rdl_sys_free(sender);
        return RADDLE_ESHUTDOWN;
    }
    rdl_feed_ref(feed);
    rdl_atomic_init(&sender->references, 1u);
    sender->feed = feed;
    *out = sender;
    return 0;
}

void rdl_feed_close_sender(struct rdl_feed_sender *sender)
{
    struct rdl_feed *feed = sender->feed;

    rdl_feed_lock(feed);
    feed->senders -= !sender->closed;
    if (!sender->closed && !feed->senders)
        feed->ended = true;
    sender->closed = true;
    if (feed->ended)
        rdl_feed_tell(feed);
    else
        rdl_feed_unlock(feed);
}

void rdl_feed_unref_sender(struct rdl_feed_sender *sender)
{
    struct rdl_feed *feed;

    /* acq_rel: what others did with it comes before the free. */
    if (!sender || rdl_atomic_fetch_sub_acq_rel(&sender->references, 1u) != 1)
        return;
    feed = sender->feed;
    rdl_feed_close_sender(sender);
    rdl_sys_free(sender);
    rdl_feed_unref(feed);
}
