/*
 * runtime/channel.h - a channel, as its own files see it.
 */
#ifndef RDL_RUNTIME_CHANNEL_H
#define RDL_RUNTIME_CHANNEL_H

#include <raddle/channel.h>

#include "runtime/store.h"
#include "sched/atomic.h"
#include "sched/turn.h"

struct raddle_chan {
    rdl_atomic(uint32_t) references;
    struct rdl_lock lock;
    size_t capacity;
    raddle_drop_fn *drop;
    void *drop_arg;

    /* Under lock. */
    int put_rc; /* what puts fail with; 0: it is open */
    size_t unfinished;
    uint64_t rounds;                    /* how often unfinished has become 0 */
    struct rdl_line senders, receivers; /* of struct rdl_exchange */
    struct rdl_line joiners;            /* of struct rdl_turn */
    size_t sender_ends, receiver_ends;
    struct rdl_store store;
};

/* An end, sending or receiving. */
struct rdl_end {
    rdl_atomic(uint32_t) references;
    bool closed; /* under the channel's lock */
    raddle_chan *chan;
};

/* One who waits to put or to get, in its frame. */
struct rdl_exchange {
    struct rdl_turn turn; /* first */
    void *item;           /* to be read, or written */
    const struct rdl_end *end;
};

/* end: NULL when it goes through none. */
int rdl_chan_put(raddle_chan *chan, const struct rdl_end *end, const void *item, bool may_wait);
int rdl_chan_get(raddle_chan *chan, const struct rdl_end *end, void *item, bool may_wait);

/* For select.c: in line with a choice, or false: it need not wait. And out of the line, if it is in it. */
bool rdl_chan_join_choice(raddle_chan *chan, struct rdl_exchange *exchange, bool puts,
                          struct rdl_ticket ticket, struct rdl_choice *choice);
void rdl_chan_leave(raddle_chan *chan, struct rdl_exchange *exchange, bool puts);

/* The channels behind ends. */
const struct rdl_end *rdl_sender_end(const raddle_sender *sender);
const struct rdl_end *rdl_receiver_end(const raddle_receiver *receiver);

/* Puts fail with put_rc, if they don't already; drops what is in it, and returns how many those were. */
size_t rdl_chan_end(raddle_chan *chan, int put_rc, bool drop);

#endif
