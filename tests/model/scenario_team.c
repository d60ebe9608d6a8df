/*
 * tests/model/scenario_team.c - loops that sleep, search, steal and are woken: no work is overlooked, nobody
 * sleeps over it, and a stop reaches everyone.
 *
 * Whole loops, with fibers on stacks of their own. To make a lost wake visible, a fiber blocks its loop until
 * another fiber has run, which then has to happen elsewhere.
 */
#include "sched/loop.h"

#include <raddle/error.h>
#include <raddle/task.h>

#include "tests/model/host.h"
#include "tests/model/model.h"

enum { LOOPS = 3, FIBERS = 3 };

static struct rdl_loop loops[LOOPS];
static struct rdl_loop *loop_list[LOOPS];
static struct rdl_sleeper *sleepers[LOOPS];
static struct rdl_team team;
static unsigned loop_count;

static struct rdl_fiber *fibers[FIBERS];
static rdl_atomic(uint32_t) ran[FIBERS];
static unsigned runs[FIBERS];
static struct rdl_runnable callbacks[2];
static unsigned called, ended;
static unsigned fiber_count;

static void stop_all(void)
{
    for (unsigned i = 0; i < loop_count; i++)
        rdl_loop_stop(&loops[i]);
}

static void run_loop(void *arg)
{
    model_check(rdl_loop_run(arg) == 0);
}

static void begin(unsigned count)
{
    static const char *const names[LOOPS] = {"loop 0", "loop 1", "loop 2"};

    host_begin();
    loop_count = count;
    called = ended = 0;
    rdl_team_init(&team, loop_list, sleepers, count);
    for (unsigned i = 0; i < FIBERS; i++) {
        rdl_atomic_init(&ran[i], 0u);
        runs[i] = 0;
    }
    for (unsigned i = 0; i < count; i++) {
        loop_list[i] = &loops[i];
        sleepers[i] = &loops[i].sleeper;
        rdl_loop_init(&loops[i], host_driver(i), count > 1 ? &team : NULL, i);
        model_spawn(names[i], run_loop, &loops[i]);
    }
}

static void end(void)
{
    for (unsigned i = 0; i < loop_count; i++) {
        model_check(!rdl_loop_busy(&loops[i]));
        model_check(rdl_inbox_empty(&loops[i].inbox));
    }
    model_check(!rdl_team_injected(&team));
    host_end();
}

static unsigned number_of(const struct rdl_fiber *fiber)
{
    for (unsigned i = 0; i < FIBERS; i++)
        if (fibers[i] == fiber)
            return i;
    model_fail("an unknown fiber");
}

static struct rdl_fiber *make(unsigned i, void (*main)(struct rdl_fiber *), unsigned mobility,
                              struct rdl_loop *home)
{
    static const char *const names[FIBERS] = {"fiber 0", "fiber 1", "fiber 2"};
    struct rdl_stack_cache *none = NULL;

    model_check(rdl_fiber_create(none, sizeof *fibers[i], sizeof *fibers[i], 0, main, &fibers[i]) ==
                0);
    fibers[i]->mobility = (uint8_t)mobility;
    fibers[i]->home = home;
    model_name(fibers[i], names[i]);
    return fibers[i];
}

static void note_run(unsigned i)
{
    model_check(model_count(&runs[i]) == 1);
    (void)rdl_atomic_exchange_acq_rel(&ran[i], 1u);
}

/* Blocks this loop until fiber i has run. */
static void await(unsigned i)
{
    model_sleep_while(&ran[i], 0);
}

/* Callbacks that a stranger posts reach a loop that may be at any point of going to sleep. */
static void callback(struct rdl_runnable *r)
{
    (void)r;
    if (model_count(&called) == 2)
        stop_all();
}

static void poster(void *arg)
{
    (void)arg;
    callbacks[0].call = callbacks[1].call = callback;
    model_check(rdl_loop_post(&loops[0], &callbacks[0]));
    model_check(rdl_loop_post(&loops[0], &callbacks[1]));
}

static void begin_post(void)
{
    begin(2);
    model_spawn("poster", poster, NULL);
}

static void begin_post_alone(void)
{
    begin(1);
    model_spawn("poster", poster, NULL);
}

/* A fiber starts another and needs the other loop to run it. */
static void started(struct rdl_fiber *self)
{
    (void)self;
    note_run(1);
}

static void starter(struct rdl_fiber *self)
{
    struct rdl_loop *loop = rdl_loop_current();

    note_run(0);
    rdl_loop_start(loop, make(1, started, RADDLE_FRESH, loop));
    model_check(self == rdl_fiber_self());
    await(1);
    stop_all();
}

static void begin_start(void)
{
    begin(2);
    model_check(rdl_loop_post(&loops[0], &make(0, starter, RADDLE_FRESH, &loops[0])->run));
}

/* The same while another loop is held, too, by what was posted to it: it may be just then that it searches, so that
 * the starter trusts it. The third one has to come. */
static void count_holder(void)
{
    await(1);
    if (model_count(&ended) == 2)
        stop_all();
}

static void holding_starter(struct rdl_fiber *self)
{
    struct rdl_loop *loop = rdl_loop_current();

    (void)self;
    note_run(0);
    rdl_loop_start(loop, make(1, started, RADDLE_FRESH, loop));
    count_holder();
}

static void holding_callback(struct rdl_runnable *r)
{
    (void)r;
    count_holder();
}

static void holding_poster(void *arg)
{
    (void)arg;
    callbacks[0].call = holding_callback;
    model_check(rdl_loop_post(&loops[1], &callbacks[0]));
}

static void begin_held(void)
{
    begin(3);
    model_check(rdl_loop_post(&loops[0], &make(0, holding_starter, RADDLE_FRESH, &loops[0])->run));
    model_spawn("poster", holding_poster, NULL);
}

/* What is posted comes to the loop's own queue between its last pick and its sleep, while the other loop is held. Nobody
 * spins: that would be a second look. */
static void posted_home(struct rdl_fiber *self)
{
    (void)self;
    note_run(1);
    stop_all();
}

static void awaits_posted(struct rdl_runnable *r)
{
    (void)r;
    await(1);
}

static void home_poster(void *arg)
{
    (void)arg;
    model_check(rdl_loop_post(&loops[0], &fibers[1]->run));
}

static void begin_posted(void)
{
    begin(2);
    for (unsigned i = 0; i < loop_count; i++)
        loops[i].spin.ns = 0;
    (void)make(1, posted_home, RADDLE_MIGRATABLE, &loops[0]);
    callbacks[0].call = awaits_posted;
    model_check(rdl_loop_post(&loops[1], &callbacks[0]));
    model_spawn("poster", home_poster, NULL);
}

/* Fibers come through the injector, and each blocks its loop until the next has run: every wake that was
 * elided because of a searcher has to be made up for. */
static void link_of_chain(struct rdl_fiber *self)
{
    unsigned i = number_of(self);

    note_run(i);
    if (i + 1 < loop_count)
        await(i + 1);
    if (model_count(&ended) == loop_count)
        stop_all();
}

static void injector(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < loop_count; i++)
        rdl_team_woken(&team, fibers[i]);
}

static void begin_chain(unsigned count)
{
    begin(count);
    for (unsigned i = 0; i < count; i++)
        (void)make(i, link_of_chain, RADDLE_FRESH, &loops[0]);
    model_spawn("injector", injector, NULL);
}

static void begin_chain_2(void)
{
    begin_chain(2);
}

static void begin_chain_3(void)
{
    begin_chain(3);
}

/* A migratable fiber parks, is woken by a stranger, and may go on elsewhere. */
static struct rdl_ticket ticket;
static rdl_atomic(uint32_t) published;

static void sleeper(struct rdl_fiber *self)
{
    note_run(number_of(self));
    ticket = rdl_fiber_arm(self, RDL_PARK_CANCELLABLE);
    rdl_atomic_store_release(&published, 1u);
    model_check(rdl_fiber_park(self, RDL_PARK_CANCELLABLE, "a stranger", 0) == 7);
    model_check(self == rdl_fiber_self());
    stop_all();
}

static void stranger(void *arg)
{
    (void)arg;
    while (!rdl_atomic_load_acquire(&published))
        model_yield();
    model_check(rdl_fiber_fire(ticket, 7));
}

static void begin_woken(void)
{
    begin(2);
    rdl_atomic_init(&published, 0u);
    model_check(rdl_loop_post(&loops[0], &make(0, sleeper, RADDLE_MIGRATABLE, &loops[0])->run));
    model_spawn("stranger", stranger, NULL);
}

/* As a fiber that stays at home. */
static void begin_woken_home(void)
{
    begin(2);
    rdl_atomic_init(&published, 0u);
    model_check(rdl_loop_post(&loops[1], &make(0, sleeper, RADDLE_FRESH, &loops[1])->run));
    model_spawn("stranger", stranger, NULL);
}

/* A stranger posts and stops, whatever the loops are about: what was posted before a stop is run before it. */
static void count_call(struct rdl_runnable *r)
{
    (void)r;
    (void)model_count(&called);
}

static void stopper(void *arg)
{
    (void)arg;
    callbacks[0].call = callbacks[1].call = count_call;
    for (unsigned i = 0; i < loop_count; i++) {
        model_check(rdl_loop_post(&loops[i], &callbacks[i]));
        rdl_loop_stop(&loops[i]);
    }
}

static void end_stopped(void)
{
    model_check(called == loop_count);
    end();
}

static void begin_stop(void)
{
    begin(2);
    model_spawn("stopper", stopper, NULL);
}

static void begin_stop_alone(void)
{
    begin(1);
    model_spawn("stopper", stopper, NULL);
}

/* The loop's end is its owner's at once: who stopped it has nothing to do with it any more. */
static void run_and_free(void *arg)
{
    run_loop(arg);
    rdl_loop_fini(arg);
    model_poison(arg, sizeof(struct rdl_loop));
}

static void only_stop(void *arg)
{
    (void)arg;
    rdl_loop_stop(&loops[0]);
}

static void begin_stop_free(void)
{
    host_begin();
    loop_count = 1;
    model_unpoison(&loops[0], sizeof loops[0]);
    rdl_loop_init(&loops[0], host_driver(0), NULL, 0);
    model_spawn("loop 0", run_and_free, &loops[0]);
    model_spawn("stopper", only_stop, NULL);
}

static void end_freed(void)
{
    model_unpoison(&loops[0], sizeof loops[0]);
    host_end();
}

/* A fiber goes to the other loop and back, while a stranger ends the wait in between. Whoever goes is at its
 * destination when it goes on. */
static void mover(struct rdl_fiber *self)
{
    note_run(number_of(self));
    model_check(rdl_fiber_move(self, &loops[1]) == 0 && rdl_loop_current() == &loops[1]);
    ticket = rdl_fiber_arm(self, RDL_PARK_CANCELLABLE);
    (void)rdl_atomic_exchange_acq_rel(&published, 1u);
    model_check(rdl_fiber_park(self, RDL_PARK_CANCELLABLE, "a stranger", 0) == 7);
    model_check(rdl_loop_current() == &loops[1]);
    model_check(rdl_fiber_move(self, &loops[0]) == 0 && rdl_loop_current() == &loops[0]);
    if (model_count(&ended) == fiber_count)
        stop_all();
}

static void begin_move(void)
{
    begin(2);
    fiber_count = 1;
    rdl_atomic_init(&published, 0u);
    model_check(rdl_loop_post(&loops[0], &make(0, mover, RADDLE_MIGRATABLE, &loops[0])->run));
    model_spawn("stranger", stranger, NULL);
}

/* Two that go opposite ways, between loops that would rather sleep. */
static void crosser(struct rdl_fiber *self)
{
    unsigned i = number_of(self);

    note_run(i);
    for (unsigned n = 1; n <= 2; n++) {
        struct rdl_loop *to = &loops[(i + n) % 2];

        model_check(rdl_fiber_move(self, to) == 0 && rdl_loop_current() == to);
    }
    if (model_count(&ended) == fiber_count)
        stop_all();
}

static void begin_cross(void)
{
    begin(2);
    fiber_count = 2;
    for (unsigned i = 0; i < 2; i++)
        model_check(rdl_loop_post(&loops[i], &make(i, crosser, RADDLE_FRESH, &loops[i])->run));
}

/* To a loop that takes no more: the fiber stays where it is, and is told so. */
static void knocker(struct rdl_fiber *self)
{
    int rc;

    note_run(number_of(self));
    rc = rdl_fiber_move(self, &loops[1]);
    model_check(rc == 0 ? rdl_loop_current() == &loops[1] : rdl_loop_current() == &loops[0]);
    model_check(rc == 0 || rc == RADDLE_ESHUTDOWN);
    if (rc == 0)
        model_check(rdl_fiber_move(self, &loops[0]) == 0);
    rdl_loop_stop(&loops[0]);
}

/* As runtime/loop.c closes: runs until there is nothing, then takes no more. */
static void run_and_close(void *arg)
{
    struct rdl_loop *loop = arg;

    do {
        rdl_loop_stop(loop);
        model_check(rdl_loop_run(loop) == 0);
    } while (rdl_loop_busy(loop) || !rdl_inbox_close(&loop->inbox));
}

static void begin_move_closing(void)
{
    host_begin();
    loop_count = 1;
    called = ended = 0;
    for (unsigned i = 0; i < FIBERS; i++) {
        rdl_atomic_init(&ran[i], 0u);
        runs[i] = 0;
    }
    for (unsigned i = 0; i < 2; i++)
        rdl_loop_init(&loops[i], host_driver(i), NULL, i);
    model_check(rdl_loop_post(&loops[0], &make(0, knocker, RADDLE_FRESH, &loops[0])->run));
    model_spawn("loop 0", run_loop, &loops[0]);
    model_spawn("loop 1", run_and_close, &loops[1]);
}

static void end_moved(void)
{
    model_check(runs[0] == 1);
    model_check(!rdl_loop_busy(&loops[0]) && !rdl_loop_busy(&loops[1]));
    model_check(rdl_inbox_empty(&loops[0].inbox));
    host_end();
}

/* What only people read, and the loop's own. */
const char *const model_unwatched_names[] = {"counter", "waiting_", "answer", NULL};
const char model_scenario_name[] = "team";
const struct model_case model_cases[] = {
    {"post", begin_post, end},
    {"post_alone", begin_post_alone, end},
    {"start", begin_start, end},
    {"held", begin_held, end},
    {"posted", begin_posted, end},
    {"chain_2", begin_chain_2, end},
    {"chain_3", begin_chain_3, end},
    {"woken", begin_woken, end},
    {"woken_home", begin_woken_home, end},
    {"stop", begin_stop, end_stopped},
    {"stop_alone", begin_stop_alone, end_stopped},
    {"stop_free", begin_stop_free, end_freed},
    {"move", begin_move, end},
    {"cross", begin_cross, end},
    {"move_closing", begin_move_closing, end_moved},
    {0},
};
