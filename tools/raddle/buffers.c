/*
 * raddle/buffers.c - a stack of free buffers for all threads: the one used last is warm.
 *
 * Each is a mapping of its own: what a crowd has borrowed goes back to the system when it is gone,
 * whatever else lies between in memory. When it is gone, and not before: a connection gives some back
 * that has nothing to do any more. While all of them work, as many are kept as they have lately borrowed at
 * once: what nobody needed in WINDOW loans is surplus, and goes back one by one as others are returned.
 */
#include "tools/raddle/buffers.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>

#include "sched/lock.h"
#include "sched/sys.h"

enum {
    KEPT = 256,
    WINDOW = 16 * 1024,
    SHED_AT_ONCE = 2,
};

struct free_buffer {
    struct free_buffer *next;
};

static struct rdl_lock lock;
static struct free_buffer *first;
static unsigned count;
static unsigned least;   /* there were at any time of this window */
static unsigned loans;   /* of this window */
static unsigned surplus; /* still to go back of what the last window didn't need */

/* Under the lock. */
static void count_loan(void)
{
    if (count < least)
        least = count;
    if (count < surplus)
        surplus = count; /* the rest is needed after all */
    if (++loans < WINDOW)
        return;
    surplus = least;
    least = count;
    loans = 0;
}

/* Under the lock: one goes back. */
static void count_surplus(void)
{
    surplus -= surplus > 0;
    least -= least > 0;
}

/* Under the lock. */
static void put_first(struct free_buffer *given)
{
    given->next = first;
    first = given;
    count++;
}

/* Under the lock: the one used last, which is there. */
static struct free_buffer *take_first(void)
{
    struct free_buffer *taken = first;

    first = taken->next;
    count--;
    return taken;
}

char *rdl_buffer_get(void)
{
    struct free_buffer *taken;

    rdl_lock_acquire(&lock);
    taken = first ? take_first() : NULL;
    count_loan();
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

/* False: it is kept, as the process has too many separate mappings already. */
static bool give_back(struct free_buffer *buffer)
{
    if (rdl_sys_munmap(buffer, RDL_BUFFER_BYTES) == 0)
        return true;
    rdl_lock_acquire(&lock);
    put_first(buffer);
    rdl_lock_release(&lock);
    return false;
}

void rdl_buffer_put(char *buffer)
{
    struct free_buffer *given = (struct free_buffer *)(void *)buffer;
    bool needless;

    if (!given)
        return;
    rdl_lock_acquire(&lock);
    needless = surplus && count >= KEPT;
    if (needless)
        count_surplus();
    else
        put_first(given);
    rdl_lock_release(&lock);
    if (needless)
        (void)give_back(given);
}

void rdl_buffers_shed(void)
{
    struct free_buffer *shed;

    for (int i = 0; i < SHED_AT_ONCE; i++) {
        rdl_lock_acquire(&lock);
        shed = count > KEPT ? take_first() : NULL;
        if (shed)
            count_surplus();
        rdl_lock_release(&lock);
        if (!shed || !give_back(shed))
            return;
    }
}

void rdl_buffers_trim(void)
{
    struct free_buffer *list;

    rdl_lock_acquire(&lock);
    list = first;
    first = NULL;
    count = least = surplus = 0;
    rdl_lock_release(&lock);
    while (list) {
        struct free_buffer *next = list->next;
        (void)rdl_sys_munmap(list, RDL_BUFFER_BYTES);
        list = next;
    }
}
