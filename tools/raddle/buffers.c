/*
 * raddle/buffers.c - a stack of free buffers for all threads: the one used last is warm.
 *
 * Each is a mapping of its own: what a crowd has borrowed goes back to the system when it is gone,
 * whatever else lies between in memory.
 */
#include "tools/raddle/buffers.h"

#include <stddef.h>
#include <sys/mman.h>

#include "sched/lock.h"
#include "sched/sys.h"

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
    if (!taken) {
        void *mapping;

        if (rdl_sys_mmap(RDL_BUFFER_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                         &mapping) < 0)
            return NULL;
        taken = mapping;
    }
    return (char *)taken;
}

static void keep(struct free_buffer *given)
{
    given->next = first;
    first = given;
    count++;
}

void rdl_buffer_put(char *buffer)
{
    struct free_buffer *given = (struct free_buffer *)(void *)buffer;

    if (!given)
        return;
    rdl_lock_acquire(&lock);
    if (count < KEPT) {
        keep(given);
        given = NULL;
    }
    rdl_lock_release(&lock);
    /* It fails when the process has too many separate mappings already. */
    if (given && rdl_sys_munmap(given, RDL_BUFFER_BYTES) < 0) {
        rdl_lock_acquire(&lock);
        keep(given);
        rdl_lock_release(&lock);
    }
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
        (void)rdl_sys_munmap(list, RDL_BUFFER_BYTES);
        list = next;
    }
}
