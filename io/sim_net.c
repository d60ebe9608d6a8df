/*
 * io/sim_net.c - what a simulated world has in place of descriptors.
 *
 * Standard input, output and error are real, and the world stands still while one of them makes it wait: what
 * comes and goes there is no matter of chance. Everything else is refused.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "io/fd.h"
#include "io/sim.h"
#include "sched/fiber.h"
#include "sched/loop.h"
#include "sched/sys.h"

/* Blocks until it has been done. */
static ssize_t perform_standard(struct rdl_op *op)
{
    struct pollfd fd = {.fd = op->fd, .events = (short)op->events};
    ssize_t n;

    while ((n = rdl_op_perform(op)) == RDL_OP_WAIT)
        if (rdl_sys_poll(&fd, 1, -1) < 0)
            break; /* interrupted: it is tried again */
    return n == RDL_OP_WAIT ? -EINTR : n;
}

ssize_t rdl_sim_attempt(struct rdl_sim_world *world, struct rdl_op *op)
{
    (void)world;
    return op->fd <= STDERR_FILENO ? perform_standard(op) : -ENOTSUP;
}

void rdl_sim_queue(struct rdl_op *op)
{
    (void)op;
}

void rdl_sim_unqueue(struct rdl_sim *sim, struct rdl_op *op)
{
    rdl_op_remove(&sim->news, op);
    op->place = RDL_OP_NOWHERE;
}
