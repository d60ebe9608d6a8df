/*
 * sched/unwind.c - walks a stack that is not the caller's.
 *
 * An unwinder begins where it is called. So it is called from a function that says, by its unwind information, that
 * its caller is the frame at which the other stack goes on: the program counter, frame and stack pointer that the
 * switch has saved there. All other registers that a frame needs are in the frames, as the switch saves none.
 *
 * The other stack may begin to run at any moment, and an unwinder that follows what it finds there would follow
 * garbage. Hence the copy, which is looked at when it is known to be whole. Frames are found by offsets to the stack
 * pointer, which hold in the copy, too, and by saved frame pointers, which are made to point into it; so is any
 * other word that looks like one, which does no harm, since nobody uses the copy for anything else.
 */
#define _GNU_SOURCE
#include "sched/unwind.h"

#include <execinfo.h>
#include <stdint.h>

#include "sched/annotate.h"
#include "sched/switch.h"

static uintptr_t moved(uintptr_t word, uintptr_t low, uintptr_t top, uintptr_t to)
{
    return word >= low && word < top ? word - low + to : word;
}

/* What it races with is caught by the caller. */
RDL_RAW void rdl_unwind_copy(struct rdl_unwind *at, const char *top, char *copy)
{
    uintptr_t low = (uintptr_t)at->sp, end = (uintptr_t)top, to = (uintptr_t)copy;
    const volatile uintptr_t *from = (const volatile uintptr_t *)at->sp;
    uintptr_t *into = (uintptr_t *)(void *)copy;

    RDL_MEM_WRITTEN(at->sp, end - low);
    for (size_t i = 0; i < (end - low) / sizeof(*from); i++)
        into[i] = moved(from[i], low, end, to);
    at->sp = copy;
    at->fp = (void *)moved((uintptr_t)at->fp, low, end, to);
}

#if defined(__x86_64__) && defined(__LP64__)

/* By hand, as a function that a sanitizer looks at could be called in here. */
RDL_RAW bool rdl_unwind_begin(struct rdl_unwind *at, const struct rdl_coroutine *co,
                              const char *low, const char *top)
{
    uintptr_t saved = (uintptr_t) * (void *const volatile *)&co->sp, sp;
    void *const volatile *words = (void *const volatile *)saved;

    if (saved < (uintptr_t)low || saved + START_WORDS * sizeof(void *) > (uintptr_t)top)
        return false;
    at->pc = words[SAVED_PC];
    at->fp = words[SAVED_FP];
    at->sp = words[SAVED_SP];
    sp = (uintptr_t)at->sp;
    if (sp < (uintptr_t)low || sp >= (uintptr_t)top || sp % sizeof(void *))
        at->sp = (void *)saved; /* it runs, and this is not what the switch has left */
    return true;
}

struct frames {
    void **pcs;
    int max, count;
};

enum { OWN_FRAMES = 2, MOST = 128 }; /* collect() and what calls it */

/* In unwind information: the caller's frame address, program counter and frame pointer are what lies at 16, 0 and 8
 * from the stack pointer. */
void rdl_unwind_call(void *pc, void *fp, void *sp, void (*fn)(void *), void *arg);
__asm__(".pushsection .text\n"
        ".globl rdl_unwind_call\n"
        ".hidden rdl_unwind_call\n"
        ".type rdl_unwind_call, @function\n"
        "rdl_unwind_call:\n"
        ".cfi_startproc\n"
        "endbr64\n"
        "subq $40, %rsp\n"
        ".cfi_def_cfa_offset 48\n"
        "movq %rdi, (%rsp)\n"
        "movq %rsi, 8(%rsp)\n"
        "movq %rdx, 16(%rsp)\n"
        "movq %r8, %rdi\n"
        ".cfi_remember_state\n"
        ".cfi_escape 0x0f, 3, 0x77, 16, 0x06\n" /* the frame address: *(rsp + 16) */
        ".cfi_escape 0x10, 16, 2, 0x77, 0\n"    /* the program counter is at rsp */
        ".cfi_escape 0x10, 6, 2, 0x77, 8\n"     /* rbp is at rsp + 8 */
        "call *%rcx\n"
        ".cfi_restore_state\n"
        "addq $40, %rsp\n"
        ".cfi_def_cfa_offset 8\n"
        "ret\n"
        ".cfi_endproc\n"
        ".size rdl_unwind_call, . - rdl_unwind_call\n"
        ".popsection\n");

static __attribute__((noinline)) void collect(void *arg)
{
    struct frames *f = arg;
    void *all[MOST + OWN_FRAMES];
    int most = f->max < MOST ? f->max : MOST, count = backtrace(all, most + OWN_FRAMES);

    f->count = count > OWN_FRAMES ? count - OWN_FRAMES : 0;
    for (int i = 0; i < f->count; i++)
        f->pcs[i] = all[i + OWN_FRAMES];
}

int rdl_unwind_frames(const struct rdl_unwind *at, void **pcs, int max)
{
    struct frames f = {.pcs = pcs, .max = max};

    rdl_unwind_call(at->pc, at->fp, at->sp, collect, &f);
    return f.count;
}

#else

bool rdl_unwind_begin(struct rdl_unwind *at, const struct rdl_coroutine *co, const char *low,
                      const char *top)
{
    (void)at;
    (void)co;
    (void)low;
    (void)top;
    return false;
}

int rdl_unwind_frames(const struct rdl_unwind *at, void **pcs, int max)
{
    (void)at;
    (void)pcs;
    (void)max;
    return 0;
}

#endif
