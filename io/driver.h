/*
 * io/driver.h - the drivers that exist, and what they count.
 */
#ifndef RDL_IO_DRIVER_H
#define RDL_IO_DRIVER_H

#include <stdbool.h>
#include <stdint.h>

#include "sched/atomic.h"
#include "sched/driver.h"

/* What a driver has done so far. */
struct rdl_driver_stats {
    uint64_t submits;     /* operations handed over */
    uint64_t at_once;     /* of these, ended without waiting */
    uint64_t completions; /* of the others, those that have ended */
    uint64_t syscalls;    /* waits and submissions; not the plain calls of operations */
    uint64_t overflows;   /* ring: how often completions found no room */
    uint64_t stale;       /* events and completions that belonged to nobody */
    uint64_t wakes;       /* system calls made by rdl_driver's wake */
};

/* Written by the loop's thread (wakes: by any), read by anyone. */
struct rdl_driver_counters {
    rdl_atomic(uint64_t) submits, at_once, completions, syscalls, overflows, stale, wakes;
};

/* The head of every driver in io/. */
struct rdl_io_driver {
    struct rdl_driver driver;
    struct rdl_driver_counters counters;
};

static inline void rdl_driver_count(rdl_atomic(uint64_t) * counter, uint64_t more)
{
    rdl_atomic_store_relaxed(counter, rdl_atomic_load_relaxed(counter) + more);
}

/* Any thread. */
void rdl_driver_stats(const struct rdl_driver *driver, struct rdl_driver_stats *out);

/* Each makes a driver that the first thread to call its start will own. 0 or -errno. */
int rdl_epoll_create(struct rdl_driver **out);
int rdl_uring_create(struct rdl_driver **out);

/* What the kernel and whatever confines the process allow. */
struct rdl_uring_facts {
    int error;            /* 0: rings work; otherwise why they don't */
    const char *denied;   /* the step that failed; NULL: none */
    uint32_t features;    /* IORING_FEAT_* */
    uint32_t setup_flags; /* IORING_SETUP_* that were chosen */
    unsigned sq_entries;  /* of a loop's ring; less than the usual when memory is limited */
    unsigned cq_entries;
    bool deferred;        /* completions run only when the loop asks for them */
    bool poll_first;      /* receives need not try first */
    bool registered_ring; /* the descriptor of a ring can be registered */
};

/* Finds out once per process, by a round trip through a real ring. Returns the error in the facts,
 * of which out may be NULL. Any thread. */
int rdl_uring_probe(struct rdl_uring_facts *out);

#endif
