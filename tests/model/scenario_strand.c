/*
 * tests/model/scenario_strand.c - the turn of a strand goes from fiber to fiber on two loops: never to two at once,
 * and to each that wants it, whoever wakes it and wherever it goes.
 *
 * Whole loops. What the fibers do with their turn is plain, so that a turn that isn't handed on properly is a race.
 */
#include "sched/strand.h"

#include <raddle/task.h>

#include "sched/loop.h"
#include "sched/sys.h"
#include "tests/model/host.h"
#include "tests/model/model.h"

enum { LOOPS = 2, FIBERS = 3 };

static struct rdl_loop loops[LOOPS];
static struct rdl_loop *loop_list[LOOPS];
static struct rdl_sleeper *sleepers[LOOPS];
static struct rdl_team team;
static struct rdl_strand *strand;
static bool kept; /* a reference to it, by the scenario */
static struct rdl_fiber *fibers[FIBERS];
static unsigned fiber_count, ended;
static unsigned inside, turns, wanted; /* plain: of the strand, but wanted */
static struct rdl_ticket ticket;
static rdl_atomic(uint32_t) published;

static void run_loop(void *arg)
{
    model_check(rdl_loop_run(arg) == 0);
}

static void begin(void)
{
    static const char *const names[LOOPS] = {"loop 0", "loop 1"};

    host_begin();
    fiber_count = ended = inside = turns = wanted = 0;
    rdl_atomic_init(&published, 0u);
    strand = rdl_sys_malloc(sizeof(*strand));
    rdl_strand_init(strand);
    kept = true;
    rdl_team_init(&team, loop_list, sleepers, LOOPS);
    for (unsigned i = 0; i < LOOPS; i++) {
        loop_list[i] = &loops[i];
        sleepers[i] = &loops[i].sleeper;
        rdl_loop_init(&loops[i], host_driver(i), &team, i);
        model_spawn(names[i], run_loop, &loops[i]);
    }
}

static void end(void)
{
    model_check(ended == fiber_count);
    model_check(turns == wanted && inside == 0);
    if (kept) {
        model_check(!strand->taken && !strand->first);
        rdl_strand_unref(strand);
    }
    for (unsigned i = 0; i < LOOPS; i++) {
        model_check(!rdl_loop_busy(&loops[i]));
        model_check(rdl_inbox_empty(&loops[i].inbox));
    }
    host_end();
}

static void start(void (*main)(struct rdl_fiber *), unsigned mobility, unsigned on, unsigned count)
{
    static const char *const names[FIBERS] = {"fiber 0", "fiber 1", "fiber 2"};
    struct rdl_stack_cache *none = NULL;
    struct rdl_fiber **fiber = &fibers[fiber_count];

    model_check(rdl_fiber_create(none, sizeof **fiber, sizeof **fiber, 0, main, fiber) == 0);
    (*fiber)->mobility = (uint8_t)mobility;
    (*fiber)->home = &loops[on];
    (*fiber)->strand = rdl_strand_ref(strand);
    model_name(*fiber, names[fiber_count++]);
    wanted += count;
    model_check(rdl_loop_post(&loops[on], &(*fiber)->run));
}

static void take_turn(void)
{
    model_check(inside == 0);
    inside = 1;
    turns++;
    inside = 0;
}

static void finish(void)
{
    take_turn();
    if (model_count(&ended) == fiber_count)
        for (unsigned i = 0; i < LOOPS; i++)
            rdl_loop_stop(&loops[i]);
}

/* Gives way once. */
static void yields(struct rdl_fiber *self)
{
    take_turn();
    rdl_fiber_yield(self);
    finish();
}

static void begin_turns(void)
{
    begin();
    start(yields, RADDLE_PINNED, 0, 2);
    start(yields, RADDLE_FRESH, 1, 2);
    start(yields, RADDLE_MIGRATABLE, 0, 2);
}

/* Waits for a stranger, who may fire while it is still on its way to sleep, or while another has the turn. */
static void sleeps(struct rdl_fiber *self)
{
    take_turn();
    ticket = rdl_fiber_arm(self, RDL_PARK_CANCELLABLE);
    rdl_atomic_store_release(&published, 1u);
    model_check(rdl_fiber_park(self, RDL_PARK_CANCELLABLE, "a stranger", 0) == 7);
    finish();
}

static void stranger(void *arg)
{
    (void)arg;
    while (!rdl_atomic_load_acquire(&published))
        model_yield();
    model_check(rdl_fiber_fire(ticket, 7));
}

static void begin_woken(unsigned mobility)
{
    begin();
    start(sleeps, mobility, 0, 2);
    start(yields, RADDLE_PINNED, 1, 2);
    model_spawn("stranger", stranger, NULL);
}

static void begin_woken_home(void)
{
    begin_woken(RADDLE_PINNED);
}

static void begin_woken_anywhere(void)
{
    begin_woken(RADDLE_MIGRATABLE);
}

static void moves(struct rdl_fiber *self)
{
    take_turn();
    model_check(rdl_fiber_move(self, &loops[1]) == 0 && rdl_loop_current() == &loops[1]);
    finish();
}

static void begin_moves(void)
{
    begin();
    start(moves, RADDLE_FRESH, 0, 2);
    start(yields, RADDLE_PINNED, 1, 2);
}

/* The one that ends last frees it, after all that the others did with it. */
static void begin_last_reference(void)
{
    begin();
    start(yields, RADDLE_PINNED, 0, 2);
    start(yields, RADDLE_PINNED, 1, 2);
    kept = false;
    rdl_strand_unref(strand);
}

const char *const model_unwatched_names[] = {"counter", "waiting_", NULL};
const char model_scenario_name[] = "strand";
const struct model_case model_cases[] = {
    {"turns", begin_turns, end},
    {"woken_home", begin_woken_home, end},
    {"woken_anywhere", begin_woken_anywhere, end},
    {"moves", begin_moves, end},
    {"last_reference", begin_last_reference, end},
    {0},
};
