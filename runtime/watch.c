/*
 * runtime/watch.c - watches: the latest value, and waiting for another.
 */
#include <errno.h>
#include <raddle/error.h>
#include <raddle/watch.h>
#include <string.h>

#include "runtime/feed.h"

struct raddle_watch {
    struct rdl_feed feed; /* first */
    size_t item_bytes;
    uint64_t version; /* under the feed's lock */
    _Alignas(16) char item[];
};

struct raddle_watch_sender {
    struct rdl_feed_sender base;
};

static void read_item(const raddle_watch *watch, void *item)
{
    if (item && watch->item_bytes)
        memcpy(item, watch->item, watch->item_bytes);
}

int raddle_watch_create(size_t item_bytes, const void *initial, raddle_watch **out)
{
    raddle_watch *watch;

    if (!out)
        return -EINVAL;
    if (item_bytes > PTRDIFF_MAX - sizeof(*watch))
        return -ENOMEM;
    watch = (raddle_watch *)(void *)rdl_feed_create(sizeof(*watch) + item_bytes);
    if (!watch)
        return -ENOMEM;
    watch->item_bytes = item_bytes;
    watch->version = 1;
    if (initial && item_bytes)
        memcpy(watch->item, initial, item_bytes);
    *out = watch;
    return 0;
}

raddle_watch *raddle_watch_ref(raddle_watch *watch)
{
    rdl_feed_ref(&watch->feed);
    return watch;
}

void raddle_watch_unref(raddle_watch *watch)
{
    rdl_feed_unref(watch ? &watch->feed : NULL);
}

/* sender: NULL when it goes through none. */
static int set(raddle_watch *watch, const struct rdl_feed_sender *sender, const void *item)
{
    int rc = 0;

    if (!item && watch->item_bytes)
        return -EINVAL;
    rdl_feed_lock(&watch->feed);
    if (sender && sender->closed)
        rc = RADDLE_ECLOSED;
    else if (watch->feed.ended)
        rc = RADDLE_ESHUTDOWN;
    if (rc < 0) {
        rdl_feed_unlock(&watch->feed);
        return rc;
    }
    if (item && watch->item_bytes)
        memcpy(watch->item, item, watch->item_bytes);
    watch->version++;
    rdl_feed_tell(&watch->feed);
    return 0;
}

int raddle_watch_set(raddle_watch *watch, const void *item)
{
    return watch ? set(watch, NULL, item) : -EINVAL;
}

int raddle_watch_get(raddle_watch *watch, void *item, uint64_t *version)
{
    if (!watch)
        return -EINVAL;
    rdl_feed_lock(&watch->feed);
    read_item(watch, item);
    if (version)
        *version = watch->version;
    rdl_feed_unlock(&watch->feed);
    return 0;
}

/* Under the lock. */
static int take_new(raddle_watch *watch, uint64_t *version, void *item)
{
    if (watch->version == *version)
        return watch->feed.ended ? RADDLE_ESHUTDOWN : -EAGAIN;
    read_item(watch, item);
    *version = watch->version;
    return 0;
}

int rdl_watch_try(raddle_watch *watch, uint64_t *version, void *item)
{
    int rc;

    rdl_feed_lock(&watch->feed);
    rc = take_new(watch, version, item);
    rdl_feed_unlock(&watch->feed);
    return rc;
}

bool rdl_watch_join(raddle_watch *watch, uint64_t version, struct rdl_place *place,
                    struct rdl_ticket ticket)
{
    bool waits;

    rdl_feed_lock(&watch->feed);
    waits = watch->version == version && !watch->feed.ended;
    if (waits)
        rdl_feed_join(&watch->feed, place, ticket);
    rdl_feed_unlock(&watch->feed);
    return waits;
}

void rdl_watch_leave(raddle_watch *watch, struct rdl_place *place)
{
    rdl_feed_leave(&watch->feed, place);
}

int raddle_watch_wait(raddle_watch *watch, uint64_t *version, void *item)
{
    struct rdl_fiber *fiber;
    bool waited = false;
    int rc;

    if (!watch || !version)
        return -EINVAL;
    rc = rdl_waiter_check(&fiber);
    if (rc < 0)
        return rc;
    rdl_feed_lock(&watch->feed);
    while ((rc = take_new(watch, version, item)) == -EAGAIN) {
        if (!rdl_feed_wait(&watch->feed, fiber, "a new value of a watch"))
            return -ECANCELED;
        waited = true;
    }
    rdl_feed_unlock(&watch->feed);
    if (!waited)
        rdl_feed_charge(fiber);
    return rc;
}

void raddle_watch_shutdown(raddle_watch *watch)
{
    if (watch)
        rdl_feed_end(&watch->feed);
}

int raddle_watch_sender_open(raddle_watch *watch, raddle_watch_sender **out)
{
    struct rdl_feed_sender *sender;
    int rc;

    if (!watch || !out)
        return -EINVAL;
    rc = rdl_feed_open_sender(&watch->feed, &sender);
    if (rc == 0)
        *out = (raddle_watch_sender *)(void *)sender;
    return rc;
}

int raddle_watch_sender_set(raddle_watch_sender *sender, const void *item)
{
    if (!sender)
        return -EINVAL;
    return set((raddle_watch *)(void *)sender->base.feed, &sender->base, item);
}

void raddle_watch_sender_close(raddle_watch_sender *sender)
{
    if (sender)
        rdl_feed_close_sender(&sender->base);
}

raddle_watch_sender *raddle_watch_sender_ref(raddle_watch_sender *sender)
{
    rdl_atomic_fetch_add_relaxed(&sender->base.references, 1u);
    return sender;
}

void raddle_watch_sender_unref(raddle_watch_sender *sender)
{
    rdl_feed_unref_sender(sender ? &sender->base : NULL);
}
