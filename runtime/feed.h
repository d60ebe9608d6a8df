/*
 * runtime/feed.h - what a watch and a broadcast have in common: tasks and threads that wait for what comes next, all
 * of whom are told, senders that are counted, and an end.
 *
 * One allocation, with the feed first. Its queue's lock guards all of it.
 */
#ifndef RDL_RUNTIME_FEED_H
#define RDL_RUNTIME_FEED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/waiter.h"
#include "sched/atomic.h"

struct raddle_watch;
struct raddle_bcast_receiver;

struct rdl_feed {
    struct rdl_queue queue; /* first */
    rdl_atomic(uint32_t) references;
    bool ended;              /* nothing comes any more. Under lock */
    size_t senders;          /* ends that are open. Under lock */
    struct rdl_line selects; /* that wait for other things, too. Under lock */
    size_t selecting;        /* how many those are. Under lock */
};

/* A counted end through which is sent. */
struct rdl_feed_sender {
    rdl_atomic(uint32_t) references;
    bool closed; /* under the feed's lock */
    struct rdl_feed *feed;
};

/* Zeroed, with one reference, and so many bytes altogether. NULL: no memory. */
struct rdl_feed *rdl_feed_create(size_t bytes);
void rdl_feed_ref(struct rdl_feed *feed);
void rdl_feed_unref(struct rdl_feed *feed);

static inline void rdl_feed_lock(struct rdl_feed *feed)
{
    rdl_lock_acquire(&feed->queue.lock);
}

static inline void rdl_feed_unlock(struct rdl_feed *feed)
{
    rdl_queue_release(&feed->queue);
}

/* The lock held, and a reference: tells all that wait to look again, and releases the lock. */
void rdl_feed_tell(struct rdl_feed *feed);

/* Nothing comes any more. */
void rdl_feed_end(struct rdl_feed *feed);

/*
 * The lock held: sleeps until told, and returns true with the lock held. Or false, without it: the task, which
 * rdl_waiter_check() has given, is cancelled, and was not told. what is for dumps.
 */
bool rdl_feed_wait(struct rdl_feed *feed, struct rdl_fiber *fiber, const char *what);

/* A select, with the lock held: in line to be told. Without it: out of line, if it still is in it. */
void rdl_feed_join(struct rdl_feed *feed, struct rdl_place *place, struct rdl_ticket ticket);
void rdl_feed_leave(struct rdl_feed *feed, struct rdl_place *place);

/* For select.c: as raddle_watch_wait() without waiting, -EAGAIN. And in line, or false: it need not wait. */
int rdl_watch_try(struct raddle_watch *watch, uint64_t *version, void *item);
bool rdl_watch_join(struct raddle_watch *watch, uint64_t version, struct rdl_place *place,
                    struct rdl_ticket ticket);
void rdl_watch_leave(struct raddle_watch *watch, struct rdl_place *place);
bool rdl_bcast_join(struct raddle_bcast_receiver *receiver, struct rdl_place *place,
                    struct rdl_ticket ticket);
void rdl_bcast_leave(struct raddle_bcast_receiver *receiver, struct rdl_place *place);

/* A call that need not wait has used some of its task's slice. */
void rdl_feed_charge(struct rdl_fiber *fiber);

/* -ENOMEM, RADDLE_ESHUTDOWN. */
int rdl_feed_open_sender(struct rdl_feed *feed, struct rdl_feed_sender **out);
void rdl_feed_close_sender(struct rdl_feed_sender *sender); /* the last one ends the feed */
void rdl_feed_unref_sender(struct rdl_feed_sender *sender);

#endif
