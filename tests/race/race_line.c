/*
 * tests/race/race_line.c - tens of thousands of tasks in one line, for room in an executor's queue, leave it from its
 * end: each is cancelled before those in front of it.
 *
 *     race_line [--tasks N] [--loops N]
 *
 * Nothing here measures a time. But a line in which a place has to be searched for takes minutes for this, which is
 * more than the test may last.
 */
#include "tests/support/runtime.h"

#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>

static raddle_executor *executor;
static raddle_task **tasks;
static unsigned long count;
static sem_t gate;
static rdl_atomic(unsigned) waiting, ran, cancelled;

static int pass_gate(void *arg)
{
    (void)arg;
    while (sem_wait(&gate) != 0)
        ;
    sem_post(&gate);
    rdl_atomic_fetch_add_acq_rel(&ran, 1u);
    return 0;
}

static int wait_in_line(void *arg)
{
    int rc;

    (void)arg;
    rdl_atomic_fetch_add_acq_rel(&waiting, 1u);
    rc = raddle_run_in_executor(executor, pass_gate, NULL, NULL);
    if (rc == -ECANCELED)
        rdl_atomic_fetch_add_acq_rel(&cancelled, 1u);
    else
        EXPECT_EQ(rc, 0);
    return rc;
}

static int race(void *arg)
{
    struct raddle_group g;

    (void)arg;
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (unsigned long i = 0; i < count; i++)
        EXPECT_EQ(raddle_spawn(&g, &tasks[i], wait_in_line, NULL, NULL), 0);
    while (rdl_atomic_load_acquire(&waiting) != count)
        EXPECT_EQ(raddle_sleep(RADDLE_MS(1)), 0);
    for (unsigned long i = count; i > 0; i--)
        EXPECT_EQ(raddle_task_cancel(tasks[i - 1], NULL), 0);
    sem_post(&gate);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    for (unsigned long i = 0; i < count; i++)
        raddle_task_unref(tasks[i]);
    return 0;
}

int main(int argc, char **argv)
{
    struct raddle_executor_options narrow = {.max_threads = 1, .queue_limit = 1};
    unsigned loops = (unsigned)test_argument(argc, argv, "--loops", test_loops());

    count = test_argument(argc, argv, "--tasks", test_slowness() > 1 ? 2000 : 40000);
    tasks = calloc(count, sizeof(raddle_task *));
    sem_init(&gate, 0, 0);
    if (!tasks || raddle_executor_create(&narrow, &executor) != 0)
        return 1;
    EXPECT_EQ(test_run_on(loops, race, NULL), 0);
    raddle_executor_destroy(executor);
    EXPECT_EQ(ran + cancelled, count);
    printf("%lu tasks in line: %u cancelled, %u jobs run\n", count, cancelled, ran);
    free(tasks);
    return test_result();
}
