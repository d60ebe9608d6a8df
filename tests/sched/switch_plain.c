/*
 * tests/sched/switch_plain.c - the stack switch, in a plain program: natively, under qemu and
 * Valgrind.
 *
 * Stacks come from mmap here, so that nothing but sched/coroutine.c is needed.
 */
#define _GNU_SOURCE
#include "sched/coroutine.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unwind.h>

enum { STACK_BYTES = 256 * 1024, ROUNDS = 1000, MANY = 200, THREADS = 3 };

static int failures;

#define CHECK(what)                                                                                \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what);                             \
            failures++;                                                                            \
        }                                                                                          \
    } while (0)

struct task {
    struct rdl_coroutine co;
    struct rdl_coroutine *back;
    char *memory;
    long count;
    bool done;
    bool misaligned;
    bool damaged;
    size_t frames;
};

static void task_create(struct task *task, struct rdl_coroutine *back, rdl_coroutine_fn *fn)
{
    memset(task, 0, sizeof *task);
    task->memory =
        mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (task->memory == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    task->back = back;
    rdl_coroutine_init(&task->co, task->memory, task->memory + STACK_BYTES, fn, task);
}

static void task_destroy(struct task *task)
{
    rdl_coroutine_fini(&task->co);
    munmap(task->memory, STACK_BYTES);
}

static void resume(struct task *task)
{
    rdl_coroutine_switch(task->back, &task->co);
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

/* --- one coroutine, values in registers across switches --- */

static struct rdl_coroutine *counts(void *arg)
{
    struct task *task = arg;
    long sum = 0;
    double half = 0.5;

    for (long i = 0; i < ROUNDS; i++) {
        sum += i;
        half += 1.0;
        task->count = sum;
        yield(task);
        task->damaged |= half < (double)i;
    }
    return ended(task);
}

static void test_counts(void)
{
    struct rdl_coroutine thread;
    struct task task;
    long a = 1;
    long b = 2;
    long c = 3;
    long d = 4;
    double x = 0.25;
    double y = 0.75;

    rdl_coroutine_init_thread(&thread);
    task_create(&task, &thread, counts);
    for (long i = 0; i < ROUNDS; i++) {
        a += i;
        b += a & 3;
        c ^= a;
        d += b;
        x += 1.0;
        y += x > (double)i ? 1.0 : 0.0;
        resume(&task);
        CHECK(task.count == i * (i + 1) / 2);
    }
    CHECK(a == 1 + (long)ROUNDS * (ROUNDS - 1) / 2);
    CHECK(x == ROUNDS + 0.25 && y == ROUNDS + 0.75);
    CHECK(b && c && d);
    CHECK(!task.done);
    resume(&task);
    CHECK(task.done && !task.damaged);
    task_destroy(&task);
    rdl_coroutine_fini_thread(&thread);
}

/* --- the inline switch --- */

static __attribute__((noinline)) void yield_inline(struct task *task)
{
    rdl_coroutine_switch_inline(&task->co, task->back);
}

static __attribute__((noinline)) void resume_inline(struct task *task)
{
    rdl_coroutine_switch_inline(task->back, &task->co);
}

static struct rdl_coroutine *alternates(void *arg)
{
    struct task *task = arg;

    while (!task->done) {
        task->count++;
        yield_inline(task);
        task->count++;
        yield(task);
    }
    return task->back;
}

static void test_inline(void)
{
    struct rdl_coroutine thread;
    struct task task;
    long local = 0;

    rdl_coroutine_init_thread(&thread);
    task_create(&task, &thread, alternates);
    /* Each kind of switch resumes what the other kind suspended. */
    for (long i = 0; i < ROUNDS; i++) {
        if (i % 3)
            resume_inline(&task);
        else
            resume(&task);
        local += task.count;
    }
    CHECK(task.count == ROUNDS);
    CHECK(local == (long)ROUNDS * (ROUNDS + 1) / 2);
    task_destroy(&task); /* never left */
    rdl_coroutine_fini_thread(&thread);
}

/* --- a static variable that is changed while its user is suspended --- */

static long tally; /* its address is never taken, so a compiler may think that it knows all uses */

static __attribute__((noinline)) void pass_in_place(struct rdl_coroutine *from,
                                                    struct rdl_coroutine *to)
{
    rdl_coroutine_switch_inline(from, to);
}

static struct rdl_coroutine *tallies(void *arg)
{
    struct task *task = arg;

    while (!task->done) {
        tally++;
        pass_in_place(&task->co, task->back);
        tally++;
        rdl_coroutine_switch(&task->co, task->back);
        tally++;
        rdl_coroutine_switch_inline(&task->co, task->back);
    }
    return task->back;
}

static void test_statics(void)
{
    struct rdl_coroutine thread;
    struct task task;

    rdl_coroutine_init_thread(&thread);
    task_create(&task, &thread, tallies);
    for (long i = 0; i < 100; i++) {
        tally = i;
        pass_in_place(&thread, &task.co);
        CHECK(tally == i + 1);
        tally = i;
        rdl_coroutine_switch(&thread, &task.co);
        CHECK(tally == i + 1);
        tally = i;
        rdl_coroutine_switch_inline(&thread, &task.co);
        CHECK(tally == i + 1);
    }
    task_destroy(&task);
    rdl_coroutine_fini_thread(&thread);
}

/* --- alignment, argument and the end of the backtrace --- */

static _Unwind_Reason_Code count_frame(struct _Unwind_Context *context, void *arg)
{
    size_t *count = arg;

    (void)context;
    return ++*count < 1000 ? _URC_NO_REASON : _URC_END_OF_STACK;
}

static __attribute__((noinline)) struct rdl_coroutine *starts(void *arg)
{
    struct task *task = arg;
    uintptr_t frame = (uintptr_t)__builtin_frame_address(0);

    /* The frame address is 16 bytes below the stack pointer before the call (x86-64), or some
     * multiple of 16 (AArch64). */
    task->misaligned = (frame & 15) != 0;
    _Unwind_Backtrace(count_frame, &task->frames);
    return ended(task);
}

static void test_start(void)
{
    struct rdl_coroutine thread;
    struct task task;
    void *pc;
    void *fp;
    void *sp;

    rdl_coroutine_init_thread(&thread);
    task_create(&task, &thread, starts);
    rdl_coroutine_frames(&task.co, &pc, &fp, &sp);
    CHECK(pc != NULL && fp == NULL);
    CHECK((char *)sp > task.memory && (char *)sp <= task.memory + STACK_BYTES);
    resume(&task);
    CHECK(task.done && !task.misaligned);
    /* starts(), what a sanitizer puts around it, the trampoline: and then the end. */
    CHECK(task.frames >= 1 && task.frames < 10);
    task_destroy(&task);

    task_create(&task, &thread, starts);
    task_destroy(&task); /* never ran */
    rdl_coroutine_fini_thread(&thread);
}

static struct rdl_coroutine *parks(void *arg)
{
    struct task *task = arg;

    yield(task);
    return ended(task);
}

static void test_frames(void)
{
    struct rdl_coroutine thread;
    struct task task;
    void *pc;
    void *fp;
    void *sp;

    rdl_coroutine_init_thread(&thread);
    task_create(&task, &thread, parks);
    resume(&task);
    rdl_coroutine_frames(&task.co, &pc, &fp, &sp);
    CHECK(pc != NULL);
    CHECK((char *)sp > task.memory && (char *)sp < task.memory + STACK_BYTES);
    resume(&task);
    CHECK(task.done);
    task_destroy(&task);
    rdl_coroutine_fini_thread(&thread);
}

/* --- from one coroutine straight to the next --- */

static struct task ring[MANY];

static struct rdl_coroutine *passes(void *arg)
{
    struct task *task = arg;
    size_t i = (size_t)(task - ring);

    while (task->count < 20) {
        task->count++;
        rdl_coroutine_switch(&task->co, i + 1 < MANY ? &ring[i + 1].co : task->back);
    }
    return ended(task);
}

static void test_ring(void)
{
    struct rdl_coroutine thread;
    size_t left = 0;

    rdl_coroutine_init_thread(&thread);
    for (size_t i = 0; i < MANY; i++)
        task_create(&ring[i], &thread, passes);
    for (int round = 0; round < 20; round++)
        resume(&ring[0]);
    for (size_t i = 0; i < MANY; i++) {
        CHECK(ring[i].count == 20);
        resume(&ring[i]);
        left += ring[i].done;
        task_destroy(&ring[i]);
    }
    CHECK(left == MANY);
    rdl_coroutine_fini_thread(&thread);
}

/* --- resumed on another thread than it was suspended on --- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t turned;
    int turn;
    struct task task;
} shared = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, {.count = 0}};

static struct rdl_coroutine *migrates(void *arg)
{
    struct task *task = arg;
    volatile char pattern[1024];
    char expect;

    for (int i = 0; i < ROUNDS; i++) {
        expect = (char)i;
        for (size_t k = 0; k < sizeof pattern; k++)
            pattern[k] = expect;
        task->count++;
        yield(task);
        for (size_t k = 0; k < sizeof pattern; k++)
            task->damaged |= pattern[k] != expect;
    }
    return ended(task);
}

static void *run_turns(void *arg)
{
    int me = (int)(intptr_t)arg;
    struct rdl_coroutine thread;
    bool done = false;

    rdl_coroutine_init_thread(&thread);
    while (!done) {
        pthread_mutex_lock(&shared.lock);
        while (shared.turn != me)
            pthread_cond_wait(&shared.turned, &shared.lock);
        if (!shared.task.done) {
            shared.task.back = &thread;
            resume(&shared.task);
        }
        done = shared.task.done;
        shared.turn = (me + 1) % THREADS;
        pthread_cond_broadcast(&shared.turned);
        pthread_mutex_unlock(&shared.lock);
    }
    rdl_coroutine_fini_thread(&thread);
    return NULL;
}

static void test_threads(void)
{
    pthread_t threads[THREADS];

    task_create(&shared.task, NULL, migrates);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, run_turns, (void *)(intptr_t)i);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    CHECK(shared.task.done && !shared.task.damaged);
    CHECK(shared.task.count == ROUNDS);
    task_destroy(&shared.task);
}

/* --- signals at any moment (ThreadSanitizer delivers them only at calls that it knows) --- */

#if !RDL_TSAN

static volatile sig_atomic_t ticks;

static void tick(int sig)
{
    volatile char scribble[2048];

    (void)sig;
    for (size_t i = 0; i < sizeof scribble; i++)
        scribble[i] = 0x55;
    ticks++;
}

static struct rdl_coroutine *runs_long(void *arg)
{
    struct task *task = arg;

    while (!task->done) {
        task->count++;
        if (task->count & 1)
            yield(task);
        else
            yield_inline(task);
    }
    return task->back;
}

static void test_signals(void)
{
    struct sigaction action = {.sa_handler = tick, .sa_flags = SA_RESTART};
    struct itimerval every = {{0, 100}, {0, 100}};
    struct itimerval never = {{0, 0}, {0, 0}};
    struct rdl_coroutine thread;
    struct task task;
    long rounds = 0;

    sigemptyset(&action.sa_mask);
    sigaction(SIGALRM, &action, NULL);
    rdl_coroutine_init_thread(&thread);
    task_create(&task, &thread, runs_long);
    setitimer(ITIMER_REAL, &every, NULL);
    while (ticks < 300) {
        resume(&task);
        rounds++;
    }
    setitimer(ITIMER_REAL, &never, NULL);
    CHECK(task.count == rounds);
    task_destroy(&task);
    rdl_coroutine_fini_thread(&thread);
}

#endif

/* --- something for a debugger to look at: tests/sched/gdb_parked.sh --- */

static __attribute__((noinline)) void waits_for_bread(struct task *task, bool in_place)
{
    if (in_place)
        rdl_coroutine_switch_inline(&task->co, task->back);
    else
        rdl_coroutine_switch(&task->co, task->back);
    task->count++;
}

static __attribute__((noinline)) void bakes(struct task *task, bool in_place)
{
    waits_for_bread(task, in_place);
    task->count++;
}

static struct rdl_coroutine *breakfast(void *arg)
{
    bakes(arg, false);
    return ended(arg);
}

static struct rdl_coroutine *breakfast_in_place(void *arg)
{
    bakes(arg, true);
    return ended(arg);
}

static void park(void)
{
    struct rdl_coroutine thread;
    struct task tasks[3];

    rdl_coroutine_init_thread(&thread);
    task_create(&tasks[0], &thread, breakfast);
    task_create(&tasks[1], &thread, breakfast_in_place);
    task_create(&tasks[2], &thread, breakfast);
    resume(&tasks[0]);
    resume(&tasks[1]);
    printf("%p %p %p\n", (void *)&tasks[0].co, (void *)&tasks[1].co, (void *)&tasks[2].co);
    fflush(stdout);
    getchar();
    for (int i = 0; i < 3; i++)
        task_destroy(&tasks[i]);
    rdl_coroutine_fini_thread(&thread);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--park") == 0) {
        park();
        return 0;
    }
    test_counts();
    test_inline();
    test_statics();
    test_start();
    test_frames();
    test_ring();
    test_threads();
#if !RDL_TSAN
    test_signals();
#endif
    printf("switch_plain: %s\n", failures ? "FAILED" : "ok");
    return failures ? 1 : 0;
}
