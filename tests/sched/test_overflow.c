/*
 * tests/sched/test_overflow.c - the report of a stack overflow, and the death that follows.
 */
#define _GNU_SOURCE
#include "sched/overflow.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sched/coroutine.h"
#include "sched/sys.h"

TestSuite(overflow, .timeout = 60);

static char output[32768]; /* what the child wrote to standard error */
static int status;

static struct rdl_coroutine thread;
static struct rdl_coroutine co;
static volatile int sink;

/* Runs fn in a child and keeps what it writes and how it ends. */
static void run(void (*fn)(void))
{
    size_t length = 0;
    int fds[2];
    pid_t child;
    ssize_t n;

    cr_assert_eq(pipe(fds), 0);
    child = fork();
    if (child == 0) {
        struct rlimit none = {0, 0};

        setrlimit(RLIMIT_CORE, &none);
        dup2(fds[1], STDERR_FILENO);
        close(fds[0]);
        close(fds[1]);
        fn();
        _exit(0);
    }
    cr_assert_gt(child, 0);
    close(fds[1]);
    while ((n = read(fds[0], output + length, sizeof output - 1 - length)) > 0)
        length += (size_t)n;
    output[length] = '\0';
    close(fds[0]);
    cr_assert_eq(waitpid(child, &status, 0), child);
}

static void expect_in_output(const char *text)
{
    cr_expect_not_null(strstr(output, text), "no \"%s\" in:\n%s", text, output);
}

/* The process died of the fault: by the signal, or in a sanitizer's handler of it. */
static bool died_of_the_fault(void)
{
#if RDL_ASAN
    return WIFEXITED(status) && WEXITSTATUS(status) != 0 && strstr(output, "AddressSanitizer");
#else
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
#endif
}

static void describe(int fd, const struct rdl_stack *stack)
{
    static const char text[] = "  task \"digs\" spawned at test_overflow.c\n";

    if (rdl_atomic_load_relaxed(&stack->owner) == &co)
        (void)!write(fd, text, sizeof text - 1);
}

static void on_a_stack(size_t bytes, rdl_coroutine_fn *fn)
{
    static struct rdl_overflow_thread signal_stack;
    struct rdl_stack *below = NULL;
    struct rdl_stack *stack = NULL;

    if (rdl_overflow_install() < 0 || rdl_overflow_thread_init(&signal_stack) < 0 ||
        rdl_stack_get(NULL, bytes, &below) < 0 || rdl_stack_get(NULL, bytes, &stack) < 0)
        _exit(99);
    rdl_overflow_set_describe(describe);
    rdl_atomic_store_relaxed(&stack->owner, &co);
    rdl_coroutine_init_thread(&thread);
    rdl_coroutine_init(&co, stack->low, stack->top, fn, NULL);
    rdl_coroutine_switch(&thread, &co);
}

static __attribute__((noinline)) int dig(int depth)
{
    volatile char frame[200];

    frame[0] = (char)depth;
    return depth ? dig(depth - 1) + frame[0] : 0;
}

static struct rdl_coroutine *digs(void *arg)
{
    (void)arg;
    sink = dig(100000000);
    return &thread;
}

static void overflow_default(void)
{
    on_a_stack(0, digs);
}

Test(overflow, is_reported_with_its_task_and_size_and_kills_by_sigsegv)
{
    char size[64];

    run(overflow_default);
    cr_expect(died_of_the_fault(), "status %x\n%s", (unsigned)status, output);
    expect_in_output("raddle: stack overflow\n");
    expect_in_output("task \"digs\" spawned at test_overflow.c\n");
    snprintf(size, sizeof size, ": %u KiB, ", 64 * RDL_STACK_SCALE);
    expect_in_output(size);
    expect_in_output(" bytes deep\n");
    expect_in_output("    #0 0x");
    expect_in_output(" more\n");
    expect_in_output(" frames\n");
}

static void overflow_large(void)
{
    on_a_stack(4 << 20, digs);
}

Test(overflow, is_reported_on_a_large_stack_too)
{
    run(overflow_large);
    cr_expect(died_of_the_fault());
    expect_in_output("raddle: stack overflow\n");
}

static void overflow_by_mprotect(void)
{
    rdl_stack_force_mprotect(true);
    on_a_stack(0, digs);
}

Test(overflow, is_reported_with_a_guard_by_mprotect)
{
    run(overflow_by_mprotect);
    cr_expect(died_of_the_fault());
    expect_in_output("raddle: stack overflow\n");
}

/* One frame larger than the guard, touched at its far end only, from half way down the stack: it
 * would reach the next stack. -fstack-clash-protection, which we build with, touches every page on
 * the way. */
static __attribute__((noinline)) void leap(void)
{
    volatile char frame[90 * 1024 * RDL_STACK_SCALE];

    __asm__ volatile("" : : "r"(frame) : "memory"); /* or the compiler makes it one byte */
    frame[0] = 1;
    sink = (unsigned char)frame[0];
}

static __attribute__((noinline)) void leap_from_half_way(void)
{
    volatile char frame[40 * 1024 * RDL_STACK_SCALE];

    __asm__ volatile("" : : "r"(frame) : "memory");
    frame[sizeof frame - 1] = 1;
    leap();
    sink = (unsigned char)frame[sizeof frame - 1];
}

static struct rdl_coroutine *leaps(void *arg)
{
    (void)arg;
    leap_from_half_way();
    return &thread;
}

static void overflow_by_leap(void)
{
    on_a_stack(0, leaps);
}

Test(overflow, a_frame_larger_than_the_guard_is_reported)
{
#ifdef RDL_TEST_NO_CLASH_PROTECTION
    cr_skip_test("this compiler has no -fstack-clash-protection");
#endif
    run(overflow_by_leap);
    cr_expect(died_of_the_fault(), "status %x\n%s", (unsigned)status, output);
    expect_in_output("raddle: stack overflow\n");
    expect_in_output("task \"digs\"");
}

static void *overflow_in_thread(void *arg)
{
    (void)arg;
    on_a_stack(0, digs);
    return NULL;
}

static void overflow_elsewhere(void)
{
    pthread_t other;

    pthread_create(&other, NULL, overflow_in_thread, NULL);
    pthread_join(other, NULL);
}

Test(overflow, is_reported_on_another_thread)
{
    run(overflow_elsewhere);
    cr_expect(died_of_the_fault());
    expect_in_output("raddle: stack overflow\n");
}

/* --- what is not an overflow --- */

static volatile int *volatile wild = (int *)(uintptr_t)64;

static void fault_elsewhere(void)
{
    static struct rdl_overflow_thread signal_stack;

    rdl_overflow_install();
    rdl_overflow_thread_init(&signal_stack);
    *wild = 1;
}

Test(overflow, another_fault_is_not_reported_as_one)
{
    run(fault_elsewhere);
    cr_expect(died_of_the_fault());
    cr_expect_null(strstr(output, "raddle:"));
}

static void own_handler(int sig)
{
    static const char text[] = "the handler that was there before\n";

    (void)!write(STDERR_FILENO, text, sizeof text - 1);
    _exit(40 + sig);
}

static void chain(void)
{
    struct sigaction action = {.sa_handler = own_handler, .sa_flags = SA_ONSTACK};

    sigaction(SIGSEGV, &action, NULL);
    on_a_stack(0, digs);
}

Test(overflow, the_previous_handler_has_its_turn_after_the_report)
{
    run(chain);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 40 + SIGSEGV, "status %x\n%s",
              (unsigned)status, output);
    expect_in_output("raddle: stack overflow\n");
    expect_in_output("the handler that was there before\n");
}

static void chain_fault(void)
{
    struct sigaction action = {.sa_handler = own_handler, .sa_flags = SA_ONSTACK};

    sigaction(SIGSEGV, &action, NULL);
    fault_elsewhere();
}

Test(overflow, the_previous_handler_has_every_other_fault)
{
    run(chain_fault);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 40 + SIGSEGV);
    cr_expect_null(strstr(output, "raddle"));
}

static void sent(void)
{
    struct sigaction action = {.sa_handler = SIG_DFL};

    sigaction(SIGSEGV, &action, NULL);
    rdl_overflow_install();
    raise(SIGSEGV);
}

Test(overflow, a_signal_that_was_sent_kills_as_it_would_have)
{
    run(sent);
    cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV, "status %x", (unsigned)status);
    cr_expect_null(strstr(output, "raddle"));
}

static void sent_but_ignored(void)
{
    signal(SIGBUS, SIG_IGN);
    rdl_overflow_install();
    raise(SIGBUS);
    _exit(7);
}

Test(overflow, a_signal_that_was_ignored_stays_ignored)
{
    run(sent_but_ignored);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

static int left; /* calls that succeed */

static int refuse_sigaction(enum rdl_sys_call call, size_t *length)
{
    (void)length;
    return call == RDL_SYS_SIGACTION && left-- == 0 ? -EPERM : 0;
}

static void on_fault(int number)
{
    (void)number;
    _exit(9);
}

/* Whatever of it failed, who had the signal before has it: also after a second try. */
static void installed_in_part(void)
{
    struct sigaction mine = {.sa_handler = on_fault}, now;

    sigaction(SIGSEGV, &mine, NULL);
    for (int n = 0; n < 4; n++) {
        left = n;
        rdl_sys_set_hook(refuse_sigaction);
        if (rdl_overflow_install() != -EPERM)
            _exit(2);
        rdl_sys_set_hook(NULL);
        sigaction(SIGSEGV, NULL, &now);
        if (now.sa_handler != on_fault)
            _exit(3 + n);
    }
    if (rdl_overflow_install() != 0)
        _exit(8);
    raise(SIGSEGV);
}

Test(overflow, an_installation_that_fails_leaves_the_signals_as_they_were)
{
    run(installed_in_part);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 9, "status %x", (unsigned)status);
}

Test(overflow, a_thread_gets_its_old_signal_stack_back)
{
    static char small[8192 * 2];
    stack_t ours = {.ss_sp = small, .ss_size = sizeof small};
    stack_t before;
    stack_t during;
    stack_t after;
    struct rdl_overflow_thread signal_stack;

    cr_assert_eq(sigaltstack(&ours, &before), 0);
    cr_assert_eq(rdl_overflow_thread_init(&signal_stack), 0);
    cr_assert_eq(sigaltstack(NULL, &during), 0);
    cr_assert_neq(during.ss_sp, ours.ss_sp);
    cr_assert_geq(during.ss_size, 32768);
    rdl_overflow_thread_fini(&signal_stack);
    cr_assert_eq(sigaltstack(NULL, &after), 0);
    cr_assert_eq(after.ss_sp, ours.ss_sp);
    rdl_overflow_thread_fini(&signal_stack);
    cr_assert_eq(sigaltstack(&before, NULL), 0);
}
