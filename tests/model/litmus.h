/*
 * tests/model/litmus.h - what a litmus test is.
 */
#ifndef MODEL_LITMUS_H
#define MODEL_LITMUS_H

#include <stdbool.h>

#include "sched/atomic.h"
#include "sched/lock.h"
#include "tests/model/model.h"

enum { LITMUS_THREADS = 4, LITMUS_REGISTERS = 6, LITMUS_OUTCOMES = 1024 };

struct litmus {
    const char *name;
    model_thread_fn *threads[LITMUS_THREADS];
    void (*end)(void);                 /* reads what remains in memory; may be NULL */
    unsigned values[LITMUS_REGISTERS]; /* register i holds 0 to values[i] - 1 */
    bool (*forbidden)(void);           /* is what the registers hold; NULL: nothing is */
};

struct litmus_fault {
    const char *name;
    model_thread_fn *threads[LITMUS_THREADS];
    const char *text; /* what the failure says; NULL: there is no fault */
};

/* 0 before each run. */
extern unsigned litmus_r[LITMUS_REGISTERS];
extern rdl_atomic(uint32_t) litmus_x, litmus_y;
extern unsigned litmus_plain;
extern struct rdl_lock litmus_lock;

/* Each ended by one without a name. */
extern const struct litmus litmus_tests[];
extern const struct litmus_fault litmus_faults[];

#endif
