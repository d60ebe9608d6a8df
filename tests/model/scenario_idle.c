/*
 * tests/model/scenario_idle.c - makers of work and loops that search, sleep and are called: no work is left while a
 * loop sleeps, and nobody stays counted.
 *
 * sched/idle.c alone. A loop is its protocol without anything else: work is one word for each piece, to which nobody
 * but the taker comes; so there are few steps, and many more schedules than with whole loops.
 */
#include "sched/idle.h"

#include "tests/model/model.h"

enum { LOOPS = 3, PIECES = 3 };

static struct rdl_idle idle;
static struct rdl_sleeper sleeper[LOOPS];
static struct rdl_sleeper *sleepers[LOOPS];
static rdl_atomic(uint32_t) woken[LOOPS];
static rdl_atomic(uint32_t) work[PIECES];
static rdl_atomic(uint32_t) stop;
static unsigned taken, pieces, loops;

static void wake(unsigned i)
{
    (void)rdl_atomic_exchange_relaxed(&woken[i], 1u);
}

static void call(void)
{
    int which = rdl_idle_call(&idle);

    if (which >= 0)
        wake((unsigned)which);
}

static bool is_work(void)
{
    for (unsigned i = 0; i < pieces; i++)
        if (rdl_atomic_load_relaxed(&work[i]))
            return true;
    return false;
}

/* Takes a piece, if it sees one; the last one stops all. */
static bool take(void)
{
    for (unsigned i = 0; i < pieces; i++) {
        uint32_t one = 1;

        if (!rdl_atomic_load_relaxed(&work[i]) || !rdl_atomic_cas_relaxed(&work[i], &one, 0u))
            continue;
        if (model_count(&taken) == pieces) {
            rdl_atomic_store_relaxed(&stop, 1u);
            for (unsigned l = 0; l < loops; l++)
                if (rdl_idle_claim(&sleeper[l]))
                    wake(l);
        }
        return true;
    }
    return false;
}

/* As rdl_team_search() in sched/team.c. */
static bool search(bool counted)
{
    bool found;

    if (!counted && !rdl_idle_begin_search(&idle))
        return false;
    found = take();
    if (rdl_idle_end_search(&idle) && (found || is_work()))
        call();
    return found;
}

/* As sched/rest.c. */
static void loop(void *arg)
{
    unsigned i = (unsigned)((struct rdl_sleeper *)arg - sleeper);

    while (!rdl_atomic_load_relaxed(&stop)) {
        if (take() || search(false))
            continue;
        rdl_idle_sleep(&idle, arg);
        if (!is_work() && !rdl_atomic_load_relaxed(&stop))
            model_sleep_while(&woken[i], 0);
        (void)rdl_atomic_exchange_relaxed(&woken[i], 0u);
        if (rdl_idle_awake(&idle, arg) == RDL_CALLED)
            (void)search(true);
    }
}

/* A loop that searches and then has something to do that takes long: it is for others to take what there is. */
static void holder(void *arg)
{
    (void)arg;
    if (!search(false))
        model_sleep_while(&stop, 0);
}

/* Makes a piece, or two. */
static void maker(void *arg)
{
    unsigned first = *(const unsigned *)arg;

    for (unsigned i = first; i < pieces; i += 2) {
        rdl_atomic_store_relaxed(&work[i], 1u);
        call();
    }
}

static void begin(unsigned loop_count, unsigned piece_count, unsigned makers)
{
    static const char *const names[] = {"loop 0", "loop 1", "loop 2", "maker 0", "maker 1"};
    static const unsigned numbers[] = {0, 1};

    loops = loop_count;
    pieces = piece_count;
    taken = 0;
    rdl_atomic_init(&stop, 0u);
    for (unsigned i = 0; i < PIECES; i++)
        rdl_atomic_init(&work[i], 0u);
    for (unsigned i = 0; i < loops; i++) {
        rdl_atomic_init(&sleeper[i].state, (uint32_t)RDL_AWAKE);
        rdl_atomic_init(&woken[i], 0u);
        sleepers[i] = &sleeper[i];
        model_spawn(names[i], loop, &sleeper[i]);
    }
    rdl_idle_init(&idle, sleepers, loops);
    for (unsigned i = 0; i < makers; i++)
        model_spawn(names[LOOPS + i], maker, (void *)(uintptr_t)&numbers[i]);
}

static void end(void)
{
    model_check(taken == pieces);
    model_check(rdl_atomic_load_relaxed(&idle.searching) == 0);
    model_check(rdl_atomic_load_relaxed(&idle.sleeping) == 0);
}

static void begin_one(void)
{
    begin(1, 1, 1);
}

static void begin_one_two(void)
{
    begin(1, 2, 2);
}

static void begin_two(void)
{
    begin(2, 2, 2);
}

static void begin_two_three(void)
{
    begin(2, 3, 2);
}

static void begin_three(void)
{
    begin(3, 3, 2);
}

static void begin_held(void)
{
    begin(1, 1, 1);
    model_spawn("holder", holder, NULL);
}

const char *const model_unwatched_names[] = {NULL};
const char model_scenario_name[] = "idle";
const struct model_case model_cases[] = {
    {"one", begin_one, end},
    {"one_two", begin_one_two, end},
    {"two", begin_two, end},
    {"two_three", begin_two_three, end},
    {"three", begin_three, end},
    {"held", begin_held, end},
    {0},
};
