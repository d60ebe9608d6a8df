/*
 * tests/runtime/test_fairness.c - nobody starves: whatever some tasks do for ever, others get their turn. What
 * is measured are counts of turns, never times.
 */
#include "tests/support/fixture.h"

#include <pthread.h>

#include "runtime/loop.h"
#include "sched/sys.h"

TestSuite(fairness, .timeout = 60);

enum { LOOPS = 2 };

static raddle_loop *loop_of_team(unsigned index)
{
    return rdl_raddle_loop(rdl_loop_current()->team->loops[index]);
}

/*
 * On each loop a task opens a group, starts a child and closes the group, for ever: child and parent wake each
 * other through the slot of the fiber woken last. Picks that are counted, instead of what was not served,
 * fall into step with that pair, and then neither a fresh task nor a migratable one has ever its turn.
 */
enum { ROUNDS_MAX = 20000, TURNS = 100 };

struct loop_of_pair {
    struct fork_join *all;
    unsigned index;
    rdl_atomic(unsigned) fresh_began, turns; /* of the migratable one */
    unsigned fresh_round, turns_round;       /* in which that was seen; 0: never */
};

struct fork_join {
    struct loop_of_pair loops[LOOPS];
    struct raddle_group *group; /* of all but the pairs' children */
    unsigned extra_children;    /* bit i: loop i begins with two more, and is out of step by them */
    rdl_atomic(unsigned) busy, satisfied, over;
};

static int begins(void *arg)
{
    struct loop_of_pair *here = arg;

    rdl_atomic_store_relaxed(&here->fresh_began, 1u);
    return 0;
}

static int takes_turns(void *arg)
{
    struct loop_of_pair *here = arg;

    while (!rdl_atomic_load_acquire(&here->all->over)) {
        rdl_atomic_fetch_add_relaxed(&here->turns, 1u);
        EXPECT_EQ(raddle_yield(), 0);
    }
    return 0;
}

static void fork_and_join(unsigned children)
{
    struct raddle_spawn_options here = {.loop = raddle_running_loop()};
    struct raddle_group g;

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (unsigned i = 0; i < children; i++)
        EXPECT_EQ(raddle_spawn(&g, NULL, test_nothing, NULL, &here), 0);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
}

static void look_at_turns(struct loop_of_pair *here, unsigned round)
{
    if (!here->fresh_round && rdl_atomic_load_relaxed(&here->fresh_began))
        here->fresh_round = round;
    if (!here->turns_round && rdl_atomic_load_relaxed(&here->turns) >= TURNS)
        here->turns_round = round;
}

/* Both loops stay busy until both have seen what they wait for: an idle one would help the other out. */
static int forks_and_joins(void *arg)
{
    static const struct raddle_spawn_options migratable = {.mobility = RADDLE_MIGRATABLE};
    struct loop_of_pair *here = arg;
    struct fork_join *all = here->all;
    bool satisfied = false;

    if (all->extra_children >> here->index & 1)
        fork_and_join(2);
    rdl_atomic_fetch_add_acq_rel(&all->busy, 1u);
    while (rdl_atomic_load_acquire(&all->busy) < LOOPS)
        fork_and_join(1);
    EXPECT_EQ(raddle_spawn(all->group, NULL, begins, here, NULL), 0);
    EXPECT_EQ(raddle_spawn(all->group, NULL, takes_turns, here, &migratable), 0);
    for (unsigned round = 1; rdl_atomic_load_acquire(&all->satisfied) < LOOPS; round++) {
        fork_and_join(1);
        look_at_turns(here, round);
        if (!satisfied && ((here->fresh_round && here->turns_round) || round >= ROUNDS_MAX)) {
            satisfied = true;
            rdl_atomic_fetch_add_acq_rel(&all->satisfied, 1u);
        }
    }
    return 0;
}

static int runs_pairs(void *arg)
{
    struct fork_join *all = arg;
    struct raddle_group pairs, others;

    EXPECT_EQ(raddle_group_open(&others, NULL), 0);
    all->group = &others;
    EXPECT_EQ(raddle_group_open(&pairs, NULL), 0);
    for (unsigned i = 0; i < LOOPS; i++) {
        struct raddle_spawn_options there = {.loop = loop_of_team(i)};
        all->loops[i] = (struct loop_of_pair){.all = all, .index = i};
        EXPECT_EQ(raddle_spawn(&pairs, NULL, forks_and_joins, &all->loops[i], &there), 0);
    }
    EXPECT_EQ(raddle_group_close(&pairs, 0), 0);
    rdl_atomic_store_release(&all->over, 1u);
    return raddle_group_close(&others, 0);
}

RuntimeTest(fairness, beside_a_fork_join_pair_fresh_and_migratable_tasks_have_their_turn)
{
    test_keep_still();
    for (unsigned extra = 0; extra < 1u << LOOPS; extra++) {
        struct fork_join all = {.extra_children = extra};

        cr_assert_eq(test_run_on(LOOPS, runs_pairs, &all), 0);
        for (unsigned i = 0; i < LOOPS; i++) {
            EXPECT_IN(all.loops[i].fresh_round, 1, ROUNDS_MAX);
            EXPECT_IN(all.loops[i].turns_round, 1, ROUNDS_MAX);
        }
    }
}

/*
 * A migratable task that a foreign thread wakes comes through the team's injector. Each loop has a task that only
 * gives way and nothing else: the injector counts as something to do, and they don't go on alone.
 */
enum { WAKES = 30, YIELDS_MAX = 2000, YIELDS_ENOUGH = 10 * 1000 * 1000 };

struct injected {
    struct rdl_ticket ticket;
    rdl_atomic(unsigned) parks, wakes, yielding, over;
    unsigned long worst;
    int64_t burn_ns; /* in each turn of those who give way */
};

static int gives_way(void *arg)
{
    struct injected *in = arg;

    rdl_atomic_fetch_add_acq_rel(&in->yielding, 1u);
    while (!rdl_atomic_load_acquire(&in->over)) {
        test_burn(in->burn_ns);
        EXPECT_EQ(raddle_yield(), 0);
    }
    return 0;
}

static int waits_for_thread(void *arg)
{
    struct injected *in = arg;

    for (int i = 0; i < WAKES; i++) {
        struct rdl_fiber *self = rdl_fiber_self();
        in->ticket = rdl_fiber_arm(self, RDL_PARK_CANCELLABLE);
        rdl_atomic_fetch_add_acq_rel(&in->parks, 1u);
        EXPECT_EQ(rdl_fiber_park(self, RDL_PARK_CANCELLABLE, "a thread", 0), 1);
        rdl_atomic_fetch_add_acq_rel(&in->wakes, 1u);
    }
    return 0;
}

static void *wakes_task(void *arg)
{
    struct injected *in = arg;

    EXPECT(rdl_fiber_fire(in->ticket, 1));
    return NULL;
}

/* Joins the thread before it gives way, so that what is counted begins when the task is in the injector; and ends when
 * it isn't any more: the loop that has taken it may be one whose thread doesn't run now. */
static int counts_yields(void *arg)
{
    struct injected *in = arg;
    struct raddle_spawn_options there = {.loop = loop_of_team(1)};
    struct raddle_spawn_options migratable = {.mobility = RADDLE_MIGRATABLE};
    struct raddle_group g;
    raddle_task *task;

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, NULL, gives_way, in, &there), 0);
    test_await(&in->yielding, 1);
    EXPECT_EQ(raddle_spawn(&g, &task, waits_for_thread, in, &migratable), 0);
    for (unsigned i = 1; i <= WAKES; i++) {
        struct rdl_team *team = rdl_loop_current()->team;
        unsigned long yields = 0, waited = 0;
        pthread_t thread;

        test_await(&in->parks, i);
        test_let_park(task);
        EXPECT_EQ(pthread_create(&thread, NULL, wakes_task, in), 0);
        pthread_join(thread, NULL);
        while (rdl_atomic_load_acquire(&in->wakes) < i && yields++ < YIELDS_ENOUGH) {
            waited += rdl_team_injected(team);
            EXPECT_EQ(raddle_yield(), 0);
        }
        EXPECT(yields < YIELDS_ENOUGH);
        if (waited > in->worst)
            in->worst = waited;
    }
    rdl_atomic_store_release(&in->over, 1u);
    raddle_task_unref(task);
    return raddle_group_close(&g, 0);
}

RuntimeTest(fairness, who_is_woken_by_a_thread_runs_beside_tasks_that_only_give_way)
{
    struct injected in = {.worst = 0};

    test_keep_still();
    cr_assert_eq(test_run_on(LOOPS, counts_yields, &in), 0);
    EXPECT_IN(in.worst, 0, YIELDS_MAX);
}

/*
 * Many of them, and one behind many that have not started: both loops have a task that only gives way, as before. The
 * woken ones come in batches; one for each look into the injector would be 61 turns for each. And they don't
 * stand behind what is fresh, most of which has not run when they do.
 */
enum { CROWD = 500, BACKLOG = 40000, TURNS_PER_WAKE = 15, RAN_BETWEEN_MAX = 8, SLICES = 200 };

struct crowd {
    struct injected in; /* its parks, wakes, yielding, over */
    struct rdl_ticket tickets[CROWD];
    unsigned count, backlog;
    unsigned long waited; /* turns of the main task while woken ones were in the injector */
    rdl_atomic(unsigned) fresh_ran, ran_before_wake; /* of the last one that woke */
    unsigned ran_before_fire;
};

static int runs_once(void *arg)
{
    struct crowd *crowd = arg;

    rdl_atomic_fetch_add_relaxed(&crowd->fresh_ran, 1u);
    return 0;
}

static int waits_once(void *arg)
{
    struct crowd *crowd = arg;
    struct rdl_fiber *self = rdl_fiber_self();
    struct rdl_ticket ticket = rdl_fiber_arm(self, RDL_PARK_CANCELLABLE);

    crowd->tickets[rdl_atomic_fetch_add_acq_rel(&crowd->in.parks, 1u)] = ticket;
    EXPECT_EQ(rdl_fiber_park(self, RDL_PARK_CANCELLABLE, "a thread", 0), 1);
    rdl_atomic_store_relaxed(&crowd->ran_before_wake, rdl_atomic_load_relaxed(&crowd->fresh_ran));
    rdl_atomic_fetch_add_acq_rel(&crowd->in.wakes, 1u);
    return 0;
}

static void *wakes_crowd(void *arg)
{
    struct crowd *crowd = arg;

    crowd->ran_before_fire = rdl_atomic_load_relaxed(&crowd->fresh_ran);
    for (unsigned i = 0; i < crowd->count; i++)
        EXPECT(rdl_fiber_fire(crowd->tickets[i], 1));
    return NULL;
}

static int counts_turns_of_crowd(void *arg)
{
    struct crowd *crowd = arg;
    struct raddle_spawn_options there = {.loop = loop_of_team(1)};
    struct raddle_spawn_options migratable = {.mobility = RADDLE_MIGRATABLE};
    static raddle_task *tasks[CROWD];
    struct raddle_group g;
    pthread_t thread;

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, NULL, gives_way, &crowd->in, &there), 0);
    test_await(&crowd->in.yielding, 1);
    for (unsigned i = 0; i < crowd->count; i++)
        EXPECT_EQ(raddle_spawn(&g, &tasks[i], waits_once, crowd, &migratable), 0);
    test_await(&crowd->in.parks, crowd->count);
    for (unsigned i = 0; i < crowd->count; i++)
        test_let_park(tasks[i]);
    for (unsigned i = 0; i < crowd->backlog; i++)
        EXPECT_EQ(raddle_spawn(&g, NULL, runs_once, crowd, NULL), 0);
    /* Slices find their length, if turns are long. */
    for (int i = 0; crowd->in.burn_ns && i < SLICES; i++) {
        test_burn(crowd->in.burn_ns);
        EXPECT_EQ(raddle_yield(), 0);
    }
    EXPECT_EQ(pthread_create(&thread, NULL, wakes_crowd, crowd), 0);
    pthread_join(thread, NULL);
    while (rdl_atomic_load_acquire(&crowd->in.wakes) < crowd->count &&
           crowd->waited < YIELDS_ENOUGH) {
        crowd->waited += rdl_inject_count(&rdl_loop_current()->team->woken) != 0;
        test_burn(crowd->in.burn_ns);
        EXPECT_EQ(raddle_yield(), 0);
    }
    rdl_atomic_store_release(&crowd->in.over, 1u);
    for (unsigned i = 0; i < crowd->count; i++)
        raddle_task_unref(tasks[i]);
    return raddle_group_close(&g, 0);
}

RuntimeTest(fairness, a_crowd_that_a_thread_wakes_runs_beside_tasks_that_only_give_way)
{
    static struct crowd crowd = {.count = CROWD};

    test_keep_still();
    cr_assert_eq(test_run_on(LOOPS, counts_turns_of_crowd, &crowd), 0);
    EXPECT_IN(crowd.waited, 0, CROWD * TURNS_PER_WAKE);
}

/* That a loop's thread doesn't run for a while, with most of the backlog still to come or with the one that is woken,
 * is not what this is about: so one time of many is enough. */
RuntimeTest(fairness, who_is_woken_by_a_thread_does_not_stand_behind_what_has_not_started)
{
    static const struct crowd one = {.count = 1, .backlog = BACKLOG};
    static struct crowd crowd;
    bool soon = false;

    test_keep_still();
    for (int i = 0; i < 30 && !soon; i++) {
        crowd = one;
        cr_assert_eq(test_run_on(LOOPS, counts_turns_of_crowd, &crowd), 0);
        EXPECT_EQ(crowd.fresh_ran, BACKLOG);
        soon =
            crowd.ran_before_fire < BACKLOG * 15 / 16 &&
            crowd.ran_before_wake - crowd.ran_before_fire < (BACKLOG - crowd.ran_before_fire) / 4;
    }
    EXPECT(soon);
}

/* Each turn takes more than a slice: it isn't their count that the injector waits for. */
RuntimeTest(fairness, who_is_woken_by_a_thread_runs_beside_tasks_that_take_long)
{
    static struct crowd crowd = {.count = 1, .in = {.burn_ns = RADDLE_US(300)}};

    test_keep_still();
    cr_assert_eq(test_run_on(LOOPS, counts_turns_of_crowd, &crowd), 0);
    EXPECT_IN(crowd.waited, 0, RAN_BETWEEN_MAX);
}

/*
 * More migratable tasks than the loops' queues have room for: all have their turns, and what has not started, too.
 */
enum {
    DANCERS = 1000,
    DANCES = 10,
    LATE = 2000,
    DANCES_MAX = 20000,
    MORE = 4000,
    MORE_DANCES = 100
};

struct dance {
    struct injected in;
    unsigned dancers, turns[MORE];
    rdl_atomic(unsigned long) all;
    rdl_atomic(unsigned) began, late;
    unsigned long wanted; /* turns of all */
};

static int dances(void *arg)
{
    struct dance *dance = arg;
    unsigned index = rdl_atomic_fetch_add_acq_rel(&dance->began, 1u);

    while (!rdl_atomic_load_acquire(&dance->in.over)) {
        test_burn(dance->in.burn_ns);
        if (rdl_atomic_load_acquire(&dance->began) == dance->dancers) {
            dance->turns[index]++;
            rdl_atomic_fetch_add_relaxed(&dance->all, 1ul);
        }
        EXPECT_EQ(raddle_yield(), 0);
    }
    return 0;
}

static int comes_late(void *arg)
{
    struct dance *dance = arg;

    rdl_atomic_fetch_add_relaxed(&dance->late, 1u);
    return 0;
}

static int runs_dance(void *arg)
{
    static const struct raddle_spawn_options migratable = {.mobility = RADDLE_MIGRATABLE};
    struct dance *dance = arg;
    struct raddle_group g;

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (unsigned i = 0; i < dance->dancers; i++)
        EXPECT_EQ(raddle_spawn(&g, NULL, dances, dance, &migratable), 0);
    while (rdl_atomic_load_acquire(&dance->began) < dance->dancers)
        EXPECT_EQ(raddle_yield(), 0);
    for (unsigned i = 0; !dance->in.burn_ns && i < LATE; i++)
        EXPECT_EQ(raddle_spawn(&g, NULL, comes_late, dance, NULL), 0);
    while (rdl_atomic_load_acquire(&dance->all) < dance->wanted &&
           !(rdl_atomic_load_acquire(&dance->late) == LATE))
        EXPECT_EQ(raddle_yield(), 0);
    rdl_atomic_store_release(&dance->in.over, 1u);
    return raddle_group_close(&g, 0);
}

/* Nobody has spread times less than that, nor spread times more. */
static void dances_are_shared(struct dance *dance, unsigned turns, unsigned spread)
{
    if (test_left_out("chance says how often each loop runs"))
        return;
    dance->wanted = (unsigned long)dance->dancers * turns;
    test_keep_still();
    cr_assert_eq(test_run_on(LOOPS, runs_dance, dance), 0);
    for (unsigned i = 0; i < dance->dancers; i++)
        EXPECT_IN(dance->turns[i], turns / spread, turns * spread);
}

RuntimeTest(fairness, of_many_migratable_tasks_that_take_long_each_has_its_turns)
{
    static struct dance dance = {.dancers = DANCERS, .in = {.burn_ns = RADDLE_US(100)}};

    dances_are_shared(&dance, DANCES, 2);
}

/* The rarest had 31 to 49 turns of 100, and 3 to 12 without closer looks into the injector (sched/team.c). */
RuntimeTest(fairness, of_many_migratable_tasks_that_are_short_each_has_its_turns)
{
    static struct dance dance = {.dancers = MORE, .in = {.burn_ns = RADDLE_US(2)}};

    dances_are_shared(&dance, MORE_DANCES, 5);
}

RuntimeTest(fairness, beside_many_migratable_tasks_what_has_not_started_has_its_turn)
{
    static struct dance dance = {.dancers = DANCERS, .wanted = (unsigned long)DANCERS * DANCES_MAX};

    test_keep_still();
    cr_assert_eq(test_run_on(LOOPS, runs_dance, &dance), 0);
    EXPECT_IN(dance.all, 0, dance.wanted / 4);
}

/*
 * On each loop a chain of fresh tasks, each of which starts the next and ends: the newest is there at every pick. One
 * that is older has its turn all the same.
 */
enum { LINKS_MAX = 1000 * 1000 };

struct chain {
    struct raddle_group *group;
    rdl_atomic(unsigned) * satisfied;
    unsigned long links;
    rdl_atomic(bool) older_ran;
    bool older_started, counted;
};

static int is_older(void *arg)
{
    struct chain *chain = arg;

    rdl_atomic_store_relaxed(&chain->older_ran, true);
    return 0;
}

/* Both go on until both are satisfied, or neither loop would be busy for the other. */
static int is_link(void *arg)
{
    struct chain *chain = arg;

    chain->links++;
    if (!chain->older_started && chain->links > 1000) {
        chain->older_started = true;
        EXPECT_EQ(raddle_spawn(chain->group, NULL, is_older, chain, NULL), 0);
    }
    if (!chain->counted &&
        (rdl_atomic_load_relaxed(&chain->older_ran) || chain->links >= LINKS_MAX)) {
        chain->counted = true;
        rdl_atomic_fetch_add_acq_rel(chain->satisfied, 1u);
    }
    if (rdl_atomic_load_acquire(chain->satisfied) < LOOPS)
        EXPECT_EQ(raddle_spawn(chain->group, NULL, is_link, chain, NULL), 0);
    return 0;
}

static int runs_chains(void *arg)
{
    struct chain *chains = arg;
    rdl_atomic(unsigned) satisfied;
    struct raddle_group g;

    rdl_atomic_init(&satisfied, 0u);
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (unsigned i = 0; i < LOOPS; i++) {
        struct raddle_spawn_options there = {.loop = loop_of_team(i)};
        chains[i] = (struct chain){.group = &g, .satisfied = &satisfied};
        EXPECT_EQ(raddle_spawn(&g, NULL, is_link, &chains[i], &there), 0);
    }
    return raddle_group_close(&g, 0);
}

RuntimeTest(fairness, beside_a_chain_of_fresh_tasks_an_older_one_has_its_turn)
{
    struct chain chains[LOOPS];

    test_keep_still();
    cr_assert_eq(test_run_on(LOOPS, runs_chains, chains), 0);
    for (unsigned i = 0; i < LOOPS; i++)
        EXPECT_IN(chains[i].links, 1, LINKS_MAX);
}

/*
 * Fresh tasks of which each takes more than a slice: between two turns of a task that gives way, a few of them
 * run, however many there are.
 */
enum { LONG_TASKS = 100 };

struct long_tasks {
    struct {
        unsigned ran, worst;
    } loops[LOOPS]; /* each used by its own thread */
    rdl_atomic(unsigned) ended, over;
};

static unsigned loop_index(void)
{
    return raddle_loop_index(raddle_running_loop());
}

static int takes_long(void *arg)
{
    struct long_tasks *all = arg;

    test_burn(RADDLE_US(300));
    all->loops[loop_index()].ran++;
    rdl_atomic_fetch_add_acq_rel(&all->ended, 1u);
    return 0;
}

static int gives_way_to_long_ones(void *arg)
{
    struct long_tasks *all = arg;
    unsigned here = loop_index();

    while (!rdl_atomic_load_acquire(&all->over)) {
        unsigned before = all->loops[here].ran, between;

        EXPECT_EQ(raddle_yield(), 0);
        between = all->loops[here].ran - before;
        if (between > all->loops[here].worst)
            all->loops[here].worst = between;
    }
    return 0;
}

static int runs_long_tasks(void *arg)
{
    struct long_tasks *all = arg;
    struct raddle_group g;

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (unsigned i = 0; i < LOOPS; i++) {
        struct raddle_spawn_options there = {.loop = loop_of_team(i)};
        EXPECT_EQ(raddle_spawn(&g, NULL, gives_way_to_long_ones, all, &there), 0);
    }
    for (unsigned i = 0; i < LONG_TASKS; i++)
        EXPECT_EQ(raddle_spawn(&g, NULL, takes_long, all, NULL), 0);
    test_await(&all->ended, LONG_TASKS);
    rdl_atomic_store_release(&all->over, 1u);
    return raddle_group_close(&g, 0);
}

RuntimeTest(fairness, fresh_tasks_that_take_long_let_others_have_their_turn)
{
    struct long_tasks all = {.ended = 0};

    test_keep_still();
    cr_assert_eq(test_run_on(LOOPS, runs_long_tasks, &all), 0);
    for (unsigned i = 0; i < LOOPS; i++)
        EXPECT_IN(all.loops[i].worst, 0, RAN_BETWEEN_MAX);
}

/*
 * A slice is as long as its tasks let it be: with tasks that work for most of a quantum each, the driver is
 * asked every few turns, not every RDL_SLICE turns.
 */
enum { WORKERS = 80, TURNS_OF_EACH = 25, TURNS_PER_POLL_MAX = 16 };

static int works_long(void *arg)
{
    unsigned long *turns = arg;

    for (int i = 0; i < TURNS_OF_EACH; i++) {
        test_burn(RADDLE_US(100));
        ++*turns;
        EXPECT_EQ(raddle_yield(), 0);
    }
    return 0;
}

static int counts_polls(void *arg)
{
    unsigned long turns = 0;
    struct raddle_loop_stats before, after;
    struct raddle_group g;
    int rc;

    (void)arg;
    EXPECT_EQ(raddle_get_loop_stats(0, &before), 0);
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (int i = 0; i < WORKERS; i++)
        EXPECT_EQ(raddle_spawn(&g, NULL, works_long, &turns, NULL), 0);
    rc = raddle_group_close(&g, 0);
    EXPECT_EQ(raddle_get_loop_stats(0, &after), 0);
    EXPECT_EQ(turns, WORKERS * TURNS_OF_EACH);
    EXPECT_IN(after.polls - before.polls, turns / TURNS_PER_POLL_MAX, turns * 2);
    return rc;
}

RuntimeTest(fairness, tasks_that_work_for_long_keep_the_driver_waiting_for_a_few_of_them_only)
{
    cr_assert_eq(test_run_on(1, counts_polls, NULL), 0);
}

/* The same of callbacks, which don't ask for the time as test_burn() does: raddle_now() would show the loop how late it
 * is, rdl_sys_now() doesn't. */
enum { CALLBACKS = 2000 };

static void calls_long(void *arg)
{
    unsigned long *calls = arg;
    int64_t end = rdl_sys_now() + RADDLE_US(100);

    while (rdl_sys_now() < end)
        ;
    ++*calls;
}

static int counts_polls_of_callbacks(void *arg)
{
    unsigned long calls = 0;
    struct raddle_loop_stats before, after;

    (void)arg;
    EXPECT_EQ(raddle_get_loop_stats(0, &before), 0);
    for (int i = 0; i < CALLBACKS; i++)
        EXPECT_EQ(raddle_call_soon(raddle_running_loop(), calls_long, &calls), 0);
    EXPECT_EQ(raddle_sleep(RADDLE_MS(1)), 0); /* then it is queued behind all of them */
    EXPECT_EQ(raddle_get_loop_stats(0, &after), 0);
    EXPECT_EQ(calls, CALLBACKS);
    EXPECT_IN(after.polls - before.polls, CALLBACKS / TURNS_PER_POLL_MAX, CALLBACKS * 2);
    return 0;
}

RuntimeTest(fairness, callbacks_that_work_for_long_keep_the_driver_waiting_for_a_few_of_them_only)
{
    cr_assert_eq(test_run_on(1, counts_polls_of_callbacks, NULL), 0);
}

/* A loop that is held, and what is queued on it. */

enum { QUEUED = 4 };

struct held {
    struct raddle_group group;
    rdl_atomic(unsigned) ran;
};

static int runs_elsewhere(void *arg)
{
    struct held *held = arg;

    rdl_atomic_fetch_add_acq_rel(&held->ran, 1u);
    return 0;
}

/* Never suspends: what it spawns is queued on its loop, and runs meanwhile on none but another. */
static int holds_until_they_ran(void *arg)
{
    struct held *held = arg;
    raddle_time end;

    for (unsigned i = 0; i < QUEUED; i++)
        EXPECT_EQ(raddle_spawn(&held->group, NULL, runs_elsewhere, held, NULL), 0);
    end = raddle_in(RADDLE_S(20) * test_slowness());
    while (rdl_atomic_load_acquire(&held->ran) < QUEUED && raddle_now() < end)
        test_burn(RADDLE_US(20));
    EXPECT_EQ(rdl_atomic_load_acquire(&held->ran), QUEUED);
    return 0;
}

static int queues_behind_it(void *arg)
{
    struct raddle_spawn_options pinned = {.mobility = RADDLE_PINNED};
    struct held *held = arg;

    EXPECT_EQ(raddle_group_open(&held->group, NULL), 0);
    EXPECT_EQ(raddle_spawn(&held->group, NULL, holds_until_they_ran, held, &pinned), 0);
    return raddle_group_close(&held->group, 0);
}

/* TC114 */
RuntimeTest(fairness, what_is_queued_behind_a_task_that_holds_its_loop_runs_on_another)
{
    if (test_left_out("no loop runs while another is held"))
        return;
    for (unsigned loops = 2; loops <= 4; loops++) {
        struct held held = {.ran = 0};

        cr_assert_eq(test_run_on(loops, queues_behind_it, &held), 0);
    }
}
