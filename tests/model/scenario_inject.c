/*
 * tests/model/scenario_inject.c - threads that push to the shared queue and loops that take from it.
 */
#include "sched/inject.h"

#include "tests/model/model.h"

enum { ITEMS = 4 };

struct item {
    struct rdl_runnable runnable; /* first */
    unsigned payload;
    unsigned got;
};

static struct rdl_inject queue;
static struct item items[ITEMS];
static rdl_atomic(uint32_t) sleeping, awake;
static unsigned taken;

static struct rdl_runnable *item(unsigned i)
{
    items[i].payload = i + 100;
    return &items[i].runnable;
}

/* Takes up to max, checks them, returns how many. */
static unsigned take(unsigned max)
{
    unsigned count, seen = 0, last = 0;

    for (struct rdl_runnable *r = rdl_inject_take(&queue, max, &count), *after; r; r = after) {
        struct item *got = (struct item *)r;
        unsigned i = (unsigned)(got - items);

        after = r->next;
        model_check(got->payload == i + 100);
        got->payload = 0;
        model_check(model_count(&got->got) == 1);
        /* 0 and 1 are pushed apart, 2 and 3 together: in that order. */
        if (seen > 0 && i / 2 == last / 2)
            model_check(i > last);
        last = i;
        seen++;
        (void)model_count(&taken);
    }
    model_check(seen == count && count <= max);
    return count;
}

static void begin(void)
{
    static const char *const names[ITEMS] = {"item 0", "item 1", "item 2", "item 3"};

    rdl_inject_init(&queue);
    rdl_atomic_init(&sleeping, 0u);
    rdl_atomic_init(&awake, 0u);
    taken = 0;
    for (unsigned i = 0; i < ITEMS; i++) {
        items[i] = (struct item){0};
        model_name(&items[i], names[i]);
    }
}

static void end(void)
{
    unsigned left = rdl_inject_count(&queue);

    model_check(take(ITEMS) == left);
    model_check(taken == ITEMS);
}

static void push_two(void *arg)
{
    (void)arg;
    rdl_inject_push(&queue, item(0));
    rdl_inject_push(&queue, item(1));
}

static void push_list(void *arg)
{
    struct rdl_runnable *first = item(2), *last = item(3);

    (void)arg;
    first->next = last;
    rdl_inject_push_list(&queue, first, last, 2);
}

static void take_some(void *arg)
{
    (void)arg;
    (void)take(1);
    (void)take(2);
}

static void begin_push_take(void)
{
    begin();
    model_spawn("pusher", push_two, NULL);
    model_spawn("list pusher", push_list, NULL);
    model_spawn("taker 1", take_some, NULL);
    model_spawn("taker 2", take_some, NULL);
}

/* The empty check is no lock and still nobody sleeps over an item. */
static void sleep_when_empty(void *arg)
{
    unsigned got = 0;

    (void)arg;
    while (got < ITEMS) {
        unsigned n = take(ITEMS);

        got += n;
        if (n)
            continue;
        rdl_atomic_store_relaxed(&sleeping, 1u);
        rdl_atomic_fence_seq_cst();
        if (rdl_inject_count(&queue) == 0) {
            model_sleep_while(&awake, 0);
            (void)rdl_atomic_exchange_acq_rel(&awake, 0u);
        }
        rdl_atomic_store_relaxed(&sleeping, 0u);
    }
}

static void wake_if_sleeping(void)
{
    rdl_atomic_fence_seq_cst();
    if (rdl_atomic_load_relaxed(&sleeping))
        (void)rdl_atomic_exchange_acq_rel(&awake, 1u);
}

static void push_two_waking(void *arg)
{
    (void)arg;
    rdl_inject_push(&queue, item(0));
    wake_if_sleeping();
    rdl_inject_push(&queue, item(1));
    wake_if_sleeping();
}

static void push_list_waking(void *arg)
{
    push_list(arg);
    wake_if_sleeping();
}

static void begin_sleep(void)
{
    begin();
    model_spawn("loop", sleep_when_empty, NULL);
    model_spawn("pusher", push_two_waking, NULL);
    model_spawn("list pusher", push_list_waking, NULL);
}

const char *const model_unwatched_names[] = {NULL};
const char model_scenario_name[] = "inject";
const struct model_case model_cases[] = {
    {"push_take", begin_push_take, end},
    {"sleep", begin_sleep, end},
    {0},
};
