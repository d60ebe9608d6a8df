/*
 * raddle/buffers.c - a stack of free buffers for all threads: the one used last is warm.
 *
 * Each is a mapping of its own: what a crowd has borrowed goes back to the system when it is gone,
 * whatever else lies between in memory. When it is gone, and not before: a connection gives some back
 * that has nothing to do any more. While all of them work, as many are kept as they have borrowed at once.
 */
#include "tools/raddle/buffers.h"

#include <stddef.h>
#include <sys/mman.h>

#include "sched/lock.h"
#include "sched/sys.h"

enum {
    KEPT = 256,
    SHED_AT_ONCE = 2,
};

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
    rdl_lock_acquire(&lock);
    given->next = first;
    first = given;
    count++;
    rdl_lock_release(&lock);
}

void rdl_buffer_put(char *buffer)
{
    if (buffer)
        keep((struct free_buffer *)(void *)buffer);
}

void rdl_buffers_shed(void)
{
    struct free_buffer *shed = NULL;

    for (int i = 0; i < SHED_AT_ONCE; i++) {
        rdl_lock_acquire(&lock);
        shed = count > KEPT ? first : NULL;
        if (shed) {
            first = shed->next;
            count--;
        }
        rdl_lock_release(&lock);
        if (!shed)
            return;
        /* It fails when the process has too many separate mappings already. */
        if (rdl_sys_munmap(shed, RDL_BUFFER_BYTES) < 0) {
            keep(shed);
            return;
        }
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
