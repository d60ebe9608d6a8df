/*
 * tests/race/race_stack.c - four threads get and put stacks, hand them to each other, and trim.
 *
 * Each holder writes its number into the stack and finds it again: a stack handed out twice shows,
 * and ThreadSanitizer sees whether a put happens before the next get.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sched/lock.h"
#include "sched/stack.h"
#include "sched/sys.h"
#include "tests/support/counted.h"

enum { THREADS = 4, ROUNDS = 4000, HOLD = 150, SHARED = 64 };

static struct {
    struct rdl_lock lock;
    struct rdl_stack *stacks[SHARED]; /* on their way from one thread to another */
    unsigned count;
} exchange;

static rdl_atomic(long) gets;
static rdl_atomic(int) wrong;
static rdl_atomic(bool) over;

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* The word under the top is plain memory: whoever holds the stack owns it. */
static long *mark_of(struct rdl_stack *stack)
{
    return (long *)(void *)(stack->top - 64);
}

static void take(struct rdl_stack_cache *cache, struct rdl_stack **slot, long mark, size_t bytes)
{
    if (rdl_stack_get(cache, bytes, slot) != 0) {
        fprintf(stderr, "race_stack: no stack\n");
        exit(1);
    }
    if (rdl_atomic_load_relaxed(&(*slot)->owner))
        rdl_atomic_store_relaxed(&wrong, 1);
    rdl_atomic_store_relaxed(&(*slot)->owner, slot);
    *mark_of(*slot) = mark;
    rdl_atomic_fetch_add_relaxed(&gets, 1);
}

static void give(struct rdl_stack_cache *cache, struct rdl_stack **slot, long mark)
{
    if (*mark_of(*slot) != mark)
        rdl_atomic_store_relaxed(&wrong, 2);
    rdl_atomic_store_relaxed(&(*slot)->owner, NULL);
    rdl_stack_put(cache, *slot);
    *slot = NULL;
}

/* Swaps a stack for one that another thread had. */
static void swap(struct rdl_stack **slot, long mark)
{
    rdl_lock_acquire(&exchange.lock);
    if (exchange.count < SHARED) {
        exchange.stacks[exchange.count++] = *slot;
        *slot = NULL;
    } else {
        unsigned i = (unsigned)mark % SHARED;
        struct rdl_stack *other = exchange.stacks[i];

        exchange.stacks[i] = *slot;
        *slot = other;
        *mark_of(other) = mark;
    }
    rdl_lock_release(&exchange.lock);
}

static void *work(void *arg)
{
    uint32_t random = (uint32_t)(uintptr_t)arg * 7919u + 1u;
    struct rdl_stack *held[HOLD] = {NULL};
    long marks[HOLD] = {0};
    struct rdl_stack_cache cache;

    rdl_stack_cache_init(&cache);
    for (int round = 0; round < ROUNDS; round++) {
        /* Bursts up, bursts down: slabs become free and are unmapped in between. */
        unsigned up = round / 200 % 2 == 0 ? 6 : 2;

        for (int i = 0; i < 8; i++) {
            unsigned slot = next_random(&random) % HOLD;
            struct rdl_stack_cache *which = next_random(&random) % 8 ? &cache : NULL;

            bool more = next_random(&random) % 8 < up;

            if (more && !held[slot]) {
                marks[slot] = (long)next_random(&random);
                take(which, &held[slot], marks[slot],
                     next_random(&random) % 4 ? 0 : (size_t)200 * 1024);
            } else if (!more && held[slot]) {
                give(which, &held[slot], marks[slot]);
            } else if (held[slot]) {
                marks[slot] = (long)next_random(&random);
                *mark_of(held[slot]) = marks[slot];
                swap(&held[slot], marks[slot]);
            }
        }
        if (round % 50 == 0)
            (void)rdl_stack_trim(&cache, rdl_sys_now() + (int64_t)round * 1000000);
        if (round % 400 == 399)
            rdl_stack_trim_all();
        if (round % 1000 == 999)
            rdl_stack_cache_flush(&cache);
    }
    for (int i = 0; i < HOLD; i++) {
        if (held[i])
            give(&cache, &held[i], marks[i]);
    }
    rdl_stack_cache_flush(&cache);
    return NULL;
}

/* Looks at records while they come and go, as a dump or a late waker does. */
static bool look(struct rdl_stack *stack, void *arg)
{
    size_t *owned = arg;
    struct rdl_ticket stale = {.wait = &stack->wait, .armed = 5};

    *owned += rdl_atomic_load_relaxed(&stack->owner) != NULL;
    if (rdl_wait_fire(stale, 1) != RDL_FIRE_LOST)
        rdl_atomic_store_relaxed(&wrong, 3);
    return true;
}

static void *watch(void *arg)
{
    struct rdl_stack_stats stats;
    bool in_guard;
    size_t owned = 0;

    (void)arg;
    while (!rdl_atomic_load_acquire(&over)) {
        rdl_stack_for_each(look, &owned);
        (void)rdl_stack_find(&in_guard, &in_guard);
        (void)rdl_stack_at((uint32_t)owned % 8192);
        rdl_stack_stats(&stats);
    }
    return NULL;
}

int main(void)
{
    struct rdl_stack_stats stats;
    pthread_t threads[THREADS];
    pthread_t watcher;

    pthread_create(&watcher, NULL, watch, NULL);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, work, (void *)(uintptr_t)i);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    rdl_atomic_store_release(&over, true);
    pthread_join(watcher, NULL);

    while (exchange.count) {
        struct rdl_stack *stack = exchange.stacks[--exchange.count];

        rdl_atomic_store_relaxed(&stack->owner, NULL);
        rdl_stack_put(NULL, stack);
    }
    rdl_stack_trim_all();
    rdl_stack_stats(&stats);
    printf("race_stack: %ld gets, %zu in use, %zu slabs, %zu areas, wrong %d\n",
           rdl_atomic_load_relaxed(&gets), stats.in_use, stats.slabs, stats.areas,
           rdl_atomic_load_relaxed(&wrong));
    test_counted((unsigned long long)rdl_atomic_load_relaxed(&gets), "races");
    return stats.in_use || stats.slabs || stats.areas || rdl_atomic_load_relaxed(&wrong) ? 1 : 0;
}
