/*
 * sched/driver.h - the contract between a loop and how it waits for the world.
 *
 * io/uring.c and io/epoll.c implement it. Unless it says "any thread", a function is called by the
 * thread that runs the loop, and may be called on a task's stack: it must not suspend.
 *
 * An operation (io/op.h) that a driver has accepted belongs to it until the driver calls
 * rdl_fiber_complete() exactly once: until then the kernel may write into the operation's buffers, and
 * the task that waits for it does not leave its stack frame.
 */
#ifndef RDL_SCHED_DRIVER_H
#define RDL_SCHED_DRIVER_H

#include <stdbool.h>
#include <stdint.h>

struct rdl_loop;
struct rdl_driver;
struct rdl_op;

struct rdl_driver_ops {
    const char *name;

    /* Binds the driver to the calling thread, which from now on runs the loop. Once, before all but
     * wake and destroy. */
    int (*start)(struct rdl_driver *driver);

    /* Hands an operation over. Returns true if it has ended already, its result in the operation:
     * rdl_fiber_complete() will not be called. Bad descriptors and a full ring are results too. */
    bool (*submit)(struct rdl_driver *driver, struct rdl_op *op);

    /* Asks for the end of an operation handed over before. Returns true if it has ended now (no
     * rdl_fiber_complete() will come, the result is in the operation); otherwise it completes in some
     * later poll, with its result if it was quicker, else with -ECANCELED. */
    bool (*cancel)(struct rdl_driver *driver, struct rdl_op *op);

    /* Passes on what was submitted, then completes what is ready. Waits for at most timeout_ns for a
     * first event: 0 does not wait, negative waits until there is one. A wake, or a signal, ends the
     * wait. Returns how many operations it completed, or -errno when the loop can't go on. */
    int (*poll)(struct rdl_driver *driver, int64_t timeout_ns);

    /* Any thread: ends the running or the next poll that waits. Cheap when called twice. */
    void (*wake)(struct rdl_driver *driver);

    /* The loop is not running and nothing is handed over. Any thread. Frees the driver. */
    void (*destroy)(struct rdl_driver *driver);

    /* After fork, in the child: frees what the child may free without touching what it shares with
     * the parent (a ring, an epoll instance). */
    void (*abandon)(struct rdl_driver *driver);
};

/* The head of every driver. */
struct rdl_driver {
    const struct rdl_driver_ops *ops;
    struct rdl_loop *loop; /* set by the loop that adopts it */
};

#endif
