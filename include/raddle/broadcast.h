/*
 * raddle/broadcast.h - a broadcast channel: every receiver gets every item.
 *
 *     raddle_bcast *news;
 *     raddle_bcast_receiver *mine;
 *     struct event event;
 *     uint64_t missed;
 *
 *     rc = raddle_bcast_create(sizeof(event), 64, &news);
 *     ...
 *     rc = raddle_bcast_send(news, &event);                                      // whoever has some
 *     rc = raddle_bcast_receiver_open(news, &mine);                              // whoever wants them
 *     while ((rc = raddle_bcast_receive(mine, &event, &missed)) == 0)
 *         handle(&event, missed);
 *
 * Items are copied, and each receiver gets all that is sent from when it was opened on, in the order in which it was
 * sent. A send never waits: the channel keeps the last so many items, and a receiver that is further behind goes on
 * with the oldest of those and is told how many it has missed. That is no error, but who can't do with gaps has to
 * look at the number; the parameter is not optional for that reason.
 *
 * Nobody owns what an item points to, as each receiver has a copy: use plain values.
 *
 * A broadcast channel belongs to no loop. Every function may be called in tasks of any loop and in plain threads; one
 * that waits suspends a task and blocks a thread, and in a callback of a loop, which may not wait, returns -EPERM.
 *
 * The end. raddle_bcast_shutdown() ends it, or the last of the counted senders does, if there are any: receivers get
 * what they have not had yet, then RADDLE_ESHUTDOWN. That no receiver is left doesn't end it, unlike a channel
 * (raddle/channel.h): another may come.
 */
#ifndef RADDLE_BROADCAST_H
#define RADDLE_BROADCAST_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <raddle/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A broadcast channel: counted, thread-safe. */
typedef struct raddle_bcast raddle_bcast;

/** An end through which is sent: counted. */
typedef struct raddle_bcast_sender raddle_bcast_sender;

/** An end that gets every item: counted. Tasks that share one get each item once between them. */
typedef struct raddle_bcast_receiver raddle_bcast_receiver;

/**
 * Makes a broadcast channel of items of item_bytes. 0 is allowed: then items are NULL, and only counted.
 *
 * capacity  how many items it keeps for receivers that are behind: at least 1
 * Returns   0 with *out written; -ENOMEM; -EINVAL: out is NULL, or capacity is 0
 * Context   Any thread.
 * Lifetime  *out is one reference, given back by raddle_bcast_unref().
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_bcast_create(size_t item_bytes, size_t capacity,
                                                    raddle_bcast **out);

/**
 * Takes another reference. Returns bcast, which must not be NULL.
 *
 * Context   Any thread.
 * Since     0.1
 */
RADDLE_API raddle_bcast *raddle_bcast_ref(raddle_bcast *bcast);

/**
 * Gives a reference back; NULL does nothing. Ends have one each.
 *
 * Context   Any thread.
 * Since     0.1
 */
RADDLE_API void raddle_bcast_unref(raddle_bcast *bcast);

/**
 * Sends a copy of *item to every receiver that is open. Never waits.
 *
 * Returns   how many receivers there are, 0 included; or, with nothing sent,
 *           RADDLE_ESHUTDOWN  bcast has ended
 *           -EINVAL           bcast is NULL, or item is, and items have a size
 * Context   Any thread, task or callback.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD ssize_t raddle_bcast_send(raddle_bcast *bcast, const void *item);

/**
 * Ends bcast: sends fail from now on, and receivers get what is left. Again, or NULL, does nothing.
 *
 * Context   Any thread, task or callback.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API void raddle_bcast_shutdown(raddle_bcast *bcast);

/**
 * Opens one more receiver, which gets what is sent from now on.
 *
 * Returns   0 with *out written; -ENOMEM; RADDLE_ESHUTDOWN: bcast has ended; -EINVAL: an argument is NULL
 * Context   Any thread.
 * Lifetime  *out is one reference, given back by raddle_bcast_receiver_unref(); it keeps bcast.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_bcast_receiver_open(raddle_bcast *bcast,
                                                           raddle_bcast_receiver **out);

/**
 * Waits for the next item.
 *
 * item      receives it; may be NULL if items have no size
 * missed    receives how many items before it this receiver has missed because it was too far behind: usually 0
 * Returns   0 with both written, or, with nothing taken and missed,
 *           -ECANCELED        a scope around the caller is cancelled or past its deadline
 *           RADDLE_ESHUTDOWN  bcast has ended, and this receiver has had all of it; also while waiting
 *           RADDLE_ECLOSED    receiver was closed; also while waiting
 *           -EINVAL           receiver or missed is NULL, or item is, and items have a size
 *           -EPERM            in a callback of a loop
 * Context   Inside a task, or in a plain thread, which is blocked.
 * Cancel    Cancellation point, also when it need not wait.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_bcast_receive(raddle_bcast_receiver *receiver, void *item,
                                                     uint64_t *missed);

/**
 * As raddle_bcast_receive(), without waiting.
 *
 * Returns   0; -EAGAIN: there is nothing; or as raddle_bcast_receive(), but neither -ECANCELED nor -EPERM
 * Context   Any thread, task or callback.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_bcast_try_receive(raddle_bcast_receiver *receiver,
                                                         void *item, uint64_t *missed);

/**
 * Closes a receiver. Who waits in it gets RADDLE_ECLOSED. Closing again, or NULL, does nothing.
 *
 * Context   Any thread.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API void raddle_bcast_receiver_close(raddle_bcast_receiver *receiver);

/**
 * Another reference to the same receiver, which must not be NULL; and one given back. The last closes it. NULL does
 * nothing.
 *
 * Context   Any thread. The caller of a function that waits keeps a reference for as long.
 * Since     0.1
 */
RADDLE_API raddle_bcast_receiver *raddle_bcast_receiver_ref(raddle_bcast_receiver *receiver);
RADDLE_API void raddle_bcast_receiver_unref(raddle_bcast_receiver *receiver);

/**
 * Opens one more sender. Each is closed on its own, and the last that closes ends bcast.
 *
 * Returns   as raddle_bcast_receiver_open()
 * Context   Any thread.
 * Lifetime  *out is one reference, given back by raddle_bcast_sender_unref(); it keeps bcast.
 * Cancel    No cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_bcast_sender_open(raddle_bcast *bcast,
                                                         raddle_bcast_sender **out);

/**
 * raddle_bcast_send() through a sender; RADDLE_ECLOSED when it was closed.
 *
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD ssize_t raddle_bcast_sender_send(raddle_bcast_sender *sender,
                                                             const void *item);

/**
 * Closes a sender; takes and gives back references to it: as those of a receiver.
 *
 * Since     0.1
 */
RADDLE_API void raddle_bcast_sender_close(raddle_bcast_sender *sender);
RADDLE_API raddle_bcast_sender *raddle_bcast_sender_ref(raddle_bcast_sender *sender);
RADDLE_API void raddle_bcast_sender_unref(raddle_bcast_sender *sender);

#ifdef __cplusplus
}
#endif

#endif
