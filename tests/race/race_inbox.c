/*
 * tests/race/race_inbox.c - three threads push into an inbox that its owner empties, and closes at
 * the end.
 */
#include "sched/inbox.h"
#include "tests/support/counted.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { PUSHERS = 3, EACH = 200000, ENOUGH = PUSHERS * EACH / 2 };

struct item {
    struct rdl_runnable runnable; /* first */
    unsigned payload;             /* plain: ThreadSanitizer looks at it */
    bool accepted;                /* its pusher's */
    unsigned got;                 /* the owner's */
};

static struct rdl_inbox inbox;
static struct item items[PUSHERS][EACH];

static void *push(void *arg)
{
    struct item *mine = arg;
    bool open = true;

    for (unsigned i = 0; i < EACH; i++) {
        mine[i].payload = i + 1;
        if (rdl_inbox_push(&inbox, &mine[i].runnable)) {
            if (!open)
                exit(1);
            mine[i].accepted = true;
        } else {
            open = false;
            mine[i].payload = 0;
        }
    }
    return NULL;
}

static unsigned take(void)
{
    static unsigned last[PUSHERS];
    unsigned count = 0;

    for (struct rdl_runnable *r = rdl_inbox_take_all(&inbox), *next; r; r = next, count++) {
        struct item *item = (struct item *)r;
        size_t pusher = (size_t)(item - items[0]) / EACH;

        next = r->next;
        if (item->payload != last[pusher] + 1 || item->got++) {
            printf("pusher %zu: %u after %u\n", pusher, item->payload, last[pusher]);
            exit(1);
        }
        last[pusher] = item->payload;
        item->payload = 0;
    }
    return count;
}

int main(void)
{
    pthread_t threads[PUSHERS];
    unsigned taken = 0, accepted = 0;

    rdl_inbox_init(&inbox);
    for (int i = 0; i < PUSHERS; i++)
        if (pthread_create(&threads[i], NULL, push, items[i]))
            return 1;
    while (taken < ENOUGH)
        taken += take();
    while (!rdl_inbox_close(&inbox))
        taken += take();
    for (int i = 0; i < PUSHERS; i++)
        pthread_join(threads[i], NULL);

    for (int p = 0; p < PUSHERS; p++)
        for (int i = 0; i < EACH; i++) {
            accepted += items[p][i].accepted;
            if (items[p][i].got != items[p][i].accepted)
                return 1;
        }
    printf("%u of %d accepted, %u taken\n", accepted, PUSHERS * EACH, taken);
    test_counted(taken, "races");
    return accepted == taken ? 0 : 1;
}
