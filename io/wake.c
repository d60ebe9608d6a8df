/*
 * io/wake.c - an eventfd by which any thread ends a driver's wait.
 *
 * A waker publishes its work, then sets pending; if it was set already, the event of an earlier
 * waker is still to be seen, and its taker looks at the queues after it. Both are exchanges,
 * acquire and release: a taker that clears a waker's true has seen the waker's work, whether or not
 * that waker wrote.
 */
#include "io/wake.h"

#include "sched/sys.h"

int rdl_wake_init(struct rdl_wake *wake)
{
    int rc = rdl_sys_eventfd();

    if (rc < 0)
        return rc;
    wake->fd = rc;
    rdl_atomic_init(&wake->pending, false);
    return 0;
}

void rdl_wake_fini(struct rdl_wake *wake)
{
    (void)rdl_sys_close(wake->fd);
}

bool rdl_wake_post(struct rdl_wake *wake)
{
    if (rdl_atomic_exchange_acq_rel(&wake->pending, true))
        return false;
    rdl_sys_eventfd_post(wake->fd);
    return true;
}

void rdl_wake_take(struct rdl_wake *wake)
{
    (void)rdl_atomic_exchange_acq_rel(&wake->pending, false);
}
