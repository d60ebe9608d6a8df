/*
 * runtime/map.c - changing and counting maps of context variables.
 *
 * A node with one reference belongs to who has that, if all nodes above it do: it may be changed in place. Others can
 * only give their references back meanwhile, never take one, as they have none to copy. What they read before they
 * gave theirs back comes before the change: the decrement releases, and the look at the count acquires.
 *
 * A change that fails half way has copied some nodes of the path, and made some empty ones: that says the same.
 * Empty nodes are not taken out, as what was set is likely to be set again.
 */
#include "runtime/map.h"

#include <errno.h>
#include <string.h>

#include "sched/sys.h"

struct rdl_binding *rdl_binding_create(void *value, void (*drop)(void *value))
{
    struct rdl_binding *binding = rdl_sys_malloc(sizeof(*binding));

    if (!binding)
        return NULL;
    rdl_atomic_init(&binding->references, 1u);
    binding->value = value;
    binding->drop = drop;
    return binding;
}

struct rdl_binding *rdl_binding_ref(struct rdl_binding *binding)
{
    if (binding)
        rdl_atomic_fetch_add_relaxed(&binding->references, 1u);
    return binding;
}

void rdl_binding_unref(struct rdl_binding *binding)
{
    /* acq_rel: what others did with the value comes before its drop. */
    if (!binding || rdl_atomic_fetch_sub_acq_rel(&binding->references, 1u) != 1)
        return;
    if (binding->drop)
        binding->drop(binding->value);
    rdl_sys_free(binding);
}

struct rdl_map *rdl_map_ref(struct rdl_map *map)
{
    if (map)
        rdl_atomic_fetch_add_relaxed(&map->references, 1u);
    return map;
}

void rdl_map_unref(struct rdl_map *map)
{
    /* acq_rel pairs with the acquire in own(). */
    if (!map || rdl_atomic_fetch_sub_acq_rel(&map->references, 1u) != 1)
        return;
    for (unsigned i = 0; i < RDL_MAP_SLOTS; i++) {
        if (map->shift)
            rdl_map_unref(map->slots[i]); /* at most eight deep */
        else
            rdl_binding_unref(map->slots[i]);
    }
    rdl_sys_free(map);
}

static struct rdl_map *make_node(uint32_t shift)
{
    struct rdl_map *node = rdl_sys_calloc(1, sizeof(*node));

    if (!node)
        return NULL;
    rdl_atomic_init(&node->references, 1u);
    node->shift = shift;
    return node;
}

/* Makes the node at *at, above which all is the caller's, the caller's too. */
static int own(struct rdl_map **at)
{
    struct rdl_map *node = *at, *copy;

    if (rdl_atomic_load_acquire(&node->references) == 1)
        return 0;
    copy = make_node(node->shift);
    if (!copy)
        return -ENOMEM;
    for (unsigned i = 0; i < RDL_MAP_SLOTS; i++) {
        copy->slots[i] = node->slots[i];
        if (node->shift)
            (void)rdl_map_ref(node->slots[i]);
        else
            (void)rdl_binding_ref(node->slots[i]);
    }
    *at = copy;
    rdl_map_unref(node);
    return 0;
}

/* Until number has a place in it. */
static int grow(struct rdl_map **map, uint32_t number)
{
    struct rdl_map *root;

    while (!*map || (number >> (*map)->shift) >= RDL_MAP_SLOTS) {
        root = make_node(*map ? (*map)->shift + RDL_MAP_BITS : 0);
        if (!root)
            return -ENOMEM;
        root->slots[0] = *map;
        *map = root;
    }
    return 0;
}

int rdl_map_put(struct rdl_map **map, uint32_t number, struct rdl_binding *binding,
                struct rdl_binding **old)
{
    struct rdl_map **at = map;
    void **slot;
    int rc;

    *old = NULL;
    if (!binding && !rdl_map_find(*map, number))
        return 0;
    rc = grow(map, number);
    while (rc == 0 && (rc = own(at)) == 0) {
        struct rdl_map *node = *at;

        slot = &node->slots[(number >> node->shift) % RDL_MAP_SLOTS];
        if (!node->shift) {
            *old = *slot;
            *slot = binding;
            return 0;
        }
        if (!*slot) {
            *slot = make_node(node->shift - RDL_MAP_BITS);
            if (!*slot)
                rc = -ENOMEM;
        }
        at = (struct rdl_map **)(void *)slot;
    }
    return rc;
}
