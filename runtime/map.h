/*
 * runtime/map.h - what context variables are set to: a map that is copied by counting a reference.
 *
 * A tree of nodes with sixteen slots, by the four bits of a variable's number that are shift bits up. A node that is
 * reached in more than one way is never changed: who changes the map copies those on the path. So a map may be read
 * by any thread that has a reference to it, and changed by who has the only one.
 */
#ifndef RDL_RUNTIME_MAP_H
#define RDL_RUNTIME_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "sched/atomic.h"

enum { RDL_MAP_BITS = 4, RDL_MAP_SLOTS = 1 << RDL_MAP_BITS };

/* One value: counted, and dropped with the last reference. */
struct rdl_binding {
    rdl_atomic(uint32_t) references;
    void *value;
    void (*drop)(void *value); /* or NULL */
};

/* NULL is the empty map. */
struct rdl_map {
    rdl_atomic(uint32_t) references;
    uint32_t shift;             /* 0: the slots are bindings; else nodes with RDL_MAP_BITS less */
    void *slots[RDL_MAP_SLOTS]; /* or NULL */
};

/* The binding of this number, or NULL. */
static inline struct rdl_binding *rdl_map_find(const struct rdl_map *map, uint32_t number)
{
    const void *at = map;

    if (!map || (number >> map->shift) >= RDL_MAP_SLOTS)
        return NULL;
    for (uint32_t shift = map->shift; at; shift -= RDL_MAP_BITS) {
        at = ((const struct rdl_map *)at)->slots[(number >> shift) % RDL_MAP_SLOTS];
        if (!shift)
            break;
    }
    return (struct rdl_binding *)(uintptr_t)at;
}

/*
 * Puts binding (NULL: nothing) in the place of number. The map takes the caller's reference over, and gives the one
 * that it had in *old, or NULL. 0, or -ENOMEM: the map says what it said before.
 */
int rdl_map_put(struct rdl_map **map, uint32_t number, struct rdl_binding *binding,
                struct rdl_binding **old);

struct rdl_map *rdl_map_ref(struct rdl_map *map);
void rdl_map_unref(struct rdl_map *map);

/* With one reference. NULL: no memory, and value is the caller's. */
struct rdl_binding *rdl_binding_create(void *value, void (*drop)(void *value));
struct rdl_binding *rdl_binding_ref(struct rdl_binding *binding);
void rdl_binding_unref(struct rdl_binding *binding);

#endif
