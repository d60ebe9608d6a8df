/*
 * tests/model/scenario_inbox.c - threads that push into a loop's inbox while the loop empties and closes it.
 */
#include "sched/inbox.h"

#include "tests/model/model.h"

enum { PUSHERS = 2, EACH = 2, ITEMS = PUSHERS * EACH };

struct item {
    struct rdl_runnable runnable; /* first */
    unsigned payload;
    bool accepted; /* by the push, as its caller was told */
    unsigned got;
};

static struct rdl_inbox inbox;
static struct item items[ITEMS];
static rdl_atomic(uint32_t) sleeping, awake;

/* Takes everything, checks it, returns how many. */
static unsigned take(void)
{
    unsigned count = 0, last[PUSHERS] = {0};

    for (struct rdl_runnable *r = rdl_inbox_take_all(&inbox), *after; r; r = after) {
        struct item *got = (struct item *)r;
        unsigned i = (unsigned)(got - items);

        after = r->next;
        model_check(got->payload == i + 100);
        got->payload = 0;
        model_check(model_count(&got->got) == 1);
        model_check(i + 1 > last[i / EACH]);
        last[i / EACH] = i + 1;
        count++;
    }
    return count;
}

static void begin(void)
{
    static const char *const names[ITEMS] = {"item 0", "item 1", "item 2", "item 3"};

    rdl_inbox_init(&inbox);
    rdl_atomic_init(&sleeping, 0u);
    rdl_atomic_init(&awake, 0u);
    for (unsigned i = 0; i < ITEMS; i++) {
        items[i] = (struct item){0};
        model_name(&items[i], names[i]);
    }
}

static void end(void)
{
    model_check(rdl_inbox_empty(&inbox));
    for (unsigned i = 0; i < ITEMS; i++)
        model_check(items[i].got == items[i].accepted);
}

static bool push(unsigned i)
{
    items[i].payload = i + 100;
    if (!rdl_inbox_push(&inbox, &items[i].runnable)) {
        /* Still ours, so we may write to it. */
        items[i].payload = 0;
        return false;
    }
    return true;
}

static void pusher(void *arg)
{
    unsigned base = *(const unsigned *)arg;
    bool open = true;

    for (unsigned i = base; i < base + EACH; i++) {
        bool accepted = push(i);

        model_check(open || !accepted);
        open = accepted;
        if (accepted)
            items[i].accepted = true;
    }
}

static void closing_owner(void *arg)
{
    (void)arg;
    (void)take();
    while (!rdl_inbox_close(&inbox))
        (void)take();
    model_check(rdl_inbox_close(&inbox));
    model_check(take() == 0);
}

static unsigned bases[PUSHERS] = {0, EACH};

static void begin_close(void)
{
    begin();
    model_spawn("owner", closing_owner, NULL);
    model_spawn("pusher 1", pusher, &bases[0]);
    model_spawn("pusher 2", pusher, &bases[1]);
}

/* The owner sleeps when there is nothing, and is woken only if it sleeps. */
static void sleeping_owner(void *arg)
{
    unsigned got = 0;

    (void)arg;
    while (got < ITEMS) {
        unsigned n = take();

        got += n;
        if (n)
            continue;
        rdl_atomic_store_relaxed(&sleeping, 1u);
        rdl_atomic_fence_seq_cst();
        if (rdl_inbox_empty(&inbox)) {
            model_sleep_while(&awake, 0);
            (void)rdl_atomic_exchange_acq_rel(&awake, 0u);
        }
        rdl_atomic_store_relaxed(&sleeping, 0u);
    }
}

static void waking_pusher(void *arg)
{
    unsigned base = *(const unsigned *)arg;

    for (unsigned i = base; i < base + EACH; i++) {
        model_check(push(i));
        items[i].accepted = true;
        rdl_atomic_fence_seq_cst();
        if (rdl_atomic_load_relaxed(&sleeping))
            (void)rdl_atomic_exchange_acq_rel(&awake, 1u);
    }
}

static void begin_sleep(void)
{
    begin();
    model_spawn("owner", sleeping_owner, NULL);
    model_spawn("pusher 1", waking_pusher, &bases[0]);
    model_spawn("pusher 2", waking_pusher, &bases[1]);
}

const char *const model_unwatched_names[] = {NULL};
const char model_scenario_name[] = "inbox";
const struct model_case model_cases[] = {
    {"close", begin_close, end},
    {"sleep", begin_sleep, end},
    {0},
};
