/*
 * raddle/select.h - waits for several things at once, and does exactly one of them.
 *
 *     struct raddle_case cases[] = {
 *         {.op = RADDLE_ON_GET, .object = orders, .item = &order},
 *         {.op = RADDLE_ON_TASK, .object = worker},
 *         {.op = RADDLE_ON_TIME, .when = raddle_in(RADDLE_S(1))},
 *     };
 *
 *     switch (raddle_select(cases, 3, 0)) {
 *     case 0: ...
 *
 * One case is done, and only its effect is there: of a select that returns, or is cancelled, no other case has put
 * or taken anything, however many became possible at the same moment: what is new in a watch still is, and an item of
 * a broadcast is still there for the receiver.
 *
 * A descriptor is a case as raddle_fd_poll() is: it tells what holds, and reads and writes nothing. While a select
 * waits for descriptors it has a small task for each.
 */
#ifndef RADDLE_SELECT_H
#define RADDLE_SELECT_H

#include <stddef.h>
#include <stdint.h>

#include <raddle/time.h>
#include <raddle/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What a case does. */
enum raddle_select_op {
    RADDLE_ON_NOTHING = 0, /**< Never; as any case without an object, but for the last two. */
    RADDLE_ON_GET,         /**< raddle_get() from object, a raddle_chan, into item. */
    RADDLE_ON_PUT,         /**< raddle_put() of item into object, a raddle_chan. */
    RADDLE_ON_RECEIVE,     /**< raddle_receiver_get(): object is a raddle_receiver. */
    RADDLE_ON_SEND,        /**< raddle_sender_put(): object is a raddle_sender. */
    RADDLE_ON_FUTURE,      /**< A raddle_future is done; item: NULL, or a struct raddle_outcome. */
    RADDLE_ON_TASK,        /**< A raddle_task has ended; item: as of a future. */
    RADDLE_ON_WATCH, /**< raddle_watch_wait(): object is a raddle_watch; item: NULL, or its value. */
    RADDLE_ON_BROADCAST, /**< raddle_bcast_receive(): object is a raddle_bcast_receiver. */
    RADDLE_ON_TIME,      /**< The point when has come. */
    RADDLE_ON_FD,        /**< raddle_fd_poll() of fd for events: rc says which hold. */
};

/** One of the things that are waited for. Zero where nothing is said. */
struct raddle_case {
    enum raddle_select_op op;
    int rc;       /**< Written for the case that was done: what its call would have returned. */
    void *object; /**< NULL: the case never happens. */
    void *item;   /**< Read, or written. */
    /** Of RADDLE_ON_WATCH: the version that was seen, read and written. Of RADDLE_ON_BROADCAST: receives how many
     *  items were missed. */
    uint64_t *number;
    raddle_time when; /**< Of RADDLE_ON_TIME. */
    int fd;           /**< Of RADDLE_ON_FD. */
    short events;     /**< Of RADDLE_ON_FD: POLLIN, POLLOUT, POLLPRI, POLLRDHUP. */
    uintptr_t raddle_private[12];
};

/** How a select chooses. */
enum raddle_select_flags {
    RADDLE_SELECT_FAIR = 1, /**< Of cases that are possible one at random; otherwise the first. */
    RADDLE_SELECT_TRY = 2,  /**< Don't wait. */
};

/**
 * Waits until one of the cases is possible, and does it. A channel that has ended makes its cases possible: they
 * fail, with rc. Among those who wait for a channel, a select that woke up for nothing begins as the last again.
 *
 * Returns   the index of the case that was done, with its rc written, or, with none done,
 *           -ECANCELED  a scope around the caller is cancelled or past its deadline
 *           -EAGAIN     RADDLE_SELECT_TRY: none is possible
 *           -EINVAL     cases is NULL, no such op, count above INT_MAX, number is NULL where it is needed
 *           -EPERM      outside a task
 *           -ENOMEM     no memory to wait for descriptors with
 * Context   Inside a task.
 * Lifetime  cases and the objects must live until this call returns.
 * Cancel    Cancellation point.
 * Since     0.1
 */
RADDLE_API RADDLE_NODISCARD int raddle_select(struct raddle_case *cases, size_t count,
                                              unsigned flags);

#ifdef __cplusplus
}
#endif

#endif
