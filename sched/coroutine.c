/*
 * sched/coroutine.c - making, switching and ending coroutines, with every tool told.
 *
 * The context. A suspended coroutine's sp points at words of its own stack that say where it goes
 * on: see switch_x86_64.S and switch_aarch64.S, which describe them and must agree with prepare()
 * and rdl_coroutine_frames() here.
 *
 * What the tools must be told, and when:
 *
 *     tool       at init             right before a switch     right after landing    at fini
 *     ASan       -                   start_switch_fiber        finish_switch_fiber    unpoison
 *     LSan       root region         -                         -                      root region
 *     TSan       create_fiber        switch_to_fiber           -                      destroy_fiber
 *     Valgrind   register            -                         -                      deregister
 *
 * A coroutine's first landing is in its entry function, and its last start_switch_fiber passes NULL,
 * so that its fake stack is freed. LSan scans the stacks of threads only: what only a parked
 * coroutine points to would be reported as lost, so each live stack is a root. Not the slab: guards
 * can't be read, and free stacks would hide real leaks. The fake stack of a parked coroutine
 * (detect_stack_use_after_return) can't be made one, so a check while tasks are parked may report
 * what only a local variable points to whose address was taken.
 *
 * TSan keeps a shadow call stack per fibre: switch_to_fiber and the switch itself are in one function,
 * so that every function's exit is counted where its entry was.
 */
#define _GNU_SOURCE
#include "sched/coroutine.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#if RDL_ASAN
#include <pthread.h>
#endif

#include "sched/atomic.h"
#include "sched/switch.h"

_Static_assert(offsetof(struct rdl_coroutine, sp) == 0, "what switch_*.S takes it for");
#if !RDL_ASAN && !RDL_TSAN
_Static_assert(sizeof(struct rdl_coroutine) <= 32, "part of every task");
#endif

#if RDL_VALGRIND

enum { UNKNOWN, NATIVE, VALGRIND };

/* Asked once, as the question costs a few instructions. Racing threads write the same value. */
static rdl_atomic(int) answer;

static __attribute__((noinline)) int ask(void)
{
    int known = RUNNING_ON_VALGRIND ? VALGRIND : NATIVE;

    rdl_atomic_store_relaxed(&answer, known);
    return known;
}

static bool under_valgrind(void)
{
    int known = rdl_atomic_load_relaxed(&answer);

    if (__builtin_expect(known == UNKNOWN, 0))
        known = ask();
    return __builtin_expect(known == VALGRIND, 0);
}

/* Out of line: what a request takes room for on the stack would be guarded by a canary at each spawn. */
static __attribute__((noinline)) void register_stack(struct rdl_coroutine *co)
{
    co->valgrind_id = VALGRIND_STACK_REGISTER(co->low, co->top - 1);
}

static __attribute__((noinline)) void deregister_stack(struct rdl_coroutine *co)
{
    VALGRIND_STACK_DEREGISTER(co->valgrind_id);
}

#endif

#if RDL_ASAN || RDL_TSAN

/* The function to run, kept at the very top of the stack until it is called. */
struct first_call {
    rdl_coroutine_fn *fn;
    void *arg;
};

/* The first landing and the last switch, with the tools told. Doesn't return. */
static struct rdl_coroutine *run_told(void *arg)
{
    struct first_call call = *(struct first_call *)arg;
    struct rdl_coroutine *to;
    void *unused;

#if RDL_ASAN
    __sanitizer_finish_switch_fiber(NULL, NULL, NULL);
#endif
    to = call.fn(call.arg);
#if RDL_ASAN
    __sanitizer_start_switch_fiber(NULL, to->low, (size_t)(to->top - to->low));
#endif
#if RDL_TSAN
    __tsan_switch_to_fiber(to->fiber, 0);
#endif
    rdl_switch_stacks(&unused, to->sp);
    abort(); /* not reached: nobody knows what unused was set to */
}

#endif

void rdl_coroutine_init(struct rdl_coroutine *co, char *low, char *top, rdl_coroutine_fn *fn,
                        void *arg)
{
    assert(((uintptr_t)top & 15) == 0 && low < top);
    *co = (struct rdl_coroutine){.low = low, .top = top};
#if RDL_ASAN || RDL_TSAN
    top -= sizeof(struct first_call);
    *(struct first_call *)(void *)top = (struct first_call){.fn = fn, .arg = arg};
    arg = top;
    fn = run_told;
#endif
#if RDL_ASAN
    __lsan_register_root_region(co->low, (size_t)(co->top - co->low));
#endif
#if RDL_TSAN
    co->fiber = __tsan_create_fiber(0);
#endif
#if RDL_VALGRIND
    if (under_valgrind())
        register_stack(co);
#endif
    co->sp = rdl_switch_prepare(top, fn, arg);
}

void rdl_coroutine_fini(struct rdl_coroutine *co)
{
#if RDL_ASAN
    if (co->low) {
        __lsan_unregister_root_region(co->low, (size_t)(co->top - co->low));
        __asan_unpoison_memory_region(co->low, (size_t)(co->top - co->low));
    }
#endif
#if RDL_TSAN
    if (co->fiber)
        __tsan_destroy_fiber(co->fiber);
#endif
#if RDL_VALGRIND
    if (co->low && under_valgrind())
        deregister_stack(co);
#endif
    memset(co, 0, sizeof *co);
}

void rdl_coroutine_init_thread(struct rdl_coroutine *co)
{
    *co = (struct rdl_coroutine){.sp = NULL};
#if RDL_ASAN
    /* ASan wants to know where the stack is that it comes back to. */
    pthread_attr_t attributes;

    if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
        void *low = NULL;
        size_t bytes = 0;

        if (pthread_attr_getstack(&attributes, &low, &bytes) == 0) {
            co->low = low;
            co->top = co->low + bytes;
        }
        pthread_attr_destroy(&attributes);
    }
#endif
#if RDL_TSAN
    co->fiber = __tsan_get_current_fiber();
#endif
}

void rdl_coroutine_init_inside(struct rdl_coroutine *co, const struct rdl_coroutine *around)
{
    *co = (struct rdl_coroutine){.low = around->low, .top = around->top};
#if RDL_TSAN
    co->fiber = __tsan_get_current_fiber();
#endif
}

void rdl_coroutine_fini_thread(struct rdl_coroutine *co)
{
    /* The thread's stack and fibre belong to the thread. */
    memset(co, 0, sizeof *co);
}

/*
 * The C function around the inline switch ends in ret, and is predicted when both sides were
 * suspended by calls as deep from the same place, as tasks are by a scheduler. Tried: the switch
 * of switch_x86_64.S here, which ends in a jump. It wins where it is called directly from many
 * places (3.3 ns to 11), and loses in a scheduler (23 to 9), as each call that it doesn't return
 * from puts the predictions of all returns above it off by one.
 */
#if RDL_COROUTINE_INLINE

__attribute__((noinline)) void rdl_coroutine_switch(struct rdl_coroutine *from,
                                                    struct rdl_coroutine *to)
{
    rdl_coroutine_switch_inline(from, to);
}

#else

__attribute__((noinline)) void rdl_coroutine_switch(struct rdl_coroutine *from,
                                                    struct rdl_coroutine *to)
{
#if RDL_ASAN
    __sanitizer_start_switch_fiber(&from->fake_stack, to->low, (size_t)(to->top - to->low));
#endif
#if RDL_TSAN
    __tsan_switch_to_fiber(to->fiber, 0);
#endif
    rdl_switch_stacks(&from->sp, to->sp);
#if RDL_ASAN
    __sanitizer_finish_switch_fiber(from->fake_stack, NULL, NULL);
#endif
}

#endif

void rdl_coroutine_frames(const struct rdl_coroutine *co, void **pc, void **fp, void **sp)
{
    rdl_switch_saved(co->sp, pc, fp, sp);
}
