/*
 * io/wake.h - an eventfd by which any thread ends a driver's wait.
 *
 * It is watched edge-triggered, and its counter is never read: each write is an event of its own,
 * and 2^64 of them don't come together. pending elides the write while one is on its way.
 */
#ifndef RDL_IO_WAKE_H
#define RDL_IO_WAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "sched/atomic.h"

struct rdl_wake {
    int fd;
    rdl_atomic(bool) pending;
};

/* 0 or -errno. */
int rdl_wake_init(struct rdl_wake *wake);
void rdl_wake_fini(struct rdl_wake *wake);

/* Any thread. True if a system call was made. */
bool rdl_wake_post(struct rdl_wake *wake);

/* The driver, when it sees the event, before the loop looks at its queues. */
void rdl_wake_take(struct rdl_wake *wake);

#endif
