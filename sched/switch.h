/*
 * sched/switch.h - what coroutine.c needs of a processor: the switch and the shape of a saved
 * context.
 */
#ifndef RDL_SCHED_SWITCH_H
#define RDL_SCHED_SWITCH_H

#include <stdint.h>

#include "sched/coroutine.h"

/* switch_*.S: where a fresh coroutine starts; not a function to call. */
void rdl_switch_start(void);

#if defined(__x86_64__)

/* Word by word: the record, one word of padding, and what rdl_switch_start pops. */
enum { SAVED_PC, SAVED_FP, SAVED_SP, PADDING, START_FN, START_ARG, START_WORDS };

static inline void *rdl_switch_prepare(char *top, rdl_coroutine_fn *fn, void *arg)
{
    uintptr_t *words = (uintptr_t *)(void *)top - START_WORDS;

    words[SAVED_PC] = (uintptr_t)&rdl_switch_start;
    words[SAVED_FP] = 0; /* ends the chain for those who unwind by frame pointers */
    words[SAVED_SP] = (uintptr_t)&words[START_FN];
    words[PADDING] = 0;
    words[START_FN] = (uintptr_t)fn;
    words[START_ARG] = (uintptr_t)arg;
    return words;
}

static inline void rdl_switch_saved(void *saved, void **pc, void **fp, void **sp)
{
    void **words = (void **)saved;

    *pc = words[SAVED_PC];
    *fp = words[SAVED_FP];
    *sp = words[SAVED_SP];
}

#elif defined(__aarch64__)

/* Word by word, as stored by switch_aarch64.S: x29, x30, x19 to x28, d8 to d15. */
enum { SAVED_X29, SAVED_X30, SAVED_X19, SAVED_X20, SAVED_WORDS = 20 };

/* The return address is signed with the stack pointer that it is checked with: its value after the
 * context was popped. Hints, so that they do nothing on a processor that can't sign. */
static inline void *rdl_switch_prepare(char *top, rdl_coroutine_fn *fn, void *arg)
{
    uint64_t *words = (uint64_t *)(void *)top - SAVED_WORDS;
    register uint64_t modifier __asm__("x16") = (uint64_t)top;
    register uint64_t pointer __asm__("x17") = (uint64_t)&rdl_switch_start;

    __asm__("hint #8 /* pacia1716 */" : "+r"(pointer) : "r"(modifier));
    for (int i = 0; i < SAVED_WORDS; i++)
        words[i] = 0; /* x29 among them: ends the chain of frame records */
    words[SAVED_X30] = pointer;
    words[SAVED_X19] = (uint64_t)fn;
    words[SAVED_X20] = (uint64_t)arg;
    return words;
}

static inline void rdl_switch_saved(void *saved, void **pc, void **fp, void **sp)
{
    uint64_t *words = (uint64_t *)saved;
    register uint64_t pointer __asm__("x30") = words[SAVED_X30];

    __asm__("hint #7 /* xpaclri */" : "+r"(pointer));
    *pc = (void *)pointer;
    *fp = (void *)words[SAVED_X29];
    *sp = (void *)&words[SAVED_WORDS];
}

#else
#error "raddle: no stack switch for this processor"
#endif

#endif
