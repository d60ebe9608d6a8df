/*
 * raddle/bench_switch.c - how long it takes to go from one coroutine to another.
 *
 * A processor predicts where an indirect jump goes, and a benchmark with one place to come back to
 * measures that it is always right. So each coroutine here has eight places at which it switches.
 *
 *     switch.inline     as the scheduler does it: expanded in place
 *     switch.called     the assembly function
 *     switch.wake       a task wakes another one and parks
 */
#include "tools/raddle/bench.h"

#include "sched/coroutine.h"
#include "sched/fiber.h"
#include "sched/loop.h"
#include "sched/stack.h"
#include "tools/raddle/cli.h"

struct pair {
    struct rdl_coroutine main, a, b;
    uint64_t rounds;
    uint64_t switches;
    bool stop;
};

#define EIGHT(x) x x x x x x x x

#define COROUTINES(kind, call)                                                                     \
    static struct rdl_coroutine *kind##_a(void *arg)                                               \
    {                                                                                              \
        struct pair *pair = arg;                                                                   \
                                                                                                   \
        for (uint64_t i = 0; i < pair->rounds; i++) {                                              \
            EIGHT(pair->switches++; call(&pair->a, &pair->b);)                                     \
        }                                                                                          \
        pair->stop = true;                                                                         \
        return &pair->b;                                                                           \
    }                                                                                              \
                                                                                                   \
    static struct rdl_coroutine *kind##_b(void *arg)                                               \
    {                                                                                              \
        struct pair *pair = arg;                                                                   \
                                                                                                   \
        while (!pair->stop) {                                                                      \
            EIGHT(if (pair->stop) break; pair->switches++; call(&pair->b, &pair->a);)              \
        }                                                                                          \
        return &pair->main;                                                                        \
    }

COROUTINES(inlined, rdl_coroutine_switch_inline)
COROUTINES(called, rdl_coroutine_switch)

static int measure_pair(struct rdl_bench *bench, const char *name, rdl_coroutine_fn *a,
                        rdl_coroutine_fn *b)
{
    uint64_t rounds = bench->quick ? 200 * 1000 : 1000 * 1000;
    unsigned samples = rdl_bench_samples(bench, 9);
    struct rdl_stack *stack_a, *stack_b;
    struct rdl_series series, warm_up;
    int rc = rdl_stack_get(NULL, 0, &stack_a);

    if (rc == 0)
        rc = rdl_stack_get(NULL, 0, &stack_b);
    if (rc)
        return rdl_cli_error("bench %s: %s", name, raddle_strerror(rc));
    rdl_series_init(&series, name, "ns", 0);
    rdl_series_init(&warm_up, name, "ns", 0);
    for (unsigned i = 0; i < samples + 1; i++) {
        struct pair pair = {.rounds = rounds};
        struct rdl_stopwatch watch;

        rdl_coroutine_init_thread(&pair.main);
        rdl_coroutine_init(&pair.a, stack_a->low, stack_a->top, a, &pair);
        rdl_coroutine_init(&pair.b, stack_b->low, stack_b->top, b, &pair);
        rdl_stopwatch_start(&watch);
        rdl_coroutine_switch(&pair.main, &pair.a);
        rdl_stopwatch_add(&watch, pair.switches, i ? &series : &warm_up);
        rdl_coroutine_fini(&pair.a);
        rdl_coroutine_fini(&pair.b);
        rdl_coroutine_fini_thread(&pair.main);
        if (pair.switches != 16 * rounds)
            return rdl_bench_wrong(name, pair.switches, 16 * rounds), 1;
    }
    rdl_stack_put(NULL, stack_a);
    rdl_stack_put(NULL, stack_b);
    rdl_bench_print(bench, &series);
    return 0;
}

/* Two tasks on one loop. The wait of the one that does not run is armed and parked, so waking it
 * hands it over to the loop, and the park goes to it. */
struct game {
    uint64_t rounds;
    uint64_t wakes;
    struct rdl_ticket ticket[2];
    bool waiting[2];
};

struct player {
    struct game *game;
    int side;
};

static __attribute__((always_inline)) inline void play(struct game *game, struct rdl_fiber *self,
                                                       int side)
{
    game->ticket[side] = rdl_fiber_arm(self, RDL_PARK_SHIELDED);
    game->waiting[side] = true;
    if (game->waiting[!side]) {
        game->waiting[!side] = false;
        game->wakes++;
        (void)rdl_fiber_fire(game->ticket[!side], 0);
    }
    /* It may wake for nothing: then it waits again. */
    (void)rdl_fiber_park(self, RDL_PARK_SHIELDED, "bench", 0);
    while (game->waiting[side]) {
        game->ticket[side] = rdl_fiber_arm(self, RDL_PARK_SHIELDED);
        (void)rdl_fiber_park(self, RDL_PARK_SHIELDED, "bench", 0);
    }
}

static int player_task(void *arg)
{
    struct player *player = arg;
    struct game *game = player->game;
    struct rdl_fiber *self = rdl_fiber_self();

    for (uint64_t i = 0; i < game->rounds; i++) {
        EIGHT(play(game, self, player->side);)
    }
    /* The other one waits for its last turn. */
    if (game->waiting[!player->side]) {
        game->waiting[!player->side] = false;
        (void)rdl_fiber_fire(game->ticket[!player->side], 0);
    }
    return 0;
}

static int wake_each_other(void *arg, struct rdl_series *series)
{
    struct rdl_bench *bench = arg;
    struct game game = {.rounds = bench->quick ? 50 * 1000 : 200 * 1000};
    struct player players[2] = {{&game, 0}, {&game, 1}};
    struct rdl_stopwatch watch;
    struct raddle_group group;
    int rc;

    rdl_stopwatch_start(&watch);
    rc = raddle_group_open(&group, NULL);
    for (int side = 0; rc == 0 && side < 2; side++)
        rc = raddle_spawn(&group, NULL, player_task, &players[side], NULL);
    rc = raddle_group_close(&group, rc);
    rdl_stopwatch_add(&watch, game.wakes ? game.wakes : 1, series);
    /* All but the first turn of the first are begun by a wake. */
    if (rc == 0 && game.wakes < 16 * game.rounds - 16)
        rc = rdl_bench_wrong("switch.wake", game.wakes, 16 * game.rounds - 1);
    return rc;
}

static int wake_main(void *arg)
{
    return rdl_bench_repeat(arg, "switch.wake", "ns", wake_each_other, arg);
}

int rdl_bench_switch(struct rdl_bench *bench)
{
    int status = 0;

    if (RDL_COROUTINE_INLINE)
        status |= measure_pair(bench, "switch.inline", inlined_a, inlined_b);
    status |= measure_pair(bench, "switch.called", called_a, called_b);
    status |= rdl_bench_run(bench, 1, wake_main, bench);
    return status;
}
