/*
 * raddle/buffers.c - a stack of free buffers for all threads: the one used last is warm.
 */
#include "tools/raddle/buffers.h"

#include <stdlib.h>

#include "sched/lock.h"

enum { KEPT = 256 };

struct free_buffer {
    struct free_buffer *next;
};

static struct rdl_lock lock;
static struct free_buffer *first;
static unsigned count;

char *rdl_buffer_get(void)
{
    struct free_buffer *taken;

    rdl_lock_acquire(&lock);
    taken = first;
    if (taken) {
        first = taken->next;
        count--;
    }
    rdl_lock_release(&lock);
    return taken ? (char *)taken : malloc(RDL_BUFFER_BYTES);
}

void rdl_buffer_put(char *buffer)
{
    struct free_buffer *given = (struct free_buffer *)(void *)buffer;

    if (!given)
        return;
    rdl_lock_acquire(&lock);
    if (count < KEPT) {
        given->next = first;
        first = given;
        count++;
        given = NULL;
    }
    rdl_lock_release(&lock);
    free(given);
}

void rdl_buffers_trim(void)
{
    struct free_buffer *list;

    rdl_lock_acquire(&lock);
    list = first;
    first = NULL;
    count = 0;
    rdl_lock_release(&lock);
    while (list) {
        struct free_buffer *next = list->next;
        free(list);
        list = next;
    }
}
