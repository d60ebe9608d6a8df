/*
 * tests/race/race_single.c - read-modify-writes of a process with one thread (sched/single.h): what they return, that
 * a signal handler of this thread may interrupt them anywhere, and that a second thread ends all that.
 */
#include "sched/atomic.h"
#include "sched/inbox.h"
#include "tests/support/counted.h"

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

enum { INTERRUPTS = 20000, EVERY_US = 20, ITEMS = 64 };

#define MUST(x)                                                                                    \
    do {                                                                                           \
        if (!(x)) {                                                                                \
            printf("line %d: not %s\n", __LINE__, #x);                                             \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

/* Each operation on one type: what it returns and what it leaves. */
#define VALUES(type, least, most)                                                                  \
    do {                                                                                           \
        static rdl_atomic(type) word;                                                              \
        type expected = (least);                                                                   \
                                                                                                   \
        rdl_atomic_init(&word, (least));                                                           \
        MUST(rdl_atomic_cas_acq_rel(&word, &expected, (most)));                                    \
        MUST(rdl_atomic_load_relaxed(&word) == (most) && expected == (least));                     \
        MUST(!rdl_atomic_cas_seq_cst(&word, &expected, (least)));                                  \
        MUST(rdl_atomic_load_relaxed(&word) == (most) && expected == (most));                      \
        MUST(rdl_atomic_exchange_acquire(&word, (least)) == (most));                               \
        MUST(rdl_atomic_load_relaxed(&word) == (least));                                           \
        rdl_atomic_store_seq_cst(&word, (most));                                                   \
        MUST(rdl_atomic_exchange_relaxed(&word, (most)) == (most));                                \
    } while (0)

#define NUMBERS(type, bits)                                                                        \
    do {                                                                                           \
        static rdl_atomic(type) word;                                                              \
                                                                                                   \
        rdl_atomic_init(&word, 5);                                                                 \
        MUST(rdl_atomic_fetch_add_relaxed(&word, (type)7) == 5);                                   \
        MUST(rdl_atomic_fetch_sub_release(&word, (type)2) == 12);                                  \
        MUST(rdl_atomic_fetch_sub_acq_rel(&word, (type)11) == 10);                                 \
        MUST(rdl_atomic_load_relaxed(&word) == (type)-1);                                          \
        MUST(rdl_atomic_fetch_and_acq_rel(&word, (type)(bits)) == (type)-1);                       \
        MUST(rdl_atomic_fetch_or_acq_rel(&word, (type)1) == (type)(bits));                         \
        MUST(rdl_atomic_load_relaxed(&word) == (type)((bits) | 1));                                \
    } while (0)

/* Of what is narrower than the word, and has no sign. */
static void narrow(void)
{
    static rdl_atomic(uint64_t) word;
    static rdl_atomic(int64_t) signed_word;
    rdl_atomic(uint64_t) *at = &word;

    rdl_atomic_init(&word, 100);
    MUST(rdl_atomic_fetch_sub_relaxed(&word, 1u) == 100);
    MUST(rdl_atomic_fetch_add_relaxed(&word, 3u) == 99);
    MUST(rdl_atomic_fetch_sub_relaxed(at++, (uint8_t)2) == 102 && at == &word + 1);
    MUST(rdl_atomic_exchange_relaxed(--at, 7u) == 100 && at == &word);
    MUST(rdl_atomic_load_relaxed(&word) == 7);
    rdl_atomic_init(&signed_word, 0);
    MUST(rdl_atomic_fetch_sub_acq_rel(&signed_word, 5) == 0);
    MUST(rdl_atomic_load_relaxed(&signed_word) == -5);
}

static void values(void)
{
    static char one, other;

    VALUES(bool, false, true);
    VALUES(uint8_t, 1, UINT8_MAX);
    VALUES(uint32_t, 1, UINT32_MAX);
    VALUES(int32_t, INT32_MIN, INT32_MAX);
    VALUES(uint64_t, 1, UINT64_MAX);
    VALUES(char *, &one, &other);
    NUMBERS(uint8_t, 0xf0);
    NUMBERS(uint32_t, 0xf0f0f0f0);
    NUMBERS(int32_t, 0x70f0f0f0);
    NUMBERS(uint64_t, 0xf0f0f0f0f0f0f0f0);
    narrow();
    rdl_atomic_fence_seq_cst();
}

struct item {
    struct rdl_runnable runnable; /* first */
    rdl_atomic(bool) queued;
};

static struct rdl_inbox inbox;
static struct item items[ITEMS];
static rdl_atomic(uint64_t) adds, subs, swaps;
static rdl_atomic(uint32_t) bits, interrupts;
static unsigned long long pushed, taken, added; /* pushed is the handler's, the others the main's */

static void swap(void)
{
    uint64_t seen = rdl_atomic_load_relaxed(&swaps);

    while (!rdl_atomic_cas_relaxed(&swaps, &seen, seen + 1))
        ;
}

/* Each word is changed by both sides; what one of them did must not be lost. */
static void interrupt(int number)
{
    (void)number;
    rdl_atomic_fetch_add_relaxed(&adds, (uint64_t)1);
    rdl_atomic_fetch_sub_relaxed(&subs, (uint64_t)1);
    swap();
    MUST(!(rdl_atomic_fetch_or_acq_rel(&bits, 2u) & 2u));
    MUST(rdl_atomic_fetch_and_acq_rel(&bits, ~2u) & 2u);
    for (unsigned i = 0; i < ITEMS; i++) {
        if (rdl_atomic_exchange_acquire(&items[i].queued, true))
            continue;
        pushed += rdl_inbox_push(&inbox, &items[i].runnable);
        break;
    }
    rdl_atomic_fetch_add_relaxed(&interrupts, 1u);
}

static void change(void)
{
    rdl_atomic_fetch_add_relaxed(&adds, (uint64_t)1);
    rdl_atomic_fetch_sub_relaxed(&subs, (uint64_t)1);
    swap();
    added++;
    MUST(!(rdl_atomic_fetch_or_acq_rel(&bits, 1u) & 1u));
    MUST(rdl_atomic_fetch_and_acq_rel(&bits, ~1u) & 1u);
    for (struct rdl_runnable *r = rdl_inbox_take_all(&inbox), *next; r; r = next, taken++) {
        next = r->next;
        MUST(rdl_atomic_exchange_acq_rel(&((struct item *)(void *)r)->queued, false));
    }
}

static void be_interrupted(void)
{
    struct sigaction action;
    struct itimerval every = {.it_interval.tv_usec = EVERY_US, .it_value.tv_usec = EVERY_US};
    uint64_t count;

    memset(&action, 0, sizeof(action));
    sigemptyset(&action.sa_mask);
    action.sa_handler = interrupt;
    rdl_inbox_init(&inbox);
    MUST(sigaction(SIGALRM, &action, NULL) == 0);
    MUST(setitimer(ITIMER_REAL, &every, NULL) == 0);
    while (rdl_atomic_load_relaxed(&interrupts) < INTERRUPTS)
        change();
    every = (struct itimerval){0};
    MUST(setitimer(ITIMER_REAL, &every, NULL) == 0);
    MUST(signal(SIGALRM, SIG_IGN) != SIG_ERR);
    change();
    count = added + rdl_atomic_load_relaxed(&interrupts);
    MUST(rdl_atomic_load_relaxed(&adds) == count);
    MUST(rdl_atomic_load_relaxed(&subs) == 0 - count);
    MUST(rdl_atomic_load_relaxed(&swaps) == count);
    MUST(rdl_atomic_load_relaxed(&bits) == 0);
    MUST(taken == pushed);
    test_counted(rdl_atomic_load_relaxed(&interrupts), "interrupts");
}

static void *see(void *arg)
{
    (void)arg;
    MUST(!rdl_single_threaded());
    return NULL;
}

int main(void)
{
    pthread_t thread;

#ifdef RDL_SINGLE_NEVER
    puts("always as with several threads here");
    MUST(!rdl_single_threaded());
#else
    MUST(rdl_single_threaded());
#endif
    values();
    be_interrupted();
    MUST(pthread_create(&thread, NULL, see, NULL) == 0);
    MUST(!rdl_single_threaded());
    values();
    MUST(pthread_join(thread, NULL) == 0);
    return 0;
}
