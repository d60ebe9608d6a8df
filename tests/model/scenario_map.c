/*
 * tests/model/scenario_map.c - a map of context variables that several threads have: the last reference frees it, and
 * who has the only one changes it in place, both after everything that the others did with it.
 */
#include "runtime/map.h"

#include <string.h>

#include "sched/sys.h"
#include "tests/model/model.h"

enum { BLOCKS = 12, BYTES = 192, FIRST = 3, SECOND = 17 /* on another level */ };

static struct rdl_map *map, *mine;              /* the readers', the changer's: a reference each */
static _Alignas(16) char blocks[BLOCKS][BYTES]; /* each is given once */
static unsigned given, freed;
static unsigned values[3],
    dropped; /* plain: values are read by who has the map, and written by the drop */

void *rdl_sys_malloc(size_t bytes)
{
    unsigned i = model_count(&given) - 1;

    model_check(i < BLOCKS && bytes <= BYTES);
    return blocks[i];
}

void *rdl_sys_calloc(size_t count, size_t bytes)
{
    return memset(rdl_sys_malloc(count * bytes), 0, count * bytes);
}

void rdl_sys_free(void *memory)
{
    (void)model_count(&freed);
    model_poison(memory, BYTES);
}

static void drop(void *value)
{
    *(unsigned *)value = 0;
    (void)model_count(&dropped);
}

static void put(struct rdl_map **to, uint32_t number, unsigned *value)
{
    struct rdl_binding *binding = rdl_binding_create(value, drop), *old;

    model_check(binding && rdl_map_put(to, number, binding, &old) == 0);
    rdl_binding_unref(old);
}

static unsigned read_value(const struct rdl_map *from, uint32_t number)
{
    const struct rdl_binding *binding = rdl_map_find(from, number);

    return binding ? *(unsigned *)binding->value : 0;
}

static void reader(void *arg)
{
    (void)arg;
    model_check(read_value(map, FIRST) == 1);
    model_check(read_value(map, SECOND) == 2);
    rdl_map_unref(map);
}

/* What it sets, the others don't see. */
static void changer(void *arg)
{
    (void)arg;
    put(&mine, FIRST, &values[2]);
    model_check(read_value(mine, FIRST) == 3);
    model_check(read_value(mine, SECOND) == 2);
    rdl_map_unref(mine);
}

static void begin(unsigned readers, unsigned changers)
{
    static const char *const names[] = {"reader 0", "reader 1"};

    given = freed = dropped = 0;
    map = NULL;
    for (unsigned i = 0; i < BLOCKS; i++)
        model_unpoison(blocks[i], BYTES);
    for (unsigned i = 0; i < 3; i++)
        values[i] = i + 1;
    put(&map, FIRST, &values[0]);
    put(&map, SECOND, &values[1]);
    mine = map;
    for (unsigned i = 1; i < readers + changers; i++)
        (void)rdl_map_ref(map);
    for (unsigned i = 0; i < readers; i++)
        model_spawn(names[i], reader, NULL);
    if (changers)
        model_spawn("changer", changer, NULL);
}

static void begin_unref(void)
{
    begin(2, 0);
}

static void begin_change(void)
{
    begin(1, 1);
}

static void begin_both(void)
{
    begin(2, 1);
}

static void end(void)
{
    model_check(given == freed);
    for (unsigned i = 0; i < 2; i++)
        model_check(values[i] == 0);
}

static void end_unref(void)
{
    end();
    model_check(dropped == 2);
}

static void end_change(void)
{
    end();
    model_check(dropped == 3);
}

const char *const model_unwatched_names[] = {NULL};
const char model_scenario_name[] = "map";
const struct model_case model_cases[] = {
    {"unref", begin_unref, end_unref},
    {"change", begin_change, end_change},
    {"both", begin_both, end_change},
    {0},
};
