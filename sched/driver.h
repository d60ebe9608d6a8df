/*
 * sched/driver.h - the contract between a loop and how it waits for the world.
 *
 * io/uring.c, io/epoll.c and io/sim.c implement it. Unless it says "any thread", a function is called by the
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
#include <sys/types.h>

struct rdl_loop;
struct rdl_driver;
struct rdl_op;

/* A call that a driver with a clock of its own makes later. In the memory of whoever asks for it, zeroed but
 * for call. */
struct rdl_chore {
    void (*call)(struct rdl_chore *chore);
    bool pending; /* handed over, and not called yet */
    bool work;    /* the driver's: it is a piece of work, as of later() */
    uint32_t rank;
    int64_t at_ns;
    struct rdl_chore *next, *prev;
};

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

    /*
     * What follows is of drivers that simulate the world, and NULL in those that wait for the real one.
     */

    /* Any thread, before start, and the loop's after it: the driver's clock. */
    int64_t (*now)(struct rdl_driver *driver);

    /* Instead of rdl_op_perform(), for who doesn't want to wait. */
    ssize_t (*attempt)(struct rdl_driver *driver, struct rdl_op *op);

    /* In place of a thread: has the chore called in a later poll, on the stack of a loop, when as much time has
     * passed as the driver thinks that a piece of work takes. One that is pending stays as it is. */
    void (*later)(struct rdl_driver *driver, struct rdl_chore *chore);

    /* The chore won't be called. */
    void (*forget)(struct rdl_driver *driver, struct rdl_chore *chore);
};

/* The head of every driver. */
struct rdl_driver {
    const struct rdl_driver_ops *ops;
    struct rdl_loop *loop; /* set by the loop that adopts it */
};

#endif
