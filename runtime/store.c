/*
 * runtime/store.c - a ring that is read at its old or its new end, or a binary heap.
 *
 * An entry of the heap is an item and the number it got when it was put, which decides between equal items:
 * a heap alone would hand them out in any order. The last slot of the memory is spare: the item that is on
 * its way through the heap, or out to be dropped.
 */
#define _GNU_SOURCE
#include "runtime/store.h"

#include <errno.h>

#include "sched/sys.h"

enum { ALIGNMENT = 16, FIRST_SLOTS = 16 };

static size_t number_offset(const struct rdl_store *store)
{
    return (store->item_bytes + 7) & ~(size_t)7;
}

static char *slot(const struct rdl_store *store, size_t index)
{
    return store->memory + index * store->stride;
}

static uint64_t number_of(const struct rdl_store *store, const char *entry)
{
    uint64_t number;

    memcpy(&number, entry + number_offset(store), sizeof(number));
    return number;
}

static char *memory_for(const struct rdl_store *store, size_t slots)
{
    return slots >= SIZE_MAX / store->stride - 1 ? NULL
                                                 : rdl_sys_malloc((slots + 1) * store->stride);
}

int rdl_store_init(struct rdl_store *store, size_t item_bytes, size_t slots,
                   enum raddle_chan_order order, raddle_compare_fn *compare)
{
    *store = (struct rdl_store){.order = order, .item_bytes = item_bytes, .compare = compare};
    if (item_bytes > SIZE_MAX / 4)
        return -ENOMEM;
    store->stride = item_bytes ? item_bytes : 1;
    if (order == RADDLE_CHAN_PRIORITY)
        store->stride =
            (number_offset(store) + sizeof(uint64_t) + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    if (slots) {
        store->memory = memory_for(store, slots);
        if (!store->memory)
            return -ENOMEM;
    }
    store->slots = slots;
    return 0;
}

void rdl_store_fini(struct rdl_store *store)
{
    rdl_sys_free(store->memory);
    store->memory = NULL;
}

char *rdl_store_room(const struct rdl_store *store, size_t slots, size_t *new_slots)
{
    if (slots > SIZE_MAX / 2)
        return NULL;
    *new_slots = slots ? slots * 2 : FIRST_SLOTS;
    return memory_for(store, *new_slots);
}

char *rdl_store_grow(struct rdl_store *store, char *memory, size_t slots)
{
    char *old = store->memory;
    size_t to_end = store->slots - store->head;

    if (slots <= store->slots)
        return memory;
    if (to_end > store->count)
        to_end = store->count;
    if (store->count) {
        memcpy(memory, slot(store, store->head), to_end * store->stride);
        memcpy(memory + to_end * store->stride, old, (store->count - to_end) * store->stride);
    }
    store->memory = memory;
    store->slots = slots;
    store->head = 0;
    return old;
}

/* The index of the one that is so many after the oldest. */
static size_t after(const struct rdl_store *store, size_t index)
{
    index += store->head;
    return index >= store->slots ? index - store->slots : index;
}

/* The heap. */

static bool goes_first(const struct rdl_store *store, const char *a, const char *b)
{
    int order = store->compare(a, b);

    return order < 0 || (order == 0 && number_of(store, a) < number_of(store, b));
}

static void heap_push(struct rdl_store *store, const void *item)
{
    char *entry = slot(store, store->slots);
    size_t hole = store->count++;

    rdl_store_copy(store, entry, item);
    memcpy(entry + number_offset(store), &store->next_number, sizeof(store->next_number));
    store->next_number++;
    while (hole && goes_first(store, entry, slot(store, (hole - 1) / 2))) {
        memcpy(slot(store, hole), slot(store, (hole - 1) / 2), store->stride);
        hole = (hole - 1) / 2;
    }
    memcpy(slot(store, hole), entry, store->stride);
}

static void heap_pop(struct rdl_store *store, void *item)
{
    const char *last = slot(store, --store->count);
    size_t hole = 0, child;

    rdl_store_copy(store, item, slot(store, 0));
    while ((child = 2 * hole + 1) < store->count) {
        if (child + 1 < store->count &&
            goes_first(store, slot(store, child + 1), slot(store, child)))
            child++;
        if (!goes_first(store, slot(store, child), last))
            break;
        memcpy(slot(store, hole), slot(store, child), store->stride);
        hole = child;
    }
    if (hole != store->count)
        memcpy(slot(store, hole), last, store->stride);
}

/* All. */

void rdl_store_push(struct rdl_store *store, const void *item)
{
    if (store->order == RADDLE_CHAN_PRIORITY)
        heap_push(store, item);
    else
        rdl_store_copy(store, slot(store, after(store, store->count++)), item);
}

void rdl_store_pop(struct rdl_store *store, void *item)
{
    if (store->order == RADDLE_CHAN_PRIORITY) {
        heap_pop(store, item);
    } else if (store->order == RADDLE_CHAN_LIFO) {
        rdl_store_copy(store, item, slot(store, after(store, --store->count)));
    } else {
        rdl_store_copy(store, item, slot(store, store->head));
        store->head = after(store, 1);
        store->count--;
    }
}

void rdl_store_empty(struct rdl_store *store, struct rdl_store *out)
{
    *out = *store;
    store->memory = NULL;
    store->slots = store->count = store->head = 0;
}

size_t rdl_store_drop(struct rdl_store *store, raddle_drop_fn *drop, void *arg)
{
    size_t count = store->count;

    while (drop && store->count) {
        char *spare = slot(store, store->slots);
        rdl_store_pop(store, spare);
        drop(spare, arg);
    }
    rdl_store_fini(store);
    return count;
}
