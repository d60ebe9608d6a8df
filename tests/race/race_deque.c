/*
 * tests/race/race_deque.c - one owner and three thieves, until every runnable was taken exactly
 * once.
 */
#include "sched/deque.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "sched/inject.h"
#include "tests/support/counted.h"

enum { ITEMS = 300000, THIEVES = 3 };

struct item {
    struct rdl_runnable runnable; /* first */
    unsigned payload;             /* plain: ThreadSanitizer looks at it */
    unsigned got;
};

static struct rdl_deque ring;
static struct rdl_inject overflow;
static struct item items[ITEMS];
static rdl_atomic(unsigned) total;

static void got(struct rdl_runnable *r)
{
    struct item *item = (struct item *)r;

    if (item->payload != (unsigned)(item - items) + 1 || item->got++) {
        printf("item %td: payload %u, got %u times\n", item - items, item->payload, item->got);
        exit(1);
    }
    rdl_atomic_fetch_add_relaxed(&total, 1u);
}

static void got_list(struct rdl_runnable *r)
{
    while (r) {
        struct rdl_runnable *next = r->next;

        got(r);
        r = next;
    }
}

static bool all_taken(void)
{
    return rdl_atomic_load_relaxed(&total) == ITEMS;
}

static void *own(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < ITEMS; i++) {
        struct rdl_runnable *r;

        items[i].payload = i + 1;
        while (!rdl_deque_push(&ring, &items[i].runnable)) {
            struct rdl_runnable *list, *last;
            unsigned n = rdl_deque_take_half(&ring, &list);

            if (n == 0)
                continue;
            for (last = list; last->next; last = last->next)
                ;
            rdl_inject_push_list(&overflow, list, last, n);
        }
        if (i % 3 == 0 && (r = rdl_deque_take(&ring)))
            got(r);
    }
    while (!all_taken()) {
        struct rdl_runnable *r = rdl_deque_take(&ring);

        if (r)
            got(r);
    }
    return NULL;
}

static void *steal(void *arg)
{
    struct rdl_deque *mine = aligned_alloc(RDL_DEQUE_LINE, sizeof *mine);

    if (!mine)
        exit(1);
    rdl_deque_init(mine);
    for (unsigned round = 0; !all_taken(); round++) {
        struct rdl_runnable *r = NULL;
        unsigned n;

        switch (round % 3) {
        case 0:
            r = rdl_deque_steal(&ring);
            break;
        case 1:
            if (!rdl_deque_steal_half(&ring, mine, &r))
                r = NULL;
            break;
        default:
            got_list(rdl_inject_take(&overflow, 16, &n));
        }
        if (r)
            got(r);
        while ((r = rdl_deque_take(mine)))
            got(r);
    }
    free(mine);
    return arg;
}

int main(void)
{
    pthread_t threads[1 + THIEVES];

    rdl_deque_init(&ring);
    rdl_inject_init(&overflow);
    for (int i = 0; i <= THIEVES; i++)
        if (pthread_create(&threads[i], NULL, i ? steal : own, NULL))
            return 1;
    for (int i = 0; i <= THIEVES; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < ITEMS; i++)
        if (items[i].got != 1) {
            printf("item %d: got %u times\n", i, items[i].got);
            return 1;
        }
    printf("%d items, each taken once\n", ITEMS);
    test_counted(ITEMS, "races");
    return 0;
}
