/*
 * tests/model/host.h - what whole loops need around them, for scenarios: drivers, stacks, a clock, memory.
 *
 * It takes the place of io/, sched/stack.c and sched/sys.c.
 */
#ifndef MODEL_HOST_H
#define MODEL_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "sched/driver.h"
#include "sched/fiber.h"

enum { HOST_DRIVERS = 3, HOST_STACKS = 8 };

/* In begin: everything as new. */
void host_begin(void);

/* Lets so much time pass. */
void host_pass(int64_t ns);

/*
 * A driver that sleeps as a real one does, and lets time pass: when a loop waits for a time, that time
 * comes, unless a wake did.
 */
struct rdl_driver *host_driver(unsigned index);

/* An operation of a fiber. The driver completes it in some poll; a cancel may end it at once, or be too
 * late, or make it complete with -ECANCELED. */
struct host_op {
    struct rdl_fiber *fiber;
    bool waits;     /* completes only when it is cancelled */
    bool submitted; /* the driver's */
    bool cancelled;
    int32_t result;
    void (*ended)(struct host_op *op); /* may be NULL: told of result, before the fiber is */
};

static inline struct rdl_op *host_op(struct host_op *op)
{
    return (struct rdl_op *)(void *)op;
}

/* In end: has everything been given back? */
void host_end(void);

#endif
