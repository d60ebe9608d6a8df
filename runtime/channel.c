/*
 * runtime/channel.c - putting and getting.
 *
 * The danger: a value that is lost or received twice, when the one it is handed to is cancelled at the same
 * time; and one who waits although there is a value, or room.
 *
 * All of it is decided under the channel's lock, and this holds whenever that is free:
 *
 *     somebody waits to get  =>  nothing is stored, and nobody waits to put
 *     somebody waits to put  =>  it is full
 *     it has ended           =>  who waits to put or to get is about to be told so, and is not served
 *
 * So a put that finds one who waits hands the value to it, into its frame, and a get that makes room stores
 * the value of the first who waits to put. Who was taken out of the line this way has received, or sent,
 * whatever else ends its wait (sched/turn.h): a cancelled one that finds itself in line has done neither.
 *
 * Lifetime. Who puts or gets has a reference, and so has an end that it goes through. The last touch of the
 * channel by who serves is the release of the lock; what it tells after that is the waiter.
 *
 * Unbounded. Memory is made without the lock; the move into it, which is as long as there are items, is under
 * it: who wants the lock meanwhile naps (sched/lock.c).
 */
#define _GNU_SOURCE
#include "runtime/channel.h"

#include <errno.h>
#include <raddle/error.h>

#include "sched/fiber.h"
#include "sched/loop.h"
#include "sched/sys.h"

enum { NO_MEMORY_YET = 1 };

/* What an item without a size is: somewhere, so that copying has two ends, and never touched. */
static char nothing;

int raddle_chan_create(size_t item_bytes, size_t capacity,
                       const struct raddle_chan_options *options, raddle_chan **out)
{
    static const struct raddle_chan_options defaults;
    raddle_chan *chan;
    int rc;

    if (!options)
        options = &defaults;
    for (unsigned i = 0; i < 4; i++)
        if (options->reserved[i])
            return -EINVAL;
    if (!out || (unsigned)options->order > RADDLE_CHAN_PRIORITY ||
        (options->order == RADDLE_CHAN_PRIORITY) != (options->compare != NULL))
        return -EINVAL;
    chan = rdl_sys_calloc(1, sizeof(*chan));
    if (!chan)
        return -ENOMEM;
    rc = rdl_store_init(&chan->store, item_bytes, capacity == RADDLE_UNBOUNDED ? 0 : capacity,
                        options->order, options->compare);
    if (rc < 0) {
        rdl_sys_free(chan);
        return rc;
    }
    rdl_atomic_init(&chan->references, 1);
    chan->capacity = capacity;
    chan->drop = options->drop;
    chan->drop_arg = options->drop_arg;
    *out = chan;
    return 0;
}

raddle_chan *raddle_chan_ref(raddle_chan *chan)
{
    rdl_atomic_fetch_add_relaxed(&chan->references, 1);
    return chan;
}

void raddle_chan_unref(raddle_chan *chan)
{
    /* acq_rel: what others did with it comes before the free. */
    if (!chan || rdl_atomic_fetch_sub_acq_rel(&chan->references, 1) != 1)
        return;
    (void)rdl_store_drop(&chan->store, chan->drop, chan->drop_arg);
    rdl_sys_free(chan);
}

/* What is common to puts and gets that may wait. */

/* Who calls. */
struct caller {
    struct rdl_loop *loop;  /* NULL: a plain thread */
    struct rdl_fiber *self; /* NULL: a plain thread, or one that doesn't wait anyway */
};

static inline int enter(struct caller *caller)
{
    caller->loop = rdl_loop_current();
    if (!caller->loop)
        return 0;
    caller->self = rdl_atomic_load_relaxed(&caller->loop->current);
    if (!caller->self)
        return -EPERM;
    /* What rdl_cancel_check() begins with, without the call. */
    if (!rdl_atomic_load_relaxed(&caller->self->stack->wait.poked) &&
        caller->self->nearest_ns == INT64_MAX)
        return 0;
    return rdl_cancel_check(caller->self);
}

/* It has not waited since, so its loop is the same: it has used some of its slice nevertheless. */
static inline void charge(const struct caller *caller)
{
    if (caller->self && rdl_loop_slice_over(caller->loop, 1))
        rdl_fiber_yield(caller->self);
}

/* Claimed: whom it returns is served. */
static struct rdl_exchange *first_of(struct rdl_line *line)
{
    return (struct rdl_exchange *)(void *)rdl_turn_first(line);
}

/* Under the lock, which it releases. */
static int wait_in(raddle_chan *chan, struct rdl_line *line, struct rdl_exchange *exchange,
                   struct rdl_fiber *self, const char *what)
{
    int rc;

    rdl_turn_join(line, &exchange->turn, self);
    rdl_lock_release(&chan->lock);
    rc = rdl_turn_wait(&chan->lock, line, &exchange->turn, self, INT64_MAX, what, chan);
    return rc < 0 ? rc : exchange->turn.result;
}

/* Putting. */

/* Under the lock. *call is to be told afterwards. */
static inline int put_now(raddle_chan *chan, const void *item, struct rdl_turn_call *call)
{
    struct rdl_exchange *receiver;

    if (chan->put_rc)
        return chan->put_rc;
    receiver = first_of(&chan->receivers);
    if (receiver) {
        rdl_store_copy(&chan->store, receiver->item, item);
        chan->unfinished++;
        *call = rdl_turn_call(&chan->receivers, 0);
        return 0;
    }
    if (chan->store.count >= chan->capacity)
        return -EAGAIN;
    if (chan->store.count == chan->store.slots)
        return NO_MEMORY_YET;
    rdl_store_push(&chan->store, item);
    chan->unfinished++;
    return 0;
}

/* Under the lock, which it gives up meanwhile. */
static int make_room(raddle_chan *chan)
{
    size_t slots = chan->store.slots, new_slots = 0;
    char *memory;

    rdl_lock_release(&chan->lock);
    memory = rdl_store_room(&chan->store, slots, &new_slots);
    rdl_lock_acquire(&chan->lock);
    if (!memory)
        return -ENOMEM;
    memory = rdl_store_grow(&chan->store, memory, new_slots);
    rdl_lock_release(&chan->lock);
    rdl_sys_free(memory);
    rdl_lock_acquire(&chan->lock);
    return 0;
}

int rdl_chan_put(raddle_chan *chan, const struct rdl_end *end, const void *item, bool may_wait)
{
    struct rdl_turn_call call = {.told = NULL};
    struct caller caller = {.self = NULL};
    int rc = 0;

    if (!chan || (!item && chan->store.item_bytes))
        return -EINVAL;
    if (!item)
        item = &nothing;
    if (may_wait && (rc = enter(&caller)) < 0)
        return rc;
    rdl_lock_acquire(&chan->lock);
    do {
        rc = end && end->closed ? RADDLE_ECLOSED : put_now(chan, item, &call);
    } while (rc == NO_MEMORY_YET && (rc = make_room(chan)) == 0);
    if (rc == -EAGAIN && may_wait) {
        struct rdl_exchange exchange = {.item = (void *)(uintptr_t)item, .end = end};
        return wait_in(chan, &chan->senders, &exchange, caller.self, "room in a channel");
    }
    rdl_lock_release(&chan->lock);
    rdl_turn_tell(call);
    charge(&caller);
    return rc;
}

int raddle_put(raddle_chan *chan, const void *item)
{
    return rdl_chan_put(chan, NULL, item, true);
}

int raddle_try_put(raddle_chan *chan, const void *item)
{
    return rdl_chan_put(chan, NULL, item, false);
}

/* Getting. */

/* Under the lock. *call is to be told afterwards. */
static inline int get_now(raddle_chan *chan, void *item, struct rdl_turn_call *call)
{
    struct rdl_exchange *sender = chan->put_rc ? NULL : first_of(&chan->senders);
    bool stored = chan->store.count != 0;

    if (stored)
        rdl_store_pop(&chan->store, item);
    if (sender) {
        if (stored)
            rdl_store_push(&chan->store, sender->item);
        else /* a rendezvous */
            rdl_store_copy(&chan->store, item, sender->item);
        chan->unfinished++;
        *call = rdl_turn_call(&chan->senders, 0);
        return 0;
    }
    if (stored)
        return 0;
    return chan->put_rc ? RADDLE_ESHUTDOWN : -EAGAIN;
}

int rdl_chan_get(raddle_chan *chan, const struct rdl_end *end, void *item, bool may_wait)
{
    struct rdl_turn_call call = {.told = NULL};
    struct caller caller = {.self = NULL};
    int rc = 0;

    if (!chan || (!item && chan->store.item_bytes))
        return -EINVAL;
    if (!item)
        item = &nothing;
    if (may_wait && (rc = enter(&caller)) < 0)
        return rc;
    rdl_lock_acquire(&chan->lock);
    rc = end && end->closed ? RADDLE_ECLOSED : get_now(chan, item, &call);
    if (rc == -EAGAIN && may_wait) {
        struct rdl_exchange exchange = {.item = item, .end = end};
        return wait_in(chan, &chan->receivers, &exchange, caller.self, "a value from a channel");
    }
    rdl_lock_release(&chan->lock);
    rdl_turn_tell(call);
    charge(&caller);
    return rc;
}

int raddle_get(raddle_chan *chan, void *item)
{
    return rdl_chan_get(chan, NULL, item, true);
}

int raddle_try_get(raddle_chan *chan, void *item)
{
    return rdl_chan_get(chan, NULL, item, false);
}

/* Choosing. */

/* Under the lock: somebody waits whose choice isn't this one. */
static bool another(const struct rdl_line *line, const struct rdl_choice *choice)
{
    for (const struct rdl_place *place = line->first; place; place = place->next)
        if (((const struct rdl_turn *)(const void *)place)->choice != choice)
            return true;
    return false;
}

bool rdl_chan_join_choice(raddle_chan *chan, struct rdl_exchange *exchange, bool puts,
                          struct rdl_ticket ticket, struct rdl_choice *choice)
{
    bool ready;

    rdl_lock_acquire(&chan->lock);
    ready = chan->put_rc || (exchange->end && exchange->end->closed);
    if (puts)
        ready = ready || chan->store.count < chan->capacity || another(&chan->receivers, choice);
    else
        ready = ready || chan->store.count || another(&chan->senders, choice);
    if (!ready)
        rdl_turn_join_choice(puts ? &chan->senders : &chan->receivers, &exchange->turn, ticket,
                             choice);
    rdl_lock_release(&chan->lock);
    return !ready;
}

void rdl_chan_leave(raddle_chan *chan, struct rdl_exchange *exchange, bool puts)
{
    rdl_lock_acquire(&chan->lock);
    rdl_line_leave(puts ? &chan->senders : &chan->receivers, &exchange->turn.place);
    rdl_lock_release(&chan->lock);
}

/* The work on what was got. */

/* Under the lock: so many are done. Whether there are joiners to be told. */
static bool finish(raddle_chan *chan, size_t count)
{
    if (!count)
        return false;
    chan->unfinished -= count;
    if (chan->unfinished)
        return false;
    chan->rounds++;
    return chan->joiners.first != NULL;
}

int raddle_chan_task_done(raddle_chan *chan)
{
    bool tell;

    if (!chan)
        return -EINVAL;
    rdl_lock_acquire(&chan->lock);
    if (!chan->unfinished) {
        rdl_lock_release(&chan->lock);
        return -EINVAL;
    }
    tell = finish(chan, 1);
    rdl_lock_release(&chan->lock);
    if (tell)
        rdl_turn_tell_all(&chan->lock, &chan->joiners, 0);
    return 0;
}

int raddle_chan_join(raddle_chan *chan)
{
    struct rdl_turn turn = {.result = 0};
    struct caller caller = {.self = NULL};
    uint64_t round;
    int rc;

    if (!chan)
        return -EINVAL;
    rc = enter(&caller);
    if (rc < 0)
        return rc;
    rdl_lock_acquire(&chan->lock);
    round = chan->rounds;
    /* Who joins while earlier ones are told may be told with them, and waits again. */
    while (rc == 0 && chan->unfinished && chan->rounds == round) {
        rdl_turn_join(&chan->joiners, &turn, caller.self);
        rdl_lock_release(&chan->lock);
        rc = rdl_turn_wait(&chan->lock, &chan->joiners, &turn, caller.self, INT64_MAX,
                           "the work on a channel's values", chan);
        rdl_lock_acquire(&chan->lock);
    }
    rdl_lock_release(&chan->lock);
    return rc;
}

/* The end. */

size_t rdl_chan_end(raddle_chan *chan, int put_rc, bool drop)
{
    struct rdl_store dropped = {.memory = NULL};
    bool tell = false;

    rdl_lock_acquire(&chan->lock);
    if (!chan->put_rc)
        chan->put_rc = put_rc;
    put_rc = chan->put_rc;
    if (drop) {
        rdl_store_empty(&chan->store, &dropped);
        tell = finish(chan, dropped.count);
    }
    rdl_lock_release(&chan->lock);
    /* Nobody joins these lines any more. */
    rdl_turn_tell_all(&chan->lock, &chan->senders, put_rc);
    rdl_turn_tell_all(&chan->lock, &chan->receivers, RADDLE_ESHUTDOWN);
    if (tell)
        rdl_turn_tell_all(&chan->lock, &chan->joiners, 0);
    return rdl_store_drop(&dropped, chan->drop, chan->drop_arg);
}

ssize_t raddle_chan_shutdown(raddle_chan *chan, enum raddle_chan_shutdown_mode mode)
{
    if (!chan || (unsigned)mode > RADDLE_CHAN_IMMEDIATE)
        return -EINVAL;
    return (ssize_t)rdl_chan_end(chan, RADDLE_ESHUTDOWN, mode == RADDLE_CHAN_IMMEDIATE);
}

size_t raddle_chan_count(raddle_chan *chan)
{
    size_t count;

    rdl_lock_acquire(&chan->lock);
    count = chan->store.count;
    rdl_lock_release(&chan->lock);
    return count;
}

size_t raddle_chan_capacity(const raddle_chan *chan)
{
    return chan->capacity;
}
