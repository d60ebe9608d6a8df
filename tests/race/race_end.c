/*
 * tests/race/race_end.c - whoever makes a loop go on may make it come to its end: runs and loops that are
 * freed while another thread is still on its way out of the call that ended them.
 *
 *     race_end [--rounds N] [--loops N]
 *
 * Each round is one of these, and over as soon as the other thread lets it:
 *   job      the main task waits for a job in an executor that outlives the run
 *   cancel   the main task sleeps and is cancelled by a thread
 *   post     the main task waits for what a thread's callback says
 *   stop     a loop that is alone is stopped by a thread, and closed
 */
#define _GNU_SOURCE
#include "tests/support/runtime.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>

#include "runtime/task.h"
#include "sched/loop.h"
#include "tests/support/counted.h"

enum { KINDS = 4 };

static const char *const kinds[KINDS] = {"job", "cancel", "post", "stop"};
static unsigned loops;
static raddle_executor *executor;
static unsigned long ended[KINDS];

/* What the thread is to do next; its turn begins with go and is over, all of it, with done. */
static sem_t go, done;
static unsigned kind;
static raddle_task *target_task;
static raddle_loop *target_loop;
static struct rdl_ticket target_ticket;
static bool finished;

static int job(void *arg)
{
    return *(int *)arg;
}

static int waits_for_job(void *arg)
{
    int nine = 9, result = 0;

    (void)arg;
    EXPECT_EQ(raddle_run_in_executor(executor, job, &nine, &result), 0);
    return result;
}

static int waits_for_cancel(void *arg)
{
    (void)arg;
    target_task = raddle_task_ref(raddle_self());
    sem_post(&go);
    return raddle_sleep_until(RADDLE_NEVER);
}

/* On the loop: what the main task waits for. */
static void lets_go(void *arg)
{
    (void)arg;
    (void)rdl_fiber_fire(target_ticket, 9);
}

static int waits_for_post(void *arg)
{
    struct rdl_fiber *self = rdl_fiber_self();

    (void)arg;
    target_loop = raddle_running_loop();
    target_ticket = rdl_fiber_arm(self, RDL_PARK_CANCELLABLE);
    sem_post(&go);
    return rdl_fiber_park(self, RDL_PARK_CANCELLABLE, "a callback", 0);
}

static void *other_thread(void *arg)
{
    (void)arg;
    for (;;) {
        sem_wait(&go);
        if (finished)
            return NULL;
        switch (kind) {
        case 1:
            EXPECT_EQ(raddle_task_cancel(target_task, NULL), 0);
            raddle_task_unref(target_task);
            break;
        case 2:
            EXPECT_EQ(raddle_call_soon(target_loop, lets_go, NULL), 0);
            break;
        case 3:
            raddle_loop_stop(target_loop);
            break;
        }
        sem_post(&done);
    }
}

static void one_round(void)
{
    switch (kind) {
    case 0:
        EXPECT_EQ(test_run_on(loops, waits_for_job, NULL), 9);
        return; /* without the thread */
    case 1:
        EXPECT_EQ(test_run_on(loops, waits_for_cancel, NULL), -ECANCELED);
        break;
    case 2:
        EXPECT_EQ(test_run_on(loops, waits_for_post, NULL), 9);
        break;
    case 3:
        EXPECT_EQ(raddle_new_loop(&target_loop), 0);
        sem_post(&go);
        EXPECT_EQ(raddle_loop_run_forever(target_loop), 0);
        EXPECT_EQ(raddle_loop_close(target_loop), 0);
        break;
    }
    /* The loops are gone; only now is it certain that the thread is, too. */
    sem_wait(&done);
}

int main(int argc, char **argv)
{
    unsigned long rounds = test_argument(argc, argv, "--rounds", 2000);
    struct test_footprint before;
    pthread_t thread;

    loops = (unsigned)test_argument(argc, argv, "--loops", test_loops());
    if (test_run_on(1, test_nothing, NULL) != 0 || raddle_executor_create(NULL, &executor) != 0)
        return 1;
    before = test_footprint();
    sem_init(&go, 0, 0);
    sem_init(&done, 0, 0);
    if (pthread_create(&thread, NULL, other_thread, NULL))
        return 1;
    for (unsigned long i = 0; i < rounds && test_failures() == 0; i++) {
        kind = (unsigned)(i % KINDS);
        one_round();
        ended[kind]++;
    }
    finished = true;
    sem_post(&go);
    pthread_join(thread, NULL);
    raddle_executor_destroy(executor);
    test_same_footprint(&before);
    printf("%u loops:", loops);
    for (unsigned i = 0; i < KINDS; i++)
        printf(" %lu by %s%s", ended[i], kinds[i], i + 1 < KINDS ? "," : "\n");
    test_counted(rounds, "races");
    return test_result();
}
