/*
 * io/sim.c - the driver of a simulated world: whose turn it is, and what time.
 *
 * The loops of a run share one thread. Loop 0 has the stack of whoever called raddle_run(), and each other loop
 * one of its own, on which it runs as if that were a thread. They are switched in their drivers' poll and
 * nowhere else, so everything between two polls of a loop is one step, and what remains to be decided is the
 * order of the steps. One that could go on is drawn; now and then one that sleeps is drawn as well, and
 * returns from its poll for no reason, which a poll may: its loop then looks for work, and steals it while
 * its owner stands in the middle of its own.
 *
 * A poll also draws how many switches the loop makes until the next one, and where its turns between its
 * queues stand. So the order within a loop that is part of a team, which promises none, is drawn as well.
 * That of a loop that is alone is asyncio's, and stays.
 *
 * When no loop can go on, those who wait for that are told (io/sim_quiesce.c); without any, time jumps. When
 * nothing is left to jump to, the world stands still: if no other thread does something about that, it is told,
 * with what each task waits for, and the process ends, because tasks that will never go on can't be taken from
 * their stacks.
 */
#define _GNU_SOURCE
#include "io/sim.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/fd.h"
#include "sched/annotate.h"
#include "sched/fiber.h"
#include "sched/loop.h"
#include "sched/stack.h"
#include "sched/sys.h"

enum {
    STACK_BYTES = 1024 * 1024,  /* of a loop: callbacks and jobs run there */
    OWN_THREADS = 1 + RDL_TSAN, /* ThreadSanitizer has one for itself */
    SPURIOUS = 5,               /* percent of switches that go to a loop which sleeps */
    ONE_SWITCH = 60, /* percent of polls after which the next comes with the next switch, */
    SLICE_BITS = 7,  /* otherwise when the quantum is over, at a look after so many bits of them */
};

#define JOB_LEAST_NS 1000
#define JOB_MOST_NS  (16 * 1000 * 1000)
#define PATIENCE_NS  (INT64_C(5) * 1000000000) /* with threads that might end a standstill */

static void (*on_standstill)(const char *name);

void rdl_sim_on_standstill(void (*fn)(const char *name))
{
    on_standstill = fn;
}

/* Turns. */

static bool can_go_on(const struct rdl_sim *sim)
{
    switch (sim->life) {
    case RDL_SIM_FRESH:
        return true;
    case RDL_SIM_POLLS:
        return sim->until_ns <= sim->world->now_ns || sim->news.first ||
               rdl_atomic_load_acquire(&sim->woken);
    case RDL_SIM_JOINS:
        return sim->joined->life == RDL_SIM_ENDED;
    default:
        return false;
    }
}

/* One of those that can go on, or rarely one that could not; NULL: nobody can. */
static struct rdl_sim *draw(struct rdl_sim_world *world)
{
    struct rdl_sim *drawn = NULL, *sleeper = NULL;
    unsigned able = 0, asleep = 0;

    for (struct rdl_sim *sim = world->loops; sim; sim = sim->next) {
        if (can_go_on(sim)) {
            able++;
            if (able == 1 || rdl_sim_below(world, able) == 0)
                drawn = sim;
        } else if (sim->life == RDL_SIM_POLLS) {
            asleep++;
            if (asleep == 1 || rdl_sim_below(world, asleep) == 0)
                sleeper = sim;
        }
    }
    return drawn && sleeper && rdl_sim_chance(world, SPURIOUS) ? sleeper : drawn;
}

/* When something happens next. */
static int64_t next_event(const struct rdl_sim_world *world)
{
    int64_t next = world->first ? world->first->at_ns : RDL_SIM_NEVER;

    for (const struct rdl_sim *sim = world->loops; sim; sim = sim->next)
        if (sim->life == RDL_SIM_POLLS && sim->until_ns < next)
            next = sim->until_ns;
    return next;
}

static _Noreturn void stand_still(const struct rdl_sim_world *world)
{
    char name[RDL_SIM_NAME];

    rdl_sim_format(&world->options, name, sizeof(name));
    if (on_standstill)
        on_standstill(name);
    abort();
}

/* There is nothing to wait for but what other threads may do. */
static void wait_for_threads(struct rdl_sim_world *world, uint32_t bell, int64_t *since_ns)
{
    int64_t now_ns = rdl_sys_real_now();

    if (!*since_ns)
        *since_ns = now_ns;
    if (rdl_sys_threads() == OWN_THREADS || now_ns - *since_ns > PATIENCE_NS)
        stand_still(world);
    rdl_sim_wait_really(world, bell, RDL_SIM_NEVER);
}

/* In the name of self, whose turn is over. */
static struct rdl_sim *wait_for_turn(struct rdl_sim *self)
{
    struct rdl_sim_world *world = self->world;
    int64_t still_since_ns = 0; /* in real time */

    for (;;) {
        uint32_t bell = rdl_atomic_load_seq_cst(&world->bell);
        struct rdl_sim *sim;
        int64_t next;

        /* Which may have made tasks of the loop runnable that polls here, and it doesn't see that by itself. */
        if (rdl_sim_work(world))
            self->until_ns = world->now_ns;
        sim = draw(world);
        if (sim)
            return sim;
        /* The same goes for these. */
        if (rdl_sim_quiesced(world)) {
            self->until_ns = world->now_ns;
            continue;
        }
        next = next_event(world);
        if (rdl_sim_is_held())
            rdl_sim_wait_really(world, bell, next);
        else if (next == RDL_SIM_NEVER)
            wait_for_threads(world, bell, &still_since_ns);
        else /* and a little more: what is close together comes at once, as it does when a CPU is busy */
            world->now_ns = next + rdl_sim_length(world, 0, 50000);
    }
}

/* Lets others have their turns until it is that of self again, as life and until_ns say. */
static void pass_turn(struct rdl_sim *self)
{
    struct rdl_sim *next = wait_for_turn(self);
    struct rdl_loop *loop = rdl_loop_current();

    if (next != self) {
        rdl_coroutine_switch(&self->co, &next->co);
        rdl_loop_set_current(loop);
    }
    self->life = RDL_SIM_RUNS;
}

/* Threads. */

static struct rdl_coroutine *thread_main(void *arg)
{
    struct rdl_sim *self = arg;

    rdl_loop_set_current(NULL);
    self->life = RDL_SIM_RUNS;
    self->fn(self->arg);
    self->life = RDL_SIM_ENDED;
    return &wait_for_turn(self)->co;
}

int rdl_sim_thread_create(struct rdl_driver *first, struct rdl_driver *driver,
                          void (*fn)(void *arg), void *arg)
{
    struct rdl_sim *main = rdl_sim_of(first), *sim = rdl_sim_of(driver);
    int rc = rdl_stack_get(NULL, STACK_BYTES, &sim->stack);

    if (rc < 0)
        return rc;
    if (!main->co.low && !main->co.sp)
        rdl_coroutine_init_thread(&main->co);
    sim->fn = fn;
    sim->arg = arg;
    rdl_coroutine_init(&sim->co, sim->stack->low, sim->stack->top, thread_main, sim);
    driver->loop->inside = &sim->co;
    sim->life = RDL_SIM_FRESH;
    return 0;
}

void rdl_sim_thread_join(struct rdl_driver *first, struct rdl_driver *driver)
{
    struct rdl_sim *main = rdl_sim_of(first), *sim = rdl_sim_of(driver);

    main->joined = sim;
    main->life = RDL_SIM_JOINS;
    pass_turn(main);
    driver->loop->inside = NULL;
    rdl_coroutine_fini(&sim->co);
    rdl_stack_put(NULL, sim->stack);
    sim->stack = NULL;
    sim->life = RDL_SIM_RUNS;
}

/* The driver. */

/* Tries what has news again. Returns how many operations have ended. */
static int serve(struct rdl_sim *sim)
{
    int count = 0;

    while (sim->news.first) {
        struct rdl_op *op = sim->news.first;
        unsigned among = 0;

        for (struct rdl_op *other = op; other; other = other->next)
            if (rdl_sim_below(sim->world, ++among) == 0)
                op = other;
        rdl_op_remove(&sim->news, op);
        op->place = RDL_OP_NOWHERE;
        op->result = rdl_sim_attempt(sim->world, op);
        if (op->result == RDL_OP_WAIT) {
            rdl_sim_queue(op);
            continue;
        }
        rdl_sim_note(sim->world, (uint64_t)op->result);
        rdl_fiber_complete(op->fiber, op);
        count++;
    }
    rdl_driver_count(&sim->head.counters.completions, (uint64_t)count);
    return count;
}

/* What a replay must repeat, and where chance has its hand in what the loop does until its next poll. */
static void shake(struct rdl_sim *sim)
{
    struct rdl_sim_world *world = sim->world;
    struct rdl_loop *loop = sim->head.driver.loop;

    rdl_sim_note(world, rdl_atomic_load_relaxed(&loop->counters.switches) << 16 ^
                            rdl_atomic_load_relaxed(&loop->counters.timers) << 8 ^ loop->index);
    loop->trim_ns =
        INT64_MAX - 1; /* never: what stacks there are to give back is not part of the world */
    loop->slice_length =
        rdl_sim_chance(world, ONE_SWITCH) ? 0 : 1 << rdl_sim_below(world, SLICE_BITS);
    loop->random = rdl_sim_below(world, UINT64_MAX) + 1;
    if (!loop->team)
        return;
    loop->lifo_streak = (unsigned)rdl_sim_below(world, 4);
    loop->since_injected = (unsigned)rdl_sim_below(world, RDL_EVERY_INJECTED);
    loop->fair_slices = (unsigned)rdl_sim_below(world, 4);
    loop->woken_next = rdl_sim_chance(world, 50);
    loop->local_next = rdl_sim_chance(world, 50);
}

static int sim_poll(struct rdl_driver *driver, int64_t timeout_ns)
{
    struct rdl_sim *sim = rdl_sim_of(driver);
    struct rdl_sim_world *world = sim->world;
    int count;

    if (timeout_ns < 0 || timeout_ns >= INT64_MAX / 2)
        sim->until_ns = RDL_SIM_NEVER;
    else
        sim->until_ns = world->now_ns + timeout_ns;
    count = serve(sim);
    if (count)
        sim->until_ns = world->now_ns;
    sim->life = RDL_SIM_POLLS;
    pass_turn(sim);
    rdl_atomic_store_relaxed(&sim->woken, false);
    count += serve(sim);
    shake(sim);
    return count;
}

static void sim_wake(struct rdl_driver *driver)
{
    struct rdl_sim *sim = rdl_sim_of(driver);

    if (rdl_atomic_exchange_acq_rel(&sim->woken, true))
        return;
    (void)rdl_atomic_fetch_add_relaxed(&sim->head.counters.wakes, 1u);
    rdl_sim_ring(sim->world);
}

static bool sim_submit(struct rdl_driver *driver, struct rdl_op *op)
{
    struct rdl_sim *sim = rdl_sim_of(driver);

    rdl_driver_count(&sim->head.counters.submits, 1);
    op->result = rdl_sim_attempt(sim->world, op);
    if (op->result == RDL_OP_WAIT) {
        rdl_sim_queue(op);
        return false;
    }
    rdl_driver_count(&sim->head.counters.at_once, 1);
    return true;
}

static bool sim_cancel(struct rdl_driver *driver, struct rdl_op *op)
{
    rdl_sim_unqueue(rdl_sim_of(driver), op);
    op->result = -ECANCELED;
    return true;
}

static ssize_t sim_attempt(struct rdl_driver *driver, struct rdl_op *op)
{
    return rdl_sim_attempt(rdl_sim_of(driver)->world, op);
}

static int sim_start(struct rdl_driver *driver)
{
    (void)driver;
    return 0;
}

static int64_t sim_now(struct rdl_driver *driver)
{
    return rdl_sim_of(driver)->world->now_ns;
}

static void sim_later(struct rdl_driver *driver, struct rdl_chore *chore)
{
    struct rdl_sim_world *world = rdl_sim_of(driver)->world;

    chore->work = true;
    rdl_sim_at(world, chore, world->now_ns + rdl_sim_length(world, JOB_LEAST_NS, JOB_MOST_NS));
}

static void sim_forget(struct rdl_driver *driver, struct rdl_chore *chore)
{
    rdl_sim_forget(rdl_sim_of(driver)->world, chore);
}

static void leave_world(struct rdl_sim *sim)
{
    struct rdl_sim **link = &sim->world->loops;

    while (*link != sim)
        link = &(*link)->next;
    *link = sim->next;
    rdl_sim_world_unref(sim->world);
}

static void enter_world(struct rdl_sim *sim, struct rdl_sim_world *world)
{
    struct rdl_sim **link = &world->loops;

    while (*link)
        link = &(*link)->next;
    *link = sim;
    sim->next = NULL;
    sim->world = world;
}

static void sim_destroy(struct rdl_driver *driver)
{
    struct rdl_sim *sim = rdl_sim_of(driver);
    struct rdl_sim_world *world = sim->world;

    /* With the last loop goes what would have made the world go on: it is brought to its end. */
    world->cut = false;
    while (!sim->next && world->loops == sim && world->first) {
        world->now_ns = world->first->at_ns > world->now_ns ? world->first->at_ns : world->now_ns;
        (void)rdl_sim_work(world);
    }
    leave_world(sim);
    rdl_sys_free(sim);
}

static void sim_abandon(struct rdl_driver *driver)
{
    (void)driver; /* other drivers and sockets of the parent's refer to the world: it all stays */
}

static const struct rdl_driver_ops ops = {
    .name = "sim",
    .start = sim_start,
    .submit = sim_submit,
    .cancel = sim_cancel,
    .poll = sim_poll,
    .wake = sim_wake,
    .destroy = sim_destroy,
    .abandon = sim_abandon,
    .now = sim_now,
    .attempt = sim_attempt,
    .later = sim_later,
    .forget = sim_forget,
};

bool rdl_sim_is(const struct rdl_driver *driver)
{
    return driver->ops == &ops;
}

struct rdl_sim_world *rdl_sim_here(void)
{
    struct rdl_loop *loop = rdl_loop_current();

    return loop && rdl_sim_is(loop->driver) ? rdl_sim_of(loop->driver)->world : NULL;
}

void rdl_sim_name(const struct rdl_driver *driver, char *out, size_t size)
{
    const struct rdl_sim *sim = (const struct rdl_sim *)(const void *)driver;

    rdl_sim_format(&sim->world->options, out, size);
}

void rdl_sim_join_world(struct rdl_driver *driver, struct rdl_driver *other)
{
    struct rdl_sim *sim = rdl_sim_of(driver);
    struct rdl_sim_world *world = rdl_sim_of(other)->world;

    leave_world(sim);
    rdl_sim_world_ref(world);
    enter_world(sim, world);
}

int rdl_sim_create(const struct rdl_sim_options *options, struct rdl_driver **out)
{
    struct rdl_sim *sim = rdl_sys_calloc(1, sizeof(*sim));
    struct rdl_sim_world *world;
    int rc;

    if (!sim)
        return -ENOMEM;
    rc = rdl_sim_world_create(options, &world);
    if (rc < 0) {
        rdl_sys_free(sim);
        return rc;
    }
    sim->head.driver.ops = &ops;
    enter_world(sim, world);
    *out = &sim->head.driver;
    return 0;
}
