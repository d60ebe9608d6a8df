/*
 * runtime/channel_end.c - the counted ends of a channel.
 *
 * A channel counts the ends that are open, of each kind. When the last of one kind closes, the channel ends as
 * a shutdown ends it, so what remains for senders and receivers without ends, if there are any, is the same.
 *
 * closed is read where putting and getting are decided, under the channel's lock, and those who wait in an
 * end are taken out of the line one by one under it: each is told once, by who closes the end or by who
 * served it before.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <raddle/error.h>

#include "runtime/channel.h"
#include "sched/sys.h"

struct raddle_sender {
    struct rdl_end end;
};

struct raddle_receiver {
    struct rdl_end end;
};

/* counter: of the ends of this kind. rc: why there can't be one more; under the lock. */
static int open_end(raddle_chan *chan, size_t *counter, int rc, struct rdl_end *end)
{
    if (rc == 0)
        ++*counter;
    rdl_lock_release(&chan->lock);
    if (rc < 0) {
        rdl_sys_free(end);
        return rc;
    }
    rdl_atomic_init(&end->references, 1);
    end->chan = raddle_chan_ref(chan);
    return 0;
}

int raddle_sender_open(raddle_chan *chan, raddle_sender **out)
{
    raddle_sender *sender;
    int rc;

    if (!chan || !out)
        return -EINVAL;
    sender = rdl_sys_calloc(1, sizeof(*sender));
    if (!sender)
        return -ENOMEM;
    rdl_lock_acquire(&chan->lock);
    rc = open_end(chan, &chan->sender_ends, chan->put_rc, &sender->end);
    if (rc == 0)
        *out = sender;
    return rc;
}

int raddle_receiver_open(raddle_chan *chan, raddle_receiver **out)
{
    raddle_receiver *receiver;
    int rc;

    if (!chan || !out)
        return -EINVAL;
    receiver = rdl_sys_calloc(1, sizeof(*receiver));
    if (!receiver)
        return -ENOMEM;
    rdl_lock_acquire(&chan->lock);
    rc = open_end(chan, &chan->receiver_ends, chan->put_rc && !chan->store.count ? chan->put_rc : 0,
                  &receiver->end);
    if (rc == 0)
        *out = receiver;
    return rc;
}

/* The first who waits in end; called out of the line. */
static bool call_one(struct rdl_line *line, const struct rdl_end *end, struct rdl_turn_call *call)
{
    struct rdl_place *next;

    for (struct rdl_place *place = line->first; place; place = next) {
        struct rdl_exchange *exchange = (struct rdl_exchange *)(void *)place;
        next = place->next;
        if (exchange->end != end)
            continue;
        if (!rdl_turn_claim(&exchange->turn)) {
            rdl_line_leave(line, place);
            continue;
        }
        *call = rdl_turn_call_out(line, &exchange->turn, RADDLE_ECLOSED);
        return true;
    }
    return false;
}

/* True: it was the last of its kind. */
static bool close_end(struct rdl_end *end, size_t *counter, struct rdl_line *line, int put_rc)
{
    raddle_chan *chan = end->chan;
    struct rdl_turn_call call;
    bool last;

    rdl_lock_acquire(&chan->lock);
    if (end->closed) {
        rdl_lock_release(&chan->lock);
        return false;
    }
    end->closed = true;
    last = --*counter == 0;
    if (last && !chan->put_rc)
        chan->put_rc = put_rc; /* at once: no other end can open now */
    while (call_one(line, end, &call)) {
        rdl_lock_release(&chan->lock);
        rdl_turn_tell(call);
        rdl_lock_acquire(&chan->lock);
    }
    rdl_lock_release(&chan->lock);
    return last;
}

void raddle_sender_close(raddle_sender *sender)
{
    if (!sender)
        return;
    if (close_end(&sender->end, &sender->end.chan->sender_ends, &sender->end.chan->senders,
                  RADDLE_ESHUTDOWN))
        (void)rdl_chan_end(sender->end.chan, RADDLE_ESHUTDOWN, false);
}

void raddle_receiver_close(raddle_receiver *receiver)
{
    if (!receiver)
        return;
    if (close_end(&receiver->end, &receiver->end.chan->receiver_ends,
                  &receiver->end.chan->receivers, -EPIPE))
        (void)rdl_chan_end(receiver->end.chan, -EPIPE, true);
}

raddle_sender *raddle_sender_ref(raddle_sender *sender)
{
    rdl_atomic_fetch_add_relaxed(&sender->end.references, 1);
    return sender;
}

raddle_receiver *raddle_receiver_ref(raddle_receiver *receiver)
{
    rdl_atomic_fetch_add_relaxed(&receiver->end.references, 1);
    return receiver;
}

/* acq_rel: what others did with it comes before the free. */
static bool give_back(struct rdl_end *end)
{
    return rdl_atomic_fetch_sub_acq_rel(&end->references, 1) == 1;
}

void raddle_sender_unref(raddle_sender *sender)
{
    raddle_chan *chan;

    if (!sender || !give_back(&sender->end))
        return;
    chan = sender->end.chan;
    raddle_sender_close(sender);
    rdl_sys_free(sender);
    raddle_chan_unref(chan);
}

void raddle_receiver_unref(raddle_receiver *receiver)
{
    raddle_chan *chan;

    if (!receiver || !give_back(&receiver->end))
        return;
    chan = receiver->end.chan;
    raddle_receiver_close(receiver);
    rdl_sys_free(receiver);
    raddle_chan_unref(chan);
}

const struct rdl_end *rdl_sender_end(const raddle_sender *sender)
{
    return &sender->end;
}

const struct rdl_end *rdl_receiver_end(const raddle_receiver *receiver)
{
    return &receiver->end;
}

int raddle_sender_put(raddle_sender *sender, const void *item)
{
    return sender ? rdl_chan_put(sender->end.chan, &sender->end, item, true) : -EINVAL;
}

int raddle_sender_try_put(raddle_sender *sender, const void *item)
{
    return sender ? rdl_chan_put(sender->end.chan, &sender->end, item, false) : -EINVAL;
}

int raddle_receiver_get(raddle_receiver *receiver, void *item)
{
    return receiver ? rdl_chan_get(receiver->end.chan, &receiver->end, item, true) : -EINVAL;
}

int raddle_receiver_try_get(raddle_receiver *receiver, void *item)
{
    return receiver ? rdl_chan_get(receiver->end.chan, &receiver->end, item, false) : -EINVAL;
}
