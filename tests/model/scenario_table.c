/*
 * tests/model/scenario_table.c - threads that reach for the same descriptor's element for the first time, in a table
 * that isn't mapped there yet: all get the same one, ready for use, and what was mapped in vain is given back.
 */
#include "io/table.h"

#include <string.h>

#include "sched/lock.h"
#include "sched/sys.h"
#include "tests/model/model.h"

enum { REACHERS = 3, BYTES = 16, INDEX = 3 };

struct element {
    struct rdl_lock lock;
    unsigned reached; /* under lock */
};

static struct rdl_table table = {.element_bytes = BYTES};
static _Alignas(16) char chunks[REACHERS][RDL_TABLE_FIRST * BYTES];
static bool mapped[REACHERS];
static unsigned mappings;

/* A fresh mapping is zeroes, which its thread knows. */
int rdl_sys_mmap(size_t bytes, int protection, int flags, void **out)
{
    unsigned i = model_count(&mappings) - 1;

    (void)protection;
    (void)flags;
    model_check(bytes == sizeof chunks[i]);
    mapped[i] = true;
    memset(chunks[i], 0, sizeof chunks[i]);
    *out = chunks[i];
    return 0;
}

int rdl_sys_munmap(void *address, size_t bytes)
{
    size_t i = (size_t)((char *)address - chunks[0]) / sizeof chunks[0];

    model_check(mapped[i]);
    mapped[i] = false;
    model_poison(address, bytes);
    return 0;
}

static void reacher(void *arg)
{
    struct element *element;
    void *at;

    (void)arg;
    model_check(rdl_table_reach(&table, INDEX, &at) == 0);
    element = at;
    model_check(rdl_table_at(&table, INDEX) == at);
    rdl_lock_acquire(&element->lock);
    element->reached++;
    rdl_lock_release(&element->lock);
}

/* Only looks: whoever finds it there may use it. */
static void looker(void *arg)
{
    struct element *element = rdl_table_at(&table, INDEX);

    (void)arg;
    if (!element)
        return;
    rdl_lock_acquire(&element->lock);
    model_check(element->reached <= REACHERS);
    rdl_lock_release(&element->lock);
}

static void begin(void)
{
    static const char *const names[REACHERS] = {"reacher 0", "reacher 1", "reacher 2"};

    for (unsigned i = 0; i < RDL_TABLE_CHUNKS; i++)
        rdl_atomic_init(&table.chunks[i], NULL);
    for (unsigned i = 0; i < REACHERS; i++) {
        mapped[i] = false;
        model_unpoison(chunks[i], sizeof chunks[i]);
    }
    mappings = 0;
    for (unsigned i = 0; i < REACHERS; i++)
        model_spawn(names[i], reacher, NULL);
    model_spawn("looker", looker, NULL);
}

static void end(void)
{
    struct element *element = rdl_table_at(&table, INDEX);
    unsigned left = 0;

    model_check(element->reached == REACHERS);
    for (unsigned i = 0; i < REACHERS; i++)
        left += mapped[i];
    model_check(left == 1);
    rdl_table_fini(&table);
    for (unsigned i = 0; i < REACHERS; i++)
        model_check(!mapped[i]);
}

const char *const model_unwatched_names[] = {NULL};
const char model_scenario_name[] = "table";
const struct model_case model_cases[] = {
    {"reach", begin, end},
    {0},
};
