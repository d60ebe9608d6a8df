/*
 * tests/model/scenario_deque.c - an owner and its thieves: nothing lost, nothing twice, contents seen.
 */
#include "sched/deque.h"

#include "tests/model/model.h"

enum { ITEMS = 8 };

struct item {
    struct rdl_runnable runnable; /* first */
    unsigned payload;             /* plain: whoever gets the item must see it */
    unsigned got;
};

static struct rdl_deque ring, thief_ring;
static struct item items[ITEMS];
static unsigned pushed;

static const char *const names[ITEMS] = {"item 0", "item 1", "item 2", "item 3",
                                         "item 4", "item 5", "item 6", "item 7"};

static void got(struct rdl_runnable *r)
{
    struct item *item = (struct item *)r;

    if (!r)
        return;
    model_check(item->payload == (unsigned)(item - items) + 100);
    item->payload = 0;
    r->next = NULL; /* as the next queue would */
    if (model_count(&item->got) > 1)
        model_fail("taken twice");
}

static void got_list(struct rdl_runnable *r)
{
    while (r) {
        struct rdl_runnable *next = r->next;

        got(r);
        r = next;
    }
}

static bool push(void)
{
    items[pushed].payload = pushed + 100;
    if (!rdl_deque_push(&ring, &items[pushed].runnable))
        return false;
    pushed++;
    return true;
}

static void begin(void)
{
    rdl_deque_init(&ring);
    rdl_deque_init(&thief_ring);
    pushed = 0;
    for (int i = 0; i < ITEMS; i++) {
        items[i] = (struct item){0};
        model_name(&items[i], names[i]);
    }
}

/* What is left in the rings is what nobody got. */
static void end(void)
{
    got_list(rdl_deque_steal(&ring) ? (model_fail("the owner left something"), NULL) : NULL);
    for (struct rdl_runnable *r; (r = rdl_deque_take(&thief_ring));)
        got(r);
    for (unsigned i = 0; i < pushed; i++)
        if (items[i].got != 1)
            model_fail("lost: %s", names[i]);
}

static void take_all(void)
{
    for (struct rdl_runnable *r; (r = rdl_deque_take(&ring));)
        got(r);
}

/* The owner pushes three and takes between and after; two thieves steal twice. */
static void owner(void *arg)
{
    (void)arg;
    model_check(push());
    got(rdl_deque_take(&ring));
    model_check(push());
    model_check(push());
    take_all();
}

static void thief(void *arg)
{
    (void)arg;
    got(rdl_deque_steal(&ring));
    got(rdl_deque_steal(&ring));
}

static void begin_steal(void)
{
    begin();
    model_spawn("owner", owner, NULL);
    model_spawn("thief 1", thief, NULL);
    model_spawn("thief 2", thief, NULL);
}

/* The ring wraps while a thief is at it: slots are used again. */
static void wrapping_owner(void *arg)
{
    (void)arg;
    for (int i = 0; i < ITEMS; i++)
        if (!push())
            got(rdl_deque_take(&ring));
    take_all();
}

static void begin_wrap(void)
{
    begin();
    model_spawn("owner", wrapping_owner, NULL);
    model_spawn("thief 1", thief, NULL);
    model_spawn("thief 2", thief, NULL);
}

/* Nothing is overlooked: the owner takes half out while others steal. */
static void overflowing_owner(void *arg)
{
    struct rdl_runnable *list;

    (void)arg;
    for (int i = 0; i < ITEMS - 2; i++) {
        if (push())
            continue;
        if (rdl_deque_take_half(&ring, &list))
            got_list(list);
    }
    got(rdl_deque_take(&ring));
    if (rdl_deque_take_half(&ring, &list))
        got_list(list);
    take_all();
}

static void begin_take_half(void)
{
    begin();
    model_spawn("owner", overflowing_owner, NULL);
    model_spawn("thief 1", thief, NULL);
    model_spawn("thief 2", thief, NULL);
}

/* A thief takes half into its own ring, and another steals from there. */
static void half_owner(void *arg)
{
    (void)arg;
    model_check(push());
    model_check(push());
    model_check(push());
    got(rdl_deque_take(&ring));
    (void)push();
    take_all();
}

static void half_thief(void *arg)
{
    struct rdl_runnable *first;

    (void)arg;
    for (int i = 0; i < 2; i++)
        if (rdl_deque_steal_half(&ring, &thief_ring, &first))
            got(first);
    got(rdl_deque_take(&thief_ring));
}

static void thief_of_both(void *arg)
{
    (void)arg;
    got(rdl_deque_steal(&thief_ring));
    got(rdl_deque_steal(&ring));
}

static void begin_steal_half(void)
{
    begin();
    model_spawn("owner", half_owner, NULL);
    model_spawn("thief 1", half_thief, NULL);
    model_spawn("thief 2", thief_of_both, NULL);
}

const char *const model_unwatched_names[] = {NULL};
const char model_scenario_name[] = "deque";
const struct model_case model_cases[] = {
    {"steal", begin_steal, end},
    {"wrap", begin_wrap, end},
    {"take_half", begin_take_half, end},
    {"steal_half", begin_steal_half, end},
    {0},
};
