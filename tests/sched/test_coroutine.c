/*
 * tests/sched/test_coroutine.c - coroutines on real stacks: switching, ending, what tools must see.
 *
 * tests/sched/switch_plain.c has the switch itself, in a program that also runs under qemu.
 */
#define _GNU_SOURCE
#include "sched/coroutine.h"

#include <criterion/criterion.h>
#include <execinfo.h>
#include <fenv.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sched/stack.h"

TestSuite(coroutine, .timeout = 60);

struct task {
    struct rdl_coroutine co;
    struct rdl_coroutine *back;
    struct rdl_stack *stack;
    long value;
    bool done;
    bool failed;
    char *text;
    void *frames[32];
    int frame_count;
};

static struct rdl_coroutine thread;

static void start(struct task *task, rdl_coroutine_fn *fn)
{
    memset(task, 0, sizeof *task);
    cr_assert_eq(rdl_stack_get(NULL, 0, &task->stack), 0);
    task->back = &thread;
    rdl_coroutine_init(&task->co, task->stack->low, task->stack->top, fn, task);
}

static void finish(struct task *task)
{
    rdl_coroutine_fini(&task->co);
    rdl_stack_put(NULL, task->stack);
}

static void resume(struct task *task)
{
    rdl_coroutine_switch(&thread, &task->co);
}

static void yield(struct task *task)
{
    rdl_coroutine_switch(&task->co, task->back);
}

static struct rdl_coroutine *ended(struct task *task)
{
    task->done = true;
    return task->back;
}

static struct rdl_coroutine *adds(void *arg)
{
    struct task *task = arg;

    for (int i = 1; i <= 10; i++) {
        task->value += i;
        yield(task);
    }
    return ended(task);
}

Test(coroutine, runs_from_one_switch_to_the_next)
{
    struct task task;

    rdl_coroutine_init_thread(&thread);
    start(&task, adds);
    for (int i = 1; i <= 10; i++) {
        resume(&task);
        cr_assert_eq(task.value, i * (i + 1) / 2);
    }
    cr_assert_not(task.done);
    resume(&task);
    cr_assert(task.done);
    finish(&task);
    rdl_coroutine_fini_thread(&thread);
}

Test(coroutine, a_stack_serves_many_one_after_the_other)
{
    struct rdl_stack *first = NULL;

    rdl_coroutine_init_thread(&thread);
    for (int i = 0; i < 1000; i++) {
        struct task task;

        start(&task, adds);
        if (!first)
            first = task.stack;
        cr_assert_eq(task.stack, first);
        for (int k = 0; k <= 10; k++)
            resume(&task);
        cr_assert(task.done);
        finish(&task);
    }
}

Test(coroutine, one_that_never_ran_or_never_left_can_be_ended)
{
    struct task task;

    rdl_coroutine_init_thread(&thread);
    start(&task, adds);
    finish(&task);
    start(&task, adds);
    resume(&task);
    finish(&task);
}

static struct rdl_coroutine *holds_memory(void *arg)
{
    struct task *task = arg;
    char *text = malloc(32);

    __asm__ volatile("" : : "r"(text) : "memory"); /* or the compiler does without the block */
    task->value = text != NULL;
    yield(task);
    free(text);
    return ended(task);
}

/* LeakSanitizer would report the block if a parked stack were not a root. Its report fails the
 * test. */
Test(coroutine, what_only_a_parked_one_points_to_is_no_leak)
{
    struct task task;

    rdl_coroutine_init_thread(&thread);
    start(&task, holds_memory);
    resume(&task);
    cr_assert_eq(task.value, 1);
#if RDL_ASAN
    cr_assert_eq(__lsan_do_recoverable_leak_check(), 0);
#endif
    resume(&task);
    cr_assert(task.done);
    finish(&task);
}

static __attribute__((noinline)) int deep(int n)
{
    volatile char frame[512];

    memset((char *)(uintptr_t)frame, n, sizeof frame);
    return n ? deep(n - 1) + frame[n % 512] : 0;
}

static struct rdl_coroutine *uses_its_stack(void *arg)
{
    struct task *task = arg;

    for (int i = 0; i < 3; i++) {
        task->value += deep(50);
        yield(task);
    }
    return ended(task);
}

Test(coroutine, many_use_their_stacks_at_once)
{
    enum { COUNT = 100 };
    static struct task tasks[COUNT];

    rdl_coroutine_init_thread(&thread);
    for (int i = 0; i < COUNT; i++)
        start(&tasks[i], uses_its_stack);
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < COUNT; i++)
            resume(&tasks[(i * 37) % COUNT]);
    }
    for (int i = 0; i < COUNT; i++) {
        cr_assert(tasks[i].done);
        cr_assert_eq(tasks[i].value, tasks[0].value);
        finish(&tasks[i]);
    }
}

static struct rdl_coroutine *jumps(void *arg)
{
    struct task *task = arg;
    jmp_buf here;
    volatile int times = 0;

    if (setjmp(here) < 3) {
        times++;
        yield(task);
        longjmp(here, times);
    }
    task->value = times;
    return ended(task);
}

Test(coroutine, longjmp_within_one_works)
{
    struct task task;

    rdl_coroutine_init_thread(&thread);
    start(&task, jumps);
    for (int i = 0; i < 4 && !task.done; i++)
        resume(&task);
    cr_assert(task.done);
    cr_assert_eq(task.value, 3);
    finish(&task);
}

static struct rdl_coroutine *prints(void *arg)
{
    struct task *task = arg;
    char text[64];

    /* movaps on the stack: crashes if it is misaligned. */
    snprintf(text, sizeof text, "%.3f %Lf", 3.25, 1.5L);
    task->failed = strcmp(text, "3.250 1.500000") != 0;
    yield(task);
    snprintf(text, sizeof text, "%.3f %Lf", 3.25, 1.5L);
    task->failed |= strcmp(text, "3.250 1.500000") != 0;
    return ended(task);
}

Test(coroutine, the_stack_is_aligned_for_floating_point)
{
    struct task task;

    rdl_coroutine_init_thread(&thread);
    start(&task, prints);
    resume(&task);
    resume(&task);
    cr_assert(task.done);
    cr_assert_not(task.failed);
    finish(&task);
}

static __attribute__((noinline)) void traces_inner(struct task *task)
{
    task->frame_count = backtrace(task->frames, 32);
}

static struct rdl_coroutine *traces(void *arg)
{
    struct task *task = arg;

    traces_inner(task);
    yield(task);
    traces_inner(task);
    return ended(task);
}

Test(coroutine, a_backtrace_ends_at_its_first_frame)
{
    struct task task;
    int first;

    rdl_coroutine_init_thread(&thread);
    start(&task, traces);
    resume(&task);
    first = task.frame_count;
    cr_assert_geq(first, 2);
    cr_assert_leq(first, 8);
    resume(&task);
    cr_assert_eq(task.frame_count, first);
    cr_assert(task.done);
    finish(&task);
}

Test(coroutine, the_saved_registers_of_a_parked_one_are_on_its_stack)
{
    struct task task;
    void *pc;
    void *fp;
    void *sp;
    void *fresh;

    rdl_coroutine_init_thread(&thread);
    start(&task, adds);
    rdl_coroutine_frames(&task.co, &fresh, &fp, &sp);
    cr_assert_not_null(fresh);
    cr_assert_null(fp);
    resume(&task);
    rdl_coroutine_frames(&task.co, &pc, &fp, &sp);
    cr_assert_not_null(pc);
    cr_assert_neq(pc, fresh);
    cr_assert((char *)sp > task.stack->low && (char *)sp < task.stack->top);
    finish(&task);
}

static struct rdl_coroutine *rounds_up(void *arg)
{
    struct task *task = arg;

    task->value = fegetround();
    fesetround(FE_UPWARD);
    yield(task);
    return ended(task);
}

/* Saying it here keeps it a decision: control words are the thread's. */
Test(coroutine, floating_point_control_is_not_part_of_it)
{
    struct task task;

    rdl_coroutine_init_thread(&thread);
    fesetround(FE_DOWNWARD);
    start(&task, rounds_up);
    resume(&task);
    cr_assert_eq(task.value, FE_DOWNWARD);
    cr_assert_eq(fegetround(), FE_UPWARD);
    fesetround(FE_TONEAREST);
    finish(&task);
}
