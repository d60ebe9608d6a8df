/*
 * sched/coroutine.h - a stack and the context saved on it; knows nothing of scheduling.
 *
 * A coroutine may be resumed on another thread than the one it was suspended on. A function that
 * switches must therefore keep nothing across the switch that belongs to a thread: no thread-local,
 * no errno, no address of either. Neither errno nor the floating-point control words are part of a
 * context.
 */
#ifndef RDL_SCHED_COROUTINE_H
#define RDL_SCHED_COROUTINE_H

#include <stddef.h>
#include <stdint.h>

#include "sched/annotate.h"

struct rdl_coroutine {
    void *sp; /* where the context is saved; means nothing while it runs, or when it has ended */
    const char *low; /* the stack is [low, top); both NULL for a thread's own stack */
    const char *top;
    uint32_t valgrind_id; /* VALGRIND_STACK_REGISTER's, 0 without Valgrind */
#if RDL_ASAN
    void *fake_stack;
#endif
#if RDL_TSAN
    void *fiber;
#endif
};

/*
 * What a coroutine runs. Returns who is resumed next, which is its last switch.
 *
 * It returns because a processor predicts returns by the calls before them. Whoever had called this coroutine's
 * switch finds its own calls on top of the processor's stack again, if every call here has returned: then all the
 * returns that follow are predicted. Each call that is left at the end puts them off by one, up to main().
 */
typedef struct rdl_coroutine *rdl_coroutine_fn(void *arg);

/*
 * Makes a coroutine that calls fn(arg) on the stack [low, top) when it is first switched to. top is
 * a multiple of 16; some words below it are used at once. co must stay where it is until
 * rdl_coroutine_fini().
 */
void rdl_coroutine_init(struct rdl_coroutine *co, char *low, char *top, rdl_coroutine_fn *fn,
                        void *arg);

/* By another stack, after co has returned or when it never ran: its stack may be used for something
 * else. */
void rdl_coroutine_fini(struct rdl_coroutine *co);

/* The calling thread's own stack, as something to switch from and back to. */
void rdl_coroutine_init_thread(struct rdl_coroutine *co);
void rdl_coroutine_fini_thread(struct rdl_coroutine *co);

/* The stack of the running coroutine around, as something to switch from and back to while that one stands
 * still: for what believes that it has a thread. Ends with rdl_coroutine_fini_thread(). */
void rdl_coroutine_init_inside(struct rdl_coroutine *co, const struct rdl_coroutine *around);

/* Suspends from, which is the caller, and resumes to. Returns when somebody switches to from. */
void rdl_coroutine_switch(struct rdl_coroutine *from, struct rdl_coroutine *to);

/*
 * Where a parked coroutine will go on, for debuggers and dumps: program counter, frame pointer and
 * stack pointer, from which an unwinder takes it. Reading those of a running one gives garbage, not
 * a crash.
 */
void rdl_coroutine_frames(const struct rdl_coroutine *co, void **pc, void **fp, void **sp);

/* In switch_*.S, and not to be called by others: saves the caller's context, stores where in *save,
 * and goes on where load says. */
void rdl_switch_stacks(void **save, void *load);

/*
 * rdl_coroutine_switch_inline() is the same switch, expanded in place: all registers are clobbered,
 * so the compiler saves what is live and nothing else, and each place has a jump of its own to be
 * predicted. Meant for the one noinline function of a scheduler in which tasks park: the function
 * saves for its caller what it must save anyway. Where the compiler or a tool doesn't allow it, it
 * is the call.
 */
#if defined(__x86_64__) && defined(__LP64__) && defined(__OPTIMIZE__) && !RDL_ASAN && !RDL_TSAN
#define RDL_COROUTINE_INLINE 1
#else
#define RDL_COROUTINE_INLINE 0
#endif

#if RDL_COROUTINE_INLINE

#ifdef __AVX512F__
#define RDL_CLOBBER_AVX512                                                                         \
    , "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25",    \
        "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k1", "k2", "k3", "k4", "k5", "k6",  \
        "k7"
#else
#define RDL_CLOBBER_AVX512
#endif

#ifdef __GCC_HAVE_DWARF2_CFI_ASM
#define RDL_CFI_NO_CALLER ".cfi_remember_state\n\t.cfi_undefined %%rip\n\t"
/* The byte is never reached: the frame of one that is suspended is looked up by the address before its own. */
#define RDL_CFI_CALLER    "\t.cfi_restore_state\n\tint3\n"
#else
#define RDL_CFI_NO_CALLER
#define RDL_CFI_CALLER
#endif

/*
 * The record that switch_x86_64.S describes is a local variable here: nothing is pushed, so the
 * stack pointer moves in a single instruction, and the red zone is nobody's concern. The compiler's own CFI is right
 * but for the two instructions after that one, which stand on another frame: who unwinds there, in a signal handler,
 * is told that this is the outermost. rbp is saved by hand because a function with a frame
 * pointer may not name it as clobbered.
 *
 * The call that never happens is for gcc. Its interprocedural analysis believes that a function
 * with nothing but an asm in it, "memory" clobber or not, leaves the file's static variables alone
 * (with -flto: every file's), and keeps them in registers across the switch in which other tasks
 * change them. A call to something outside is taken seriously.
 */
static inline __attribute__((always_inline)) void
rdl_coroutine_switch_inline(struct rdl_coroutine *from, struct rdl_coroutine *to)
{
    void *record[3];
    void **save = &from->sp;
    void *load = to->sp;

    if (__builtin_expect(!load, 0)) {
        rdl_switch_stacks(save, load); /* a fault: to was never initialized */
        return;
    }
    __asm__ volatile(
        "leaq 1f(%%rip), %%rax\n\t"
        "movq %%rax, %[pc]\n\t"
        "movq %%rbp, %[fp]\n\t"
        "movq %%rsp, %[sp]\n\t"
        "leaq %[pc], %%rax\n\t"
        "movq %%rax, (%%rdi)\n\t"
        "movq 16(%%rsi), %%rsp\n\t" RDL_CFI_NO_CALLER "movq 8(%%rsi), %%rbp\n\t"
        "jmpq *(%%rsi)\n" RDL_CFI_CALLER "1:\tendbr64"
        : "+D"(save), "+S"(load), [pc] "=m"(record[0]), [fp] "=m"(record[1]), [sp] "=m"(record[2])
        :
        : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm0",
          "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",
          "xmm12", "xmm13", "xmm14", "xmm15" RDL_CLOBBER_AVX512, "memory", "cc");
}

#else

static inline void rdl_coroutine_switch_inline(struct rdl_coroutine *from, struct rdl_coroutine *to)
{
    rdl_coroutine_switch(from, to);
}

#endif
#endif
