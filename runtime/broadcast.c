/*
 * runtime/broadcast.c - broadcast channels: a ring of the last items, and receivers that know how far they are.
 *
 * Items are numbered from 0. The ring has those from next - capacity on, a receiver wants the one of its own next, and
 * the distance says whether that is still there. So a send costs the same for any number of receivers, but for waking
 * those that wait, and a receiver that never receives costs nothing.
 */
#include <errno.h>
#include <raddle/broadcast.h>
#include <raddle/error.h>
#include <string.h>

#include "runtime/feed.h"
#include "sched/sys.h"

struct raddle_bcast {
    struct rdl_feed feed; /* first */
    size_t item_bytes;
    size_t capacity;
    uint64_t next;    /* number of the item that is sent next. Under the feed's lock */
    size_t receivers; /* that are open. Under the feed's lock */
    _Alignas(16) char ring[];
};

struct raddle_bcast_sender {
    struct rdl_feed_sender base;
};

struct raddle_bcast_receiver {
    rdl_atomic(uint32_t) references;
    bool closed; /* under the feed's lock */
    raddle_bcast *bcast;
    uint64_t next; /* under the feed's lock */
};

int raddle_bcast_create(size_t item_bytes, size_t capacity, raddle_bcast **out)
{
    raddle_bcast *bcast;
    size_t bytes;

    if (!out || !capacity)
        return -EINVAL;
    if (__builtin_mul_overflow(item_bytes, capacity, &bytes) ||
        bytes > PTRDIFF_MAX - sizeof(*bcast))
        return -ENOMEM;
    bcast = (raddle_bcast *)(void *)rdl_feed_create(sizeof(*bcast) + bytes);
    if (!bcast)
        return -ENOMEM;
    bcast->item_bytes = item_bytes;
    bcast->capacity = capacity;
    *out = bcast;
    return 0;
}

raddle_bcast *raddle_bcast_ref(raddle_bcast *bcast)
{
    rdl_feed_ref(&bcast->feed);
    return bcast;
}

void raddle_bcast_unref(raddle_bcast *bcast)
{
    rdl_feed_unref(bcast ? &bcast->feed : NULL);
}

void raddle_bcast_shutdown(raddle_bcast *bcast)
{
    if (bcast)
        rdl_feed_end(&bcast->feed);
}

static char *place_of(raddle_bcast *bcast, uint64_t number)
{
    return bcast->ring + (size_t)(number % bcast->capacity) * bcast->item_bytes;
}

/* Sending. sender: NULL when it goes through none. */

static ssize_t send_item(raddle_bcast *bcast, const struct rdl_feed_sender *sender,
                         const void *item)
{
    ssize_t rc;

    if (!item && bcast->item_bytes)
        return -EINVAL;
    rdl_feed_lock(&bcast->feed);
    rc = sender && sender->closed ? RADDLE_ECLOSED
         : bcast->feed.ended      ? RADDLE_ESHUTDOWN
                                  : (ssize_t)bcast->receivers;
    if (rc < 0) {
        rdl_feed_unlock(&bcast->feed);
        return rc;
    }
    if (item && bcast->item_bytes)
        memcpy(place_of(bcast, bcast->next), item, bcast->item_bytes);
    bcast->next++;
    rdl_feed_tell(&bcast->feed);
    return rc;
}

ssize_t raddle_bcast_send(raddle_bcast *bcast, const void *item)
{
    return bcast ? send_item(bcast, NULL, item) : -EINVAL;
}

int raddle_bcast_sender_open(raddle_bcast *bcast, raddle_bcast_sender **out)
{
    struct rdl_feed_sender *sender;
    int rc;

    if (!bcast || !out)
        return -EINVAL;
    rc = rdl_feed_open_sender(&bcast->feed, &sender);
    if (rc == 0)
        *out = (raddle_bcast_sender *)(void *)sender;
    return rc;
}

ssize_t raddle_bcast_sender_send(raddle_bcast_sender *sender, const void *item)
{
    if (!sender)
        return -EINVAL;
    return send_item((raddle_bcast *)(void *)sender->base.feed, &sender->base, item);
}

void raddle_bcast_sender_close(raddle_bcast_sender *sender)
{
    if (sender)
        rdl_feed_close_sender(&sender->base);
}

raddle_bcast_sender *raddle_bcast_sender_ref(raddle_bcast_sender *sender)
{
    rdl_atomic_fetch_add_relaxed(&sender->base.references, 1u);
    return sender;
}

void raddle_bcast_sender_unref(raddle_bcast_sender *sender)
{
    rdl_feed_unref_sender(sender ? &sender->base : NULL);
}

/* Receiving. */

int raddle_bcast_receiver_open(raddle_bcast *bcast, raddle_bcast_receiver **out)
{
    raddle_bcast_receiver *receiver;
    bool ended;

    if (!bcast || !out)
        return -EINVAL;
    receiver = rdl_sys_calloc(1, sizeof(*receiver));
    if (!receiver)
        return -ENOMEM;
    rdl_feed_lock(&bcast->feed);
    ended = bcast->feed.ended;
    bcast->receivers += !ended;
    receiver->next = bcast->next;
    rdl_feed_unlock(&bcast->feed);
    if (ended) {
        rdl_sys_free(receiver);
        return RADDLE_ESHUTDOWN;
    }
    rdl_atomic_init(&receiver->references, 1u);
    receiver->bcast = raddle_bcast_ref(bcast);
    *out = receiver;
    return 0;
}

/* Under the lock. */
static int receive_now(raddle_bcast_receiver *receiver, void *item, uint64_t *missed)
{
    raddle_bcast *bcast = receiver->bcast;
    uint64_t behind = bcast->next - receiver->next;

    if (receiver->closed)
        return RADDLE_ECLOSED;
    if (!behind)
        return bcast->feed.ended ? RADDLE_ESHUTDOWN : -EAGAIN;
    *missed = behind > bcast->capacity ? behind - bcast->capacity : 0;
    receiver->next += *missed;
    if (bcast->item_bytes)
        memcpy(item, place_of(bcast, receiver->next), bcast->item_bytes);
    receiver->next++;
    return 0;
}

static bool is_bad(const raddle_bcast_receiver *receiver, const void *item, const uint64_t *missed)
{
    return !receiver || !missed || (!item && receiver->bcast->item_bytes);
}

int raddle_bcast_try_receive(raddle_bcast_receiver *receiver, void *item, uint64_t *missed)
{
    int rc;

    if (is_bad(receiver, item, missed))
        return -EINVAL;
    rdl_feed_lock(&receiver->bcast->feed);
    rc = receive_now(receiver, item, missed);
    rdl_feed_unlock(&receiver->bcast->feed);
    return rc;
}

bool rdl_bcast_join(raddle_bcast_receiver *receiver, struct rdl_place *place,
                    struct rdl_ticket ticket)
{
    raddle_bcast *bcast = receiver->bcast;
    bool waits;

    rdl_feed_lock(&bcast->feed);
    waits = !receiver->closed && !bcast->feed.ended && receiver->next == bcast->next;
    if (waits)
        rdl_feed_join(&bcast->feed, place, ticket);
    rdl_feed_unlock(&bcast->feed);
    return waits;
}

void rdl_bcast_leave(raddle_bcast_receiver *receiver, struct rdl_place *place)
{
    rdl_feed_leave(&receiver->bcast->feed, place);
}

int raddle_bcast_receive(raddle_bcast_receiver *receiver, void *item, uint64_t *missed)
{
    struct rdl_feed *feed;
    struct rdl_fiber *fiber;
    bool waited = false;
    int rc;

    if (is_bad(receiver, item, missed))
        return -EINVAL;
    rc = rdl_waiter_check(&fiber);
    if (rc < 0)
        return rc;
    feed = &receiver->bcast->feed;
    rdl_feed_lock(feed);
    while ((rc = receive_now(receiver, item, missed)) == -EAGAIN) {
        if (!rdl_feed_wait(feed, fiber, "an item of a broadcast"))
            return -ECANCELED;
        waited = true;
    }
    rdl_feed_unlock(feed);
    if (!waited)
        rdl_feed_charge(fiber);
    return rc;
}

void raddle_bcast_receiver_close(raddle_bcast_receiver *receiver)
{
    raddle_bcast *bcast;

    if (!receiver)
        return;
    bcast = receiver->bcast;
    rdl_feed_lock(&bcast->feed);
    bcast->receivers -= !receiver->closed;
    receiver->closed = true;
    rdl_feed_tell(&bcast->feed); /* who waits in others looks in vain */
}

raddle_bcast_receiver *raddle_bcast_receiver_ref(raddle_bcast_receiver *receiver)
{
    rdl_atomic_fetch_add_relaxed(&receiver->references, 1u);
    return receiver;
}

void raddle_bcast_receiver_unref(raddle_bcast_receiver *receiver)
{
    raddle_bcast *bcast;

    /* acq_rel: what others did with it comes before the free. */
    if (!receiver || rdl_atomic_fetch_sub_acq_rel(&receiver->references, 1u) != 1)
        return;
    bcast = receiver->bcast;
    raddle_bcast_receiver_close(receiver);
    rdl_sys_free(receiver);
    raddle_bcast_unref(bcast);
}
