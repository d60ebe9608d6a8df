/*
 * sched/pageout.h - stacks of fibers that wait for input for long, put aside while they wait.
 *
 * Of its stack a parked fiber uses some hundred bytes, and has at least a page. A fiber that takes part has its
 * control block apart from its stack, and in it a struct rdl_paging. When it waits for input, and nobody has pointers
 * into its stack, it is put in line with rdl_paging_wait(). Once it has waited for rdl_paging_after_ns its loop copies
 * what is in use aside, words that are zero left out, and gives the stack's memory back to the kernel. The end of the
 * operation brings it back to the same addresses, before the fiber is made runnable.
 *
 * All this is done by the thread of the loop on which the fiber waits, which it can't leave while an operation is in
 * flight (sched/fiber.c). Other threads may only read the stack, as readers of a sequence lock: phase is odd from
 * before the memory goes until after it has come back, and who finds it even, reads, and finds it the same, has read
 * the stack.
 */
#ifndef RDL_SCHED_PAGEOUT_H
#define RDL_SCHED_PAGEOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sched/atomic.h"

struct rdl_fiber;
struct rdl_loop;
struct rdl_saved_stack;

enum { RDL_PAGING_OP_BYTES = 160 };

/* Of one fiber. */
struct rdl_paging {
    struct rdl_fiber *fiber;
    /* Whether nobody but itself has pointers into its stack, as far as can be known. */
    bool (*alone)(const struct rdl_fiber *fiber);
    struct rdl_paging *next, *prev; /* in line; the loop's */
    int64_t since_ns;
    bool in_line;
    bool refused;                             /* by the kernel: not again */
    const char *hole, *hole_end;              /* of the stack: what is there is not needed */
    struct rdl_saved_stack *saved;            /* NULL: the stack is where it belongs */
    rdl_atomic(uint32_t) phase;               /* odd: it isn't */
    _Alignas(8) char op[RDL_PAGING_OP_BYTES]; /* io/op.c: what it waits in, as its stack may go */
};

/* Of one loop: who waits, the one that has waited longest first. */
struct rdl_pager {
    struct rdl_paging *first, *last;
    int64_t due_ns; /* when the first has waited long enough, or before; INT64_MAX: nobody waits */
};

/* How long a fiber has waited when its stack goes. Tests make it shorter, before anything runs. */
extern int64_t rdl_paging_after_ns;

static inline void rdl_pager_init(struct rdl_pager *pager)
{
    pager->first = pager->last = NULL;
    pager->due_ns = INT64_MAX;
}

/* The running fiber, which is about to park in an operation that its loop's driver has. */
void rdl_paging_wait(struct rdl_loop *loop, struct rdl_paging *paging);

/* The loop's thread: the operation has ended. The stack is where it belongs from here on. */
void rdl_paging_end(struct rdl_loop *loop, struct rdl_paging *paging);

/* Any thread that keeps the fiber from ending: is the stack where it belongs? And was it there all the time since? */
bool rdl_paging_is_in(const struct rdl_paging *paging, uint32_t *phase);
bool rdl_paging_still_in(struct rdl_paging *paging, uint32_t phase);

/* The loop's thread, on its own stack, when due_ns has come: some of those who have waited long enough. */
void rdl_pager_work(struct rdl_loop *loop);

#endif
