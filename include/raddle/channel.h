/*
 * raddle/channel.h - channels: values handed from one task or thread to another.
 *
 *     raddle_chan *jobs;
 *     struct job job;
 *
 *     rc = raddle_chan_create(sizeof(struct job), 16, NULL, &jobs);
 *     ...
 *     rc = raddle_put(jobs, &job);                   // in producers
 *     while ((rc = raddle_get(jobs, &job)) == 0)     // in consumers
 *         work_on(&job);
 *
 * A channel holds copies of items of one size, up to its capacity. Who puts into a full one waits, and so
 * does who gets from an empty one, first come, first served. A value goes straight to the one who waits
 * longest: raddle_try_get() can't take what was put for another, nor raddle_try_put() the room that another
 * waits for.
 *
 * A channel belongs to no loop. Every function may be called in tasks of any loop, which are suspended, and in
 * plain threads, which are blocked: a thread waits without a limit and can't be cancelled. In a callback of a
 * loop, which may not wait, the functions that could return -EPERM; the others work.
 *
 * Cancellation. A put that returns -ECANCELED has put nothing, and a get has taken nothing: the value stays, or
 * goes to the next in line. When a wait is over at the same time, that counts.
 *
 * Order. One sender's values are received in the order in which it sent them, in a RADDLE_CHAN_FIFO channel.
 *
 * The end. raddle_chan_shutdown() ends a channel for all. With counted ends (raddle_sender, raddle_receiver)
 * it ends by itself: when the last sender has closed, receivers get what is left and then RADDLE_ESHUTDOWN;
 * when the last receiver has closed, senders get -EPIPE.
 */
#ifndef RADDLE_CHANNEL_H
#define RADDLE_CHANNEL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <raddle/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A channel: counted, thread-safe. */
typedef struct raddle_chan raddle_chan;

/** The capacity of a channel in which a put never waits. Its memory grows with what is in it. */
#define RADDLE_UNBOUNDED SIZE_MAX

/** In which order items leave a channel. */
enum raddle_chan_order {
    RADDLE_CHAN_FIFO = 0, /**< The oldest first. */
    RADDLE_CHAN_LIFO,     /**< The newest first. */
    RADDLE_CHAN_PRIORITY, /**< The least first, by compare; of equal ones the oldest. */
};

/** Compares two items: negative, 0 or positive, as for qsort(3). */
typedef int raddle_compare_fn(const void *a, const void *b);

/** Told of an item that nobody will receive. */
typedef void raddle_drop_fn(void *item, void *arg);

/** How a channel is made. Zero is the default for every member. */
struct raddle_chan_options {
    /** Of what is in the channel. Senders that wait for room are served in their own order. */
    enum raddle_chan_order order;
    /** For RADDLE_CHAN_PRIORITY, and only for it. Called with the channel locked: it must be short, and call
     *  nothing of raddle. */
    raddle_compare_fn *compare;
    /** Called for each item that is dropped: by an immediate shutdown, with the last receiver, or with the
     *  channel. In the thread that causes it, where it must not suspend. NULL: none. */
    raddle_drop_fn *drop;
    void *drop_arg;
    uint64_t reserved[4]; /**< Zero. */
};

/**
 * Makes a channel of items of item_bytes. 0 is allowed: then items are NULL, and only counted.
 *
 * capacity  how many items it holds; 0: none, a put waits until a get takes its item; RADDLE_UNBOUNDED
 * options   NULL for the defaults
 * Returns   0 with *out written, or
 *           -ENOMEM  no memory; a bounded channel has all of its own from the beginning
 *           -EINVAL  out is NULL, a bad option, compare with or without RADDLE_CHAN_PRIORITY
 * Context   Any thread.
 * Lifetime  *out is one reference, given back by raddle_chan_unref(). options is not kept.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_chan_create(size_t item_bytes, size_t capacity,
                                                   const struct raddle_chan_options *options,
                                                   raddle_chan **out);

/**
 * Takes another reference. Returns chan, which must not be NULL.
 *
 * Context   Any thread.
 * Since     0.1
 */
RADDLE_API raddle_chan *raddle_chan_ref(raddle_chan *chan);

/**
 * Gives a reference back; with the last the channel goes, and what is in it is dropped. NULL does nothing.
 *
 * Context   Any thread. The caller of a function that waits keeps a reference for as long.
 * Since     0.1
 */
RADDLE_API void raddle_chan_unref(raddle_chan *chan);

/**
 * Puts a copy of *item into chan, waiting for room, or hands it to who waits for one.
 *
 * Returns   0, or, with nothing put and *item still the caller's,
 *           -ECANCELED        a scope around the caller is cancelled or past its deadline
 *           RADDLE_ESHUTDOWN  chan was shut down, or its last sender has closed; also while waiting
 *           -EPIPE            its last receiver has closed; also while waiting
 *           -ENOMEM           RADDLE_UNBOUNDED: no memory
 *           -EINVAL           chan is NULL, or item is, and items have a size
 *           -EPERM            in a callback of a loop
 * Context   Inside a task, or in a plain thread, which is blocked.
 * Cancel    Cancellation point, also when it need not wait.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_put(raddle_chan *chan, const void *item);

/**
 * Takes an item out of chan into *item, waiting for one.
 *
 * Returns   0 with *item written, or, with nothing taken,
 *           -ECANCELED        a scope around the caller is cancelled or past its deadline
 *           RADDLE_ESHUTDOWN  chan was shut down or has ended, and nothing is left in it; also while waiting
 *           -EINVAL           chan is NULL, or item is, and items have a size
 *           -EPERM            in a callback of a loop
 * Context   Inside a task, or in a plain thread, which is blocked.
 * Cancel    Cancellation point, also when it need not wait.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_get(raddle_chan *chan, void *item);

/**
 * As raddle_put(), without waiting. A capacity of 0 needs somebody who waits.
 *
 * Returns   0; -EAGAIN: no room; or as raddle_put(), but neither -ECANCELED nor -EPERM
 * Context   Any thread.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_try_put(raddle_chan *chan, const void *item);

/**
 * As raddle_get(), without waiting.
 *
 * Returns   0; -EAGAIN: there is nothing; or as raddle_get(), but neither -ECANCELED nor -EPERM
 * Context   Any thread.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_try_get(raddle_chan *chan, void *item);

/**
 * Says that the work on an item that was got is done: see raddle_chan_join().
 *
 * Returns   0; -EINVAL: more often than items were put, or chan is NULL
 * Context   Any thread.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API int raddle_chan_task_done(raddle_chan *chan);

/**
 * Waits until raddle_chan_task_done() was called for every item that was put, or the rest of them dropped. At
 * once when nothing ever was put.
 *
 * Returns   0; -ECANCELED: a scope around the caller is cancelled or past its deadline; -EINVAL: chan is NULL;
 *           -EPERM: in a callback of a loop
 * Context   Inside a task, or in a plain thread, which is blocked.
 * Cancel    Cancellation point, also when it need not wait.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_chan_join(raddle_chan *chan);

/** How a channel is shut down. */
enum raddle_chan_shutdown_mode {
    RADDLE_CHAN_DRAIN,     /**< Gets go on until it is empty. */
    RADDLE_CHAN_IMMEDIATE, /**< What is in it is dropped, and counts as done. */
};

/**
 * Ends chan: puts fail from now on, those that wait for room included, and so do gets that find nothing. May
 * be called again, to drop what a drain has left.
 *
 * Returns   how many items were dropped; -EINVAL: chan is NULL, no such mode
 * Context   Any thread.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API ssize_t raddle_chan_shutdown(raddle_chan *chan, enum raddle_chan_shutdown_mode mode);

/**
 * How many items are in chan: a snapshot, which may be old when it is returned.
 *
 * Context   Any thread.
 * Since     0.1
 */
RADDLE_API size_t raddle_chan_count(raddle_chan *chan);

/**
 * The capacity with which chan was made.
 *
 * Context   Any thread.
 * Since     0.1
 */
RADDLE_API size_t raddle_chan_capacity(const raddle_chan *chan);

/** An end of a channel through which is sent: counted. */
typedef struct raddle_sender raddle_sender;
/** An end of a channel through which is received: counted. */
typedef struct raddle_receiver raddle_receiver;

/**
 * Opens one more sending end of chan. Each is closed on its own: open one per producer.
 *
 * Returns   0 with *out written, or
 *           -ENOMEM                    no memory
 *           RADDLE_ESHUTDOWN, -EPIPE   chan has ended, as raddle_put() would say
 *           -EINVAL                    an argument is NULL
 * Context   Any thread.
 * Lifetime  *out is one reference, given back by raddle_sender_unref(); it keeps chan.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_sender_open(raddle_chan *chan, raddle_sender **out);

/**
 * Opens one more receiving end of chan. While chan drains it is possible, too.
 *
 * Returns   as raddle_sender_open(); RADDLE_ESHUTDOWN: chan has ended and is empty
 * Context   Any thread.
 * Lifetime  *out is one reference, given back by raddle_receiver_unref(); it keeps chan.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_receiver_open(raddle_chan *chan, raddle_receiver **out);

/**
 * raddle_put() and raddle_try_put() through an end; RADDLE_ECLOSED when it was closed, also while waiting.
 *
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_sender_put(raddle_sender *sender, const void *item);
RADDLE_API RADDLE_NODISCARD int raddle_sender_try_put(raddle_sender *sender, const void *item);

/**
 * raddle_get() and raddle_try_get() through an end; RADDLE_ECLOSED when it was closed, also while waiting.
 *
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_receiver_get(raddle_receiver *receiver, void *item);
RADDLE_API RADDLE_NODISCARD int raddle_receiver_try_get(raddle_receiver *receiver, void *item);

/**
 * Closes an end. Who waits in it gets RADDLE_ECLOSED. With the last sender the channel ends as by a drain; with
 * the last receiver what is in it is dropped, and senders get -EPIPE. Closing again, or NULL, does nothing.
 *
 * Context   Any thread.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API void raddle_sender_close(raddle_sender *sender);
RADDLE_API void raddle_receiver_close(raddle_receiver *receiver);

/**
 * Another reference to the same end, which must not be NULL; and one given back. The last closes the end. NULL
 * does nothing.
 *
 * Context   Any thread. The caller of a function that waits keeps a reference for as long.
 * Since     0.1
 */
RADDLE_API raddle_sender *raddle_sender_ref(raddle_sender *sender);
RADDLE_API void raddle_sender_unref(raddle_sender *sender);
RADDLE_API raddle_receiver *raddle_receiver_ref(raddle_receiver *receiver);
RADDLE_API void raddle_receiver_unref(raddle_receiver *receiver);

#ifdef __cplusplus
}
#endif

#endif
