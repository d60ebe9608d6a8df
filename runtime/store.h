/*
 * runtime/store.h - what is in a channel: items of one size, in one of three orders.
 *
 * No locks: whoever has the channel's. Memory is only made by rdl_store_init() and rdl_store_room(), which
 * are called without it.
 */
#ifndef RDL_RUNTIME_STORE_H
#define RDL_RUNTIME_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <raddle/channel.h>

struct rdl_store {
    enum raddle_chan_order order;
    size_t item_bytes;
    size_t stride; /* from one item to the next */
    size_t slots;  /* for which there is memory */
    size_t count;
    size_t head;          /* of a ring: the oldest */
    uint64_t next_number; /* of a heap: what is put next */
    raddle_compare_fn *compare;
    char *memory;
};

/* Items are mostly pointers and numbers. */
static inline void rdl_store_copy(const struct rdl_store *store, void *to, const void *from)
{
    if (store->item_bytes == 8)
        memcpy(to, from, 8);
    else if (store->item_bytes)
        memcpy(to, from, store->item_bytes);
}

/* With memory for so many. -ENOMEM. */
int rdl_store_init(struct rdl_store *store, size_t item_bytes, size_t slots,
                   enum raddle_chan_order order, raddle_compare_fn *compare);
void rdl_store_fini(struct rdl_store *store);

/* Memory for more than slots items, to be given to rdl_store_grow(). NULL: there is none. */
char *rdl_store_room(const struct rdl_store *store, size_t slots, size_t *new_slots);
/* Moves into memory, and returns what it has left; memory itself, if it isn't larger. */
char *rdl_store_grow(struct rdl_store *store, char *memory, size_t slots);

/* There is room. */
void rdl_store_push(struct rdl_store *store, const void *item);
/* There is an item. */
void rdl_store_pop(struct rdl_store *store, void *item);

/* Takes all out into *out, which is then somebody's own; store is empty and without memory. */
void rdl_store_empty(struct rdl_store *store, struct rdl_store *out);
/* Calls drop for each in the order in which they would have left, then frees the memory. */
size_t rdl_store_drop(struct rdl_store *store, raddle_drop_fn *drop, void *arg);

#endif
