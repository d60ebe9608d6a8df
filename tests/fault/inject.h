/*
 * tests/fault/inject.h - what goes wrong in one run: a plan, and what is held and was reached meanwhile.
 */
#ifndef TESTS_FAULT_INJECT_H
#define TESTS_FAULT_INJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sched/atomic.h"
#include "sched/sys.h"
#include "tests/fault/sites.h"

enum fault_kind {
    FAULT_NONE,
    FAULT_ONCE,    /* the number-th call fails with error */
    FAULT_BURST,   /* so do those after it, for a while */
    FAULT_SHORT,   /* transfers move one byte */
    FAULT_EINTR,   /* every other call that a signal can interrupt was */
    FAULT_DELAY,   /* the driver gets events one by one, and often none */
    FAULT_REORDER, /* the driver gets events last first */
};

struct fault_plan {
    enum fault_kind kind;
    enum rdl_sys_call call;
    unsigned number; /* from 1 */
    int error;       /* negative */
};

enum { FAULT_SITES = 1024 }; /* at most */

/* Shared between the sweep and the processes that it forks. */
struct fault_shared {
    rdl_atomic(unsigned) calls[RDL_SYS_COUNT]; /* made while the last plan was set */
    rdl_atomic(unsigned) injected;             /* failures, of the last plan */
    struct {
        rdl_atomic(unsigned) reached, failed;
    } site[FAULT_SITES];
};

/* Numbers the sites. shared stays where it is, in this process and in those that it forks. */
void fault_init(struct fault_shared *shared);

/* From now on plan is what happens; NULL: nothing, and nothing is counted. */
void fault_set(const struct fault_plan *plan);

unsigned fault_site_count(void);
const struct fault_site *fault_site(unsigned index);

/* What the library holds of what it asked for. */
struct fault_held {
    long blocks, mapped_bytes;
    long refused_bytes; /* of it: the kernel was made to refuse the unmapping */
};

struct fault_held fault_held(void);

/* The errors that a call is failed with, each negative, ended by 0; none for a call that can't fail. */
const int *fault_errors(enum rdl_sys_call call);

/* The error that comes in bursts, a shortage; 0 for a call that has none. */
int fault_burst_error(enum rdl_sys_call call);

/* Whether a driver that can't go on is what this leads to, and the documented end of the process. */
bool fault_ends_process(const struct fault_plan *plan);

#endif
