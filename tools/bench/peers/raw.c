/*
 * peers/raw.c - floors: what the processor and the kernel alone ask for.
 *
 *     switch        save the registers that a call keeps, change the stack, jump
 *     spawn.1       allocate and free as much as a small task would need
 *     wake.loops    two threads on two CPUs that wake each other by futex
 *     timers.one    a timer wheel of lists: one insertion and removal
 *     timers.many   of a million
 *     parked        touch one page per stack
 */
#include "peer.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#if defined __x86_64__

void raw_switch(void **save, void *to);
__asm__(".text\n"
        ".globl raw_switch\n"
        ".type raw_switch,@function\n"
        ".p2align 4\n"
        "raw_switch:\n"
        "push %rbp\n push %rbx\n push %r12\n push %r13\n push %r14\n push %r15\n"
        "mov %rsp,(%rdi)\n"
        "mov %rsi,%rsp\n"
        "pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbx\n pop %rbp\n"
        "pop %rcx\n"
        "jmp *%rcx\n"
        ".size raw_switch,.-raw_switch\n");

#define EIGHT(x) x x x x x x x x

static void *here, *there;
static long arrivals;

static void other_side(void)
{
    for (;;) {
        EIGHT(arrivals++; raw_switch(&there, here);)
    }
}

static void run_switch(const char *name, long divisor)
{
    static char stack[64 * 1024] __attribute__((aligned(64)));
    void **top = (void **)(stack + sizeof stack);
    long rounds = 2000000 / divisor;
    struct peer_watch watch;

    *--top = NULL;
    *--top = (void *)other_side;
    for (int i = 0; i < 6; i++)
        *--top = NULL;
    there = top;
    arrivals = 0;
    watch = peer_start();
    for (long i = 0; i < rounds; i++) {
        EIGHT(raw_switch(&here, there);)
    }
    peer_stop(name, watch, 16.0 * (double)rounds);
    peer_check(arrivals == 8 * rounds, name);
}

#endif

static void run_spawn(const char *name, long divisor)
{
    enum { ALIVE = 1000 };
    static void *block[ALIVE];
    long batches = 5000 / divisor, made = 0;
    struct peer_watch watch = peer_start();

    for (long i = 0; i < batches; i++) {
        for (int k = 0; k < ALIVE; k++) {
            block[k] = malloc(256);
            made += block[k] != NULL;
            *(volatile char *)block[k] = 1;
        }
        for (int k = 0; k < ALIVE; k++)
            free(block[k]);
    }
    peer_stop(name, watch, (double)batches * ALIVE);
    peer_check(made == batches * ALIVE, name);
}

static int turns[2];
static long rounds_left;

static void sleep_until_not(int *word, int value)
{
    while (__atomic_load_n(word, __ATOMIC_ACQUIRE) == value)
        syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void set_and_wake(int *word, int value)
{
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void *other_thread(void *arg)
{
    peer_bind(1);
    for (int i = 0; i < rounds_left; i++) {
        sleep_until_not(&turns[0], i);
        set_and_wake(&turns[1], i + 1);
    }
    return arg;
}

static void run_wake(const char *name, long divisor)
{
    long rounds = 20000 / divisor;
    struct peer_watch watch;
    pthread_t thread;

    turns[0] = turns[1] = 0;
    rounds_left = rounds;
    peer_bind(0);
    peer_check(pthread_create(&thread, NULL, other_thread, NULL) == 0, name);
    watch = peer_start();
    for (int i = 0; i < rounds; i++) {
        set_and_wake(&turns[0], i + 1);
        sleep_until_not(&turns[1], i);
    }
    pthread_join(thread, NULL);
    peer_stop(name, watch, 2.0 * (double)rounds);
    peer_check(turns[1] == rounds, name);
}

/* A wheel of one level, with a slot per millisecond. */
struct raw_timer {
    struct raw_timer *next, **link;
};

enum { SLOTS = 65536 };
static struct raw_timer *slots[SLOTS];
static long armed;

static void arm(struct raw_timer *timer, uint64_t after_ms)
{
    struct raw_timer **slot = &slots[after_ms % SLOTS];

    timer->next = *slot;
    timer->link = slot;
    if (*slot)
        (*slot)->link = &timer->next;
    *slot = timer;
    armed++;
}

static void disarm(struct raw_timer *timer)
{
    *timer->link = timer->next;
    if (timer->next)
        timer->next->link = timer->link;
    armed--;
}

static void run_wheel(const char *name, long count, long rounds)
{
    struct raw_timer *timers = calloc((size_t)count, sizeof *timers);
    uint64_t seed = PEER_SEED;
    long most = 0;
    struct peer_watch watch = peer_start();

    for (long round = 0; round < rounds; round++) {
        for (long i = 0; i < count; i++)
            arm(&timers[i], 1000 + peer_random(&seed) % 60000);
        most += armed;
        for (long i = 0; i < count; i++)
            disarm(&timers[i]);
    }
    peer_stop(name, watch, (double)count * (double)rounds);
    peer_check(most == count * rounds && armed == 0, name);
    free(timers);
}

static void run_one_timer(const char *name, long divisor)
{
    run_wheel(name, 1, 10000000 / divisor);
}

static void run_many_timers(const char *name, long divisor)
{
    run_wheel(name, 1000000 / divisor, 1);
}

static void run_parked(const char *name, long divisor)
{
    size_t count = (size_t)(100000 / divisor), stride = 16 * 1024;
    double resident = peer_resident();
    char *memory = mmap(NULL, count * stride, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    struct peer_watch watch;

    peer_check(memory != MAP_FAILED, name);
    madvise(memory, count * stride, MADV_NOHUGEPAGE);
    watch = peer_start();
    for (size_t i = 0; i < count; i++)
        memory[(i + 1) * stride - 64] = 1;
    peer_stop(name, watch, (double)count);
    peer_value(name, "rss", (peer_resident() - resident) / (double)count, "bytes");
}

static const struct peer_work works[] = {
#if defined __x86_64__
    {"switch", run_switch, PEER_WARM},
#endif
    {"spawn.1", run_spawn, PEER_WARM},        {"wake.loops", run_wake, PEER_WARM},
    {"timers.one", run_one_timer, PEER_WARM}, {"timers.many", run_many_timers, PEER_WARM},
    {"parked", run_parked, PEER_COLD},        {NULL, NULL, 0}};

int main(int argc, char **argv)
{
    return peer_main(argc, argv, works);
}
