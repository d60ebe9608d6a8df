/*
 * tests/model/scenario_wait.c - completion, timer and cancel against a sleeper on its way to sleep.
 *
 * In the first cases the wait is armed beforehand, and one thread plays the lander; whoever is told that
 * the sleeper is theirs runs it, on the spot. In the later ones a thread plays the task and its lander:
 * it looks for the causes, arms, parks, and sleeps until whoever fired the wait has queued it.
 */
#include "sched/wait.h"

#include <errno.h>

#include "sched/lock.h"
#include "tests/model/model.h"

enum { WAKERS = 3 };

/* What each waker says, and what the one says that a shield must hold off. */
enum { TIMER = -ETIMEDOUT, CANCEL = -EPIPE, COMPLETION = 5 };

static struct rdl_wait wait;
static struct rdl_ticket ticket;
static unsigned runs;
static unsigned wins;            /* wakers that were told that they ended the wait */
static unsigned stack;           /* the sleeper's: the lander's until parked, then the winner's */
static unsigned buffers[WAKERS]; /* what each waker prepares for the sleeper */
static const int32_t results[WAKERS] = {COMPLETION, TIMER, CANCEL};

static void begin(void)
{
    rdl_atomic_init(&wait.word, (uint64_t)0);
    rdl_atomic_init(&wait.poked, 0u);
    rdl_atomic_init(&wait.shield_depth, 0u);
    runs = wins = 0;
    stack = 0;
    for (int i = 0; i < WAKERS; i++)
        buffers[i] = 0;
}

/* The sleeper runs, as the winner's: it finds its stack, and what the winner prepared. */
static void run_sleeper(void)
{
    int32_t result = rdl_wait_result(&wait);
    bool known = result == -ECANCELED; /* by park, which prepares nothing */

    model_check(model_count(&runs) == 1);
    for (int i = 0; i < WAKERS; i++)
        if (result == results[i]) {
            model_check(buffers[i] == 1);
            known = true;
        }
    model_check(known);
    stack++;
}

static void lander(void *arg)
{
    (void)arg;
    stack = 10;
    if (!rdl_wait_park(&wait))
        run_sleeper();
}

/* What a waker does, who is told fire. */
static void end_wait(enum rdl_fire fire)
{
    if (fire != RDL_FIRE_LOST)
        (void)model_count(&wins);
    if (fire == RDL_FIRE_QUEUE)
        run_sleeper();
}

static void waker(void *arg)
{
    const unsigned i = *(const unsigned *)arg;

    buffers[i] = 1;
    end_wait(rdl_wait_fire(ticket, results[i]));
}

static void poker(void *arg)
{
    (void)arg;
    buffers[2] = 1;
    end_wait(rdl_wait_poke(&wait, 0, CANCEL));
}

static void end_ran_once(void)
{
    model_check(runs == 1);
    model_check(stack == 11);
}

static bool quiet; /* the sleeper has taken its wait back */

static const unsigned numbers[WAKERS] = {0, 1, 2};

static void *number(unsigned i)
{
    return (void *)(uintptr_t)&numbers[i];
}

static void begin_fire(void)
{
    begin();
    ticket = rdl_wait_arm(&wait);
    model_spawn("lander", lander, NULL);
    model_spawn("completion", waker, number(0));
}

static void begin_fire_fire(void)
{
    begin_fire();
    model_spawn("timer", waker, number(1));
}

static void begin_fire_fire_fire(void)
{
    begin_fire_fire();
    model_spawn("cancel", waker, number(2));
}

static void begin_poke(void)
{
    begin();
    ticket = rdl_wait_arm(&wait);
    model_spawn("lander", lander, NULL);
    model_spawn("poker", poker, NULL);
}

static void begin_fire_poke(void)
{
    begin_poke();
    model_spawn("completion", waker, number(0));
}

static void begin_fire_fire_poke(void)
{
    begin_fire_poke();
    model_spawn("timer", waker, number(1));
}

static void other_poker(void *arg)
{
    (void)arg;
    buffers[1] = 1;
    end_wait(rdl_wait_poke(&wait, 0, TIMER));
}

static void begin_poke_poke(void)
{
    begin_poke();
    model_spawn("other poker", other_poker, NULL);
}

static void begin_fire_poke_poke(void)
{
    begin_fire_poke();
    model_spawn("other poker", other_poker, NULL);
}

/* Nobody was told that he had ended a wait which the sleeper took back, and somebody when it couldn't. */
static void end_disarmed(void)
{
    end_ran_once();
    model_check(wins == (quiet ? 0 : 1));
}

/* The sleeper thinks better of it, or has been fired: it knows which, and what it was. */
static void disarmer(void *arg)
{
    (void)arg;
    stack = 10;
    quiet = rdl_wait_disarm(&wait);
    if (!quiet) {
        run_sleeper();
    } else {
        model_check(model_count(&runs) == 1);
        stack++;
    }
    /* The next wait isn't the old wakers' to end. */
    (void)rdl_wait_arm(&wait);
    model_check(rdl_wait_disarm(&wait));
}

static void poked_disarmer(void *arg)
{
    (void)arg;
    stack = 10;
    quiet = rdl_wait_disarm(&wait);
    if (!quiet) {
        run_sleeper();
    } else {
        model_check(model_count(&runs) == 1);
        stack++;
    }
}

static void begin_disarm(void)
{
    begin();
    ticket = rdl_wait_arm(&wait);
    model_spawn("disarmer", disarmer, NULL);
    model_spawn("completion", waker, number(0));
    model_spawn("timer", waker, number(1));
}

static void end_poked(void)
{
    end_disarmed();
    model_check(rdl_atomic_load_relaxed(&wait.poked) == 1);
}

/* The same with a poke, which stays behind where it ends nothing. */
static void begin_disarm_poke(void)
{
    begin();
    ticket = rdl_wait_arm(&wait);
    model_spawn("disarmer", poked_disarmer, NULL);
    model_spawn("completion", waker, number(0));
    model_spawn("poker", poker, NULL);
}

/* From here on: a task that looks, arms and parks, several times. */

static rdl_atomic(uint32_t) causes[2]; /* two scopes around the task: cancelled */
static rdl_atomic(uint32_t) queued;    /* how often the task was put on a run queue */
static struct rdl_lock op_lock;        /* an operation that the task waits for */
static bool op_done;                   /* under op_lock */
static struct rdl_ticket op_ticket;    /* under op_lock */

static void begin_task(void)
{
    begin();
    rdl_atomic_init(&causes[0], 0u);
    rdl_atomic_init(&causes[1], 0u);
    rdl_atomic_init(&queued, 0u);
    rdl_atomic_init(&op_lock.held, 0u);
    op_done = false;
    op_ticket = (struct rdl_ticket){0};
}

static void owe(enum rdl_fire fire)
{
    if (fire == RDL_FIRE_QUEUE)
        (void)rdl_atomic_fetch_add_acq_rel(&queued, 1u);
}

/* What a task does before it looks at its scopes. */
static void clear_poked(void)
{
    (void)rdl_atomic_exchange_acq_rel(&wait.poked, 0u);
}

/* Park and, if that holds, sleep until queued. times: how often the task was queued so far. */
static int32_t land(uint32_t *times)
{
    stack = 10;
    if (rdl_wait_park(&wait)) {
        model_sleep_while(&queued, *times);
        model_check(rdl_atomic_fetch_add_acq_rel(&queued, 0u) == ++*times);
    }
    model_check(stack == 10);
    return rdl_wait_result(&wait);
}

/* Ends when both causes were seen. Nothing but a poke ends its waits. */
static void cancelled_task(void *arg)
{
    uint32_t times = 0;

    (void)arg;
    for (;;) {
        clear_poked();
        if (rdl_atomic_load_relaxed(&causes[0]) && rdl_atomic_load_relaxed(&causes[1]))
            return;
        (void)rdl_wait_arm(&wait);
        model_check(land(&times) == -ECANCELED);
    }
}

static void canceller(void *arg)
{
    rdl_atomic_store_relaxed(&causes[*(const unsigned *)arg], 1u);
    owe(rdl_wait_poke(&wait, 0, -ECANCELED));
}

static void begin_two_cancels(void)
{
    begin_task();
    model_spawn("task", cancelled_task, NULL);
    model_spawn("canceller 0", canceller, number(0));
    model_spawn("canceller 1", canceller, number(1));
}

/* Waits for the operation, whatever pokes say; true if it was done. */
static bool wait_for_op(uint32_t *times)
{
    struct rdl_ticket mine;

    rdl_lock_acquire(&op_lock);
    if (op_done) {
        rdl_lock_release(&op_lock);
        return true;
    }
    mine = rdl_wait_arm(&wait);
    op_ticket = mine;
    rdl_lock_release(&op_lock);

    switch (land(times)) {
    case COMPLETION:
        return true;
    case -ECANCELED:
        return false;
    default:
        model_fail("cancelled through the shield");
    }
}

static void complete_op(void *arg)
{
    struct rdl_ticket theirs;

    (void)arg;
    rdl_lock_acquire(&op_lock);
    op_done = true;
    theirs = op_ticket;
    rdl_lock_release(&op_lock);
    if (theirs.wait)
        owe(rdl_wait_fire(theirs, COMPLETION));
}

/* First waits for the operation, shielded, then for the cancel, which may have come long before. */
static void shielded_task(void *arg)
{
    uint32_t times = 0;

    (void)arg;
    rdl_atomic_store_relaxed(&wait.shield_depth, 2u);
    do
        clear_poked();
    while (!wait_for_op(&times));
    rdl_atomic_store_relaxed(&wait.shield_depth, 0u);
    for (;;) {
        clear_poked();
        if (rdl_atomic_load_relaxed(&causes[0]))
            return;
        (void)rdl_wait_arm(&wait);
        (void)land(&times);
    }
}

static void outer_canceller(void *arg)
{
    (void)arg;
    rdl_atomic_store_relaxed(&causes[0], 1u);
    owe(rdl_wait_poke(&wait, 1, CANCEL));
}

static void begin_shield(void)
{
    begin_task();
    model_spawn("task", shielded_task, NULL);
    model_spawn("completion", complete_op, NULL);
    model_spawn("canceller", outer_canceller, NULL);
}

/* An unshielded operation against a cancel: ends by one or the other. */
static void either_task(void *arg)
{
    uint32_t times = 0;

    (void)arg;
    for (;;) {
        clear_poked();
        if (rdl_atomic_load_relaxed(&causes[0]) || wait_for_op(&times))
            return;
    }
}

static void begin_either(void)
{
    begin_task();
    model_spawn("task", either_task, NULL);
    if (model_choose(2))
        model_spawn("completion", complete_op, NULL);
    model_spawn("canceller", canceller, number(0));
}

const char *const model_unwatched_names[] = {NULL};
const char model_scenario_name[] = "wait";
/* Somebody looks at the sleeper's stack, which is written to before it parks and by whoever runs it afterwards. */
enum { PARKED_FRAME = 7, OTHER_FRAME = 8 };

static rdl_atomic(uint32_t) frame;

static void frame_waker(void *arg)
{
    const unsigned i = *(const unsigned *)arg;

    buffers[i] = 1;
    if (rdl_wait_fire(ticket, results[i]) == RDL_FIRE_QUEUE) {
        rdl_atomic_store_relaxed(&frame, OTHER_FRAME);
        run_sleeper();
    }
}

static void frame_lander(void *arg)
{
    (void)arg;
    stack = 10;
    rdl_atomic_store_relaxed(&frame, PARKED_FRAME);
    if (!rdl_wait_park(&wait)) {
        rdl_atomic_store_relaxed(&frame, OTHER_FRAME);
        run_sleeper();
    }
}

static void looker(void *arg)
{
    uint64_t word;

    (void)arg;
    for (int i = 0; i < 2; i++)
        if (rdl_wait_is_parked(&wait, &word)) {
            uint32_t seen = rdl_atomic_load_relaxed(&frame);

            if (rdl_wait_still_is(&wait, word))
                model_check(seen == PARKED_FRAME);
        }
}

static void begin_look(void)
{
    begin();
    rdl_atomic_init(&frame, OTHER_FRAME);
    ticket = rdl_wait_arm(&wait);
    model_spawn("lander", frame_lander, NULL);
    model_spawn("completion", frame_waker, number(0));
    model_spawn("looker", looker, NULL);
}

static void end_looked_at(void)
{
    uint64_t word;

    end_ran_once();
    model_check(!rdl_wait_is_parked(&wait, &word));
}

const struct model_case model_cases[] = {
    {"fire", begin_fire, end_ran_once},
    {"fire_fire", begin_fire_fire, end_ran_once},
    {"fire_fire_fire", begin_fire_fire_fire, end_ran_once},
    {"poke", begin_poke, end_ran_once},
    {"fire_poke", begin_fire_poke, end_ran_once},
    {"fire_fire_poke", begin_fire_fire_poke, end_ran_once},
    {"poke_poke", begin_poke_poke, end_ran_once},
    {"fire_poke_poke", begin_fire_poke_poke, end_ran_once},
    {"disarm", begin_disarm, end_disarmed},
    {"disarm_poke", begin_disarm_poke, end_poked},
    {"two_cancels", begin_two_cancels, NULL},
    {"shield", begin_shield, NULL},
    {"either", begin_either, NULL},
    {"look", begin_look, end_looked_at},
    {0},
};
