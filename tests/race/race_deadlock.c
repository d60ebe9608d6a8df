/*
 * tests/race/race_deadlock.c - tasks of several loops and plain threads take several mutexes at a time in debug mode:
 * in one order there is never a deadlock, nor a report of one; in any order each is found, and all get to their end.
 *
 *     race_deadlock [--rounds N] [--loops N]
 *
 * A round is TASKS tasks and THREADS threads, each of which OPS (THREAD_OPS) times locks HELD of the mutexes, and then
 * unlocks them.
 * Who is refused gives back what it has and tries again. In rounds of the third kind the waits of some tasks have a
 * deadline.
 */
#define _GNU_SOURCE
#include "tests/support/runtime.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

enum { TASKS = 12, THREADS = 2, MUTEXES = 5, HELD = 3, OPS = 20, THREAD_OPS = 3, KINDS = 3 };

enum kind { IN_ORDER, ANY_ORDER, WITH_DEADLINES };

struct user {
    unsigned number;
    uint32_t random;
    bool is_task;
};

static const char *const names[KINDS] = {"in order", "any order", "with deadlines"};
static enum kind kind;
static struct raddle_mutex mutexes[MUTEXES];
static unsigned long guarded[MUTEXES]; /* plain: under the mutex of the same number */
static struct user users[TASKS + THREADS];
static rdl_atomic(unsigned) done, refused, reported, hopeful;

static void count_report(const char *line, void *arg)
{
    (void)arg;
    rdl_atomic_fetch_add_relaxed(strstr(line, "a deadline, or the end of") ? &hopeful : &reported,
                                 1u);
}

/* A thread holds up everybody until it runs again, on a busy machine for long: it does so seldom. */
static void give_way(struct user *user)
{
    if (user->is_task)
        (void)raddle_yield();
    else if (test_random(&user->random) % 8 == 0)
        sched_yield();
}

/* HELD different numbers, in ascending order or in any. */
static void choose(struct user *user, unsigned *chosen)
{
    unsigned all[MUTEXES];

    for (unsigned i = 0; i < MUTEXES; i++)
        all[i] = i;
    for (unsigned i = 0; i < HELD; i++) {
        unsigned j = i + test_random(&user->random) % (MUTEXES - i), chosen_one = all[j];
        all[j] = all[i];
        all[i] = chosen_one;
        chosen[i] = chosen_one;
    }
    for (unsigned i = 0; kind == IN_ORDER && i < HELD; i++)
        for (unsigned j = i + 1; j < HELD; j++)
            if (chosen[j] < chosen[i]) {
                unsigned smaller = chosen[j];
                chosen[j] = chosen[i];
                chosen[i] = smaller;
            }
}

static int lock_one(struct user *user, unsigned number)
{
    struct raddle_scope limit;
    uint32_t random = test_random(&user->random);
    int rc;

    if (kind != WITH_DEADLINES || !user->is_task || random % 2)
        return raddle_lock(&mutexes[number]);
    raddle_scope_enter(&limit, raddle_in(random % 300000), 0);
    rc = raddle_lock(&mutexes[number]);
    /* Also when it has passed meanwhile: who has the mutex has it. */
    return raddle_scope_leave(&limit, rc);
}

/* 0, or why it got nothing. */
static int use(struct user *user)
{
    unsigned chosen[HELD], had;
    int rc = 0;

    choose(user, chosen);
    for (had = 0; had < HELD && rc == 0; had += rc == 0) {
        rc = lock_one(user, chosen[had]);
        if (rc == 0)
            guarded[chosen[had]]++;
        if (test_random(&user->random) % 2)
            give_way(user);
    }
    while (had)
        EXPECT_EQ(raddle_unlock(&mutexes[chosen[--had]]), 0);
    return rc;
}

static int user_task(void *arg)
{
    struct user *user = arg;

    for (unsigned i = 0; i < (user->is_task ? OPS : THREAD_OPS);) {
        int rc = use(user);
        if (rc == -EDEADLK)
            rdl_atomic_fetch_add_relaxed(&refused, 1u);
        else if (rc < 0)
            EXPECT(rc == -ETIMEDOUT && kind == WITH_DEADLINES && user->is_task);
        i += rc == 0;
        give_way(user);
    }
    rdl_atomic_fetch_add_acq_rel(&done, 1u);
    return 0;
}

static void *user_thread(void *arg)
{
    (void)user_task(arg);
    return NULL;
}

static int all_of_them(void *arg)
{
    struct raddle_spawn_options o = {.mobility = RADDLE_MIGRATABLE};
    pthread_t threads[THREADS];
    struct raddle_group g;
    int rc;

    (void)arg;
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (unsigned i = 0; i < THREADS; i++)
        EXPECT_EQ(pthread_create(&threads[i], NULL, user_thread, &users[TASKS + i]), 0);
    for (unsigned i = 0; i < TASKS; i++)
        EXPECT_EQ(raddle_spawn(&g, NULL, user_task, &users[i], i % 2 ? &o : NULL), 0);
    rc = raddle_group_close(&g, 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    return rc;
}

static void round_of(enum kind which, unsigned number, unsigned loops)
{
    struct raddle_run_options o = {.loops = loops, .debug = "1,slow=0,chain=0"};

    kind = which;
    memset(guarded, 0, sizeof(guarded));
    rdl_atomic_store_relaxed(&done, 0u);
    rdl_atomic_store_relaxed(&refused, 0u);
    rdl_atomic_store_relaxed(&reported, 0u);
    rdl_atomic_store_relaxed(&hopeful, 0u);
    for (unsigned i = 0; i < TASKS + THREADS; i++)
        users[i] = (struct user){.number = i,
                                 .random = number * 1000003u + (unsigned)which * 31u + i + 1u,
                                 .is_task = i < TASKS};
    EXPECT_EQ(raddle_run(all_of_them, NULL, &o), 0);
    EXPECT_EQ(done, TASKS + THREADS);
    /* Each refusal has its report, and the other way round. */
    EXPECT_EQ(reported, refused);
    if (which != WITH_DEADLINES)
        EXPECT_EQ(hopeful, 0);
    if (which == IN_ORDER)
        EXPECT_EQ(refused, 0);
    for (unsigned i = 0; i < MUTEXES; i++)
        EXPECT(!raddle_locked(&mutexes[i]));
}

int main(int argc, char **argv)
{
    unsigned rounds = (unsigned)test_argument(argc, argv, "--rounds", 4);
    unsigned loops = (unsigned)test_argument(argc, argv, "--loops", test_loops());
    unsigned long found[KINDS] = {0}, waited[KINDS] = {0};

    raddle_on_report(count_report, NULL);
    for (unsigned i = 0; i < rounds * KINDS && !test_failures(); i++) {
        round_of((enum kind)(i % KINDS), i, loops);
        found[i % KINDS] += refused;
        waited[i % KINDS] += hopeful;
    }
    raddle_on_report(NULL, NULL);
    /* Else it has raced for nothing. */
    EXPECT(found[ANY_ORDER] > 0);
    for (unsigned k = 0; k < KINDS; k++)
        printf("%s: %u rounds, %lu deadlocks refused, %lu left to a deadline\n", names[k], rounds,
               found[k], waited[k]);
    return test_result();
}
