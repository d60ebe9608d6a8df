/*
 * tests/runtime/overflow.c - one task of many overflows its stack, and the report names it.
 *
 *     overflow [--tasks N] [--case N]
 *
 * Each case runs in a child process: it must die by SIGSEGV, and say of which task the stack was, where
 * it was spawned, how large the stack is, and how it came there. The overflow comes from a deep
 * recursion or from one frame of 90 KiB (which -fstack-clash-protection probes page by page, so that
 * it can't jump over the guard); on the loop of the main thread, on another one, or on a loop that
 * a thread of the program runs.
 */
#define _GNU_SOURCE
#include "tests/support/runtime.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sched/annotate.h"

/* How a child ends that shouldn't have. */
enum { SURVIVED = 3, NO_SECOND_LOOP = 4, PATIENCE_S = 100 };

enum where { FIRST_LOOP, SECOND_LOOP, LONE_LOOP };

struct overflow {
    const char *what;
    raddle_task_fn *fn;
    enum where where;
    size_t stack_bytes;
    const char *kib; /* how the report tells that */
};

static unsigned long tasks;
static rdl_atomic(unsigned long) parked;
static const struct overflow *the_case;

static __attribute__((noinline)) int recurse(volatile char *above, int depth)
{
    volatile char frame[512];

    frame[0] = above[0];
    frame[511] = 1;
    if (depth == INT32_MAX)
        return frame[0];
    return recurse(frame, depth + 1) + frame[511];
}

static int recurses(void *arg)
{
    char top[16] = "x";

    (void)arg;
    return recurse(top, 0);
}

/* The compiler can't see who uses the frame, and so can't make it smaller. */
static __attribute__((noinline)) int large_frame(int seed)
{
    char frame[90 * 1024 * RDL_STACK_SCALE];

    __asm__ volatile("" : : "r"(frame) : "memory");
    frame[0] = (char)seed;
    __asm__ volatile("" : : "r"(frame) : "memory");
    return frame[0];
}

static int has_large_frame(void *arg)
{
    (void)arg;
    return large_frame(raddle_yield());
}

/* In a generator that another one asks, and has waited before. */
static int overflows_inside(raddle_gen *gen, void *arg)
{
    int rc = raddle_yield();

    if (rc == 0)
        rc = raddle_gen_yield(gen, arg, NULL);
    return rc < 0 ? rc : recurses(arg);
}

static int asks(raddle_gen *gen, void *arg)
{
    raddle_gen *below = NULL;
    int rc = raddle_gen_open(&below, overflows_inside, arg, NULL);

    while (rc == 0 && (rc = raddle_gen_next(below, NULL, NULL)) == 1)
        rc = raddle_gen_yield(gen, arg, NULL);
    return rc;
}

static int has_generators(void *arg)
{
    raddle_gen *gen = NULL;
    int rc = raddle_gen_open(&gen, asks, arg, NULL);

    while (rc == 0 && (rc = raddle_gen_next(gen, NULL, NULL)) == 1)
        rc = raddle_yield();
    return rc;
}

static int parks_deep(void *arg)
{
    volatile char frame[8 * 1024];

    frame[0] = 1;
    rdl_atomic_fetch_add_relaxed(&parked, 1ul);
    return raddle_sleep_until(RADDLE_NEVER) + (arg ? frame[0] : 0);
}

/* Waits for the loop that it is meant for. */
static int goes_there(void *arg)
{
    raddle_time end = raddle_in(RADDLE_S(10));
    (void)arg;

    if (the_case->where == SECOND_LOOP && raddle_loop_index(raddle_running_loop()) == 0) {
        /* Keeps this loop busy, so that the other one takes the next. */
        while (raddle_now() < end)
            ;
        _exit(NO_SECOND_LOOP);
    }
    return raddle_yield() < 0 ? -ECANCELED : the_case->fn(NULL);
}

static int many(void *arg)
{
    struct raddle_spawn_options o = {.name = "the one that overflows",
                                     .stack_bytes = the_case->stack_bytes};
    struct raddle_group g;
    (void)arg;

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (unsigned long i = 0; i < tasks; i++)
        EXPECT_EQ(raddle_spawn(&g, NULL, parks_deep, NULL, NULL), 0);
    while (rdl_atomic_load_relaxed(&parked) < tasks)
        EXPECT_EQ(raddle_sleep(RADDLE_MS(1)), 0);
    for (int i = 0; i < (the_case->where == SECOND_LOOP ? 2 : 1); i++)
        EXPECT_EQ(raddle_spawn(&g, NULL, goes_there, NULL, &o), 0);
    return raddle_group_close(&g, 0);
}

static void *runs_lone_loop(void *arg)
{
    raddle_loop *loop = NULL;

    EXPECT_EQ(raddle_new_loop(&loop), 0);
    EXPECT_EQ(raddle_loop_run_until_complete(loop, many, arg), 0);
    return NULL;
}

static void overflows(void)
{
    struct rlimit none = {0, 0};
    pthread_t thread;

    setrlimit(RLIMIT_CORE, &none);
    alarm(PATIENCE_S); /* for one that goes on instead */
    if (the_case->where == LONE_LOOP) {
        EXPECT_EQ(pthread_create(&thread, NULL, runs_lone_loop, NULL), 0);
        pthread_join(thread, NULL);
    } else {
        EXPECT_EQ(test_run_on(the_case->where == SECOND_LOOP ? 2 : 1, many, NULL), 0);
    }
}

static void check(const struct overflow *overflow)
{
    static char text[1 << 16];
    int fd = memfd_create("report", MFD_CLOEXEC), status = 0;
    unsigned before = test_failures();
    pid_t child;
    ssize_t n;

    the_case = overflow;
    child = fork();
    if (child == 0) {
        dup2(fd, STDERR_FILENO);
        overflows();
        _exit(SURVIVED);
    }
    EXPECT(child > 0);
    EXPECT_EQ(waitpid(child, &status, 0), child);
    n = pread(fd, text, sizeof(text) - 1, 0);
    text[n > 0 ? n : 0] = 0;
    close(fd);
    /* A sanitizer has a handler of its own, which ends the process, and larger stacks. */
    if (test_slowness() > 1) {
        EXPECT(WIFSIGNALED(status) || WEXITSTATUS(status) == 1 || WEXITSTATUS(status) == 66);
    } else {
        EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
        EXPECT(strstr(text, overflow->kib));
    }
    EXPECT(strstr(text, "stack overflow"));
    EXPECT(strstr(text, "task \"the one that overflows\""));
    EXPECT(strstr(text, "runtime/overflow.c:"));
    EXPECT(strstr(text, "#0 "));
    if (overflow->fn == has_generators)
        EXPECT(strstr(text, ", in generator overflows_inside"));
    printf("%s: %s\n", overflow->what, test_failures() == before ? "reported" : "FAILED");
    if (test_failures() != before)
        printf("status %x\n%.2000s\n", (unsigned)status, text);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    static const struct overflow cases[] = {
        {"a recursion on the first loop", recurses, FIRST_LOOP, 0, ": 64 KiB,"},
        {"a recursion on the second loop", recurses, SECOND_LOOP, 0, ": 64 KiB,"},
        {"a recursion on a thread's loop", recurses, LONE_LOOP, 0, ": 64 KiB,"},
        {"a recursion on a large stack", recurses, FIRST_LOOP, 1 << 20, ": 1024 KiB,"},
        {"a frame of 90 KiB on the first loop", has_large_frame, FIRST_LOOP, 0, ": 64 KiB,"},
        {"a frame of 90 KiB on the second loop", has_large_frame, SECOND_LOOP, 0, ": 64 KiB,"},
        {"a frame of 90 KiB on a small stack", has_large_frame, FIRST_LOOP, 16384, ": 16 KiB,"},
        {"a recursion in a generator", has_generators, SECOND_LOOP, 16384, ": 64 KiB,"},
    };
    unsigned long only;

    tasks = test_argument(argc, argv, "--tasks", 1000);
    only = test_argument(argc, argv, "--case", ULONG_MAX);
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (only == ULONG_MAX || only == i)
            check(&cases[i]);
    return test_result();
}
