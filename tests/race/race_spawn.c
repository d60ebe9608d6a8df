/*
 * tests/race/race_spawn.c - several loops spawn, join and end tasks whose handles travel to a foreign
 * thread and outlive them, while another thread prints all tasks all the time.
 *
 *     race_spawn [--rounds N] [--loops N]
 *
 * A round is one task with a handle. Its parent or the foreign thread gives back the last reference,
 * whichever comes later, often while the task ends. One task is parked during the whole run: every
 * print must show it.
 */
#define _GNU_SOURCE
#include "tests/support/runtime.h"
#include "tests/support/counted.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SLOTS = 64, PARENTS = 8 };

static unsigned long rounds;
static rdl_atomic(raddle_task *) slots[SLOTS]; /* handles on their way to the thread */
static rdl_atomic(unsigned long) spawned, ended, taken, pending;
static rdl_atomic(unsigned) over, parked;
static unsigned long prints;

static int child(void *arg)
{
    uintptr_t n = (uintptr_t)arg;
    raddle_task *self = raddle_self();

    EXPECT(self);
    if (n % 3 == 0)
        EXPECT_EQ(raddle_yield(), 0);
    if (n % 7 == 0)
        EXPECT_EQ(raddle_sleep(RADDLE_US(n % 50)), 0);
    EXPECT(raddle_self() == self);
    rdl_atomic_fetch_add_relaxed(&ended, 1ul);
    return (int)(n % 1000);
}

/* Hands a reference to the thread, or gives it back itself where the slot is taken. */
static void hand_over(raddle_task *task, unsigned slot)
{
    raddle_task *none = NULL;

    raddle_task_ref(task);
    if (!rdl_atomic_cas_acq_rel(&slots[slot % SLOTS], &none, task))
        raddle_task_unref(task);
}

static int parent(void *arg)
{
    uintptr_t me = (uintptr_t)arg;
    unsigned long mine = rounds / PARENTS;

    for (unsigned long i = 0; i < mine; i += 4) {
        raddle_task *tasks[4];
        struct raddle_group g;

        EXPECT_EQ(raddle_group_open(&g, NULL), 0);
        for (unsigned k = 0; k < 4; k++) {
            uintptr_t n = i + k;
            EXPECT_EQ(raddle_spawn(&g, &tasks[k], child, (void *)n, NULL), 0);
            rdl_atomic_fetch_add_relaxed(&spawned, 1ul);
            hand_over(tasks[k], (unsigned)(n * PARENTS + me));
        }
        for (unsigned k = 0; k < 4; k++) {
            struct raddle_outcome outcome = {.kind = RADDLE_PENDING};
            /* Some are joined, some not; some handles are given back before the end. */
            if (k & 1) {
                EXPECT_EQ(raddle_join(tasks[k], &outcome), 0);
                EXPECT_EQ(outcome.kind, RADDLE_OK);
                EXPECT_EQ(outcome.rc, (i + k) % 1000);
            }
            raddle_task_unref(tasks[k]);
        }
        EXPECT_EQ(raddle_group_close(&g, 0), 0);
    }
    return 0;
}

static int parked_task(void *arg)
{
    (void)arg;
    rdl_atomic_store_release(&parked, 1u);
    return raddle_sleep_until(RADDLE_NEVER);
}

static int spawn_all(void *arg)
{
    struct raddle_group g, parents;
    struct raddle_spawn_options options = {.name = "always here"};
    (void)arg;

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, NULL, parked_task, NULL, &options), 0);
    test_await(&parked, 1);
    EXPECT_EQ(raddle_group_open(&parents, NULL), 0);
    for (uintptr_t i = 0; i < PARENTS; i++)
        EXPECT_EQ(raddle_spawn(&parents, NULL, parent, (void *)i, NULL), 0);
    EXPECT_EQ(raddle_group_close(&parents, 0), 0);
    rdl_atomic_store_release(&parked, 0u);
    raddle_group_cancel(&g, NULL);
    return raddle_group_close(&g, 0);
}

/* Looks at handles and gives them back, at any moment of their task's life. */
static void *watcher(void *arg)
{
    (void)arg;
    for (;;) {
        bool last = rdl_atomic_load_acquire(&over);
        for (unsigned i = 0; i < SLOTS; i++) {
            raddle_task *task = rdl_atomic_exchange_acq_rel(&slots[i], NULL);
            struct raddle_outcome outcome;
            int rc;

            if (!task)
                continue;
            EXPECT_STR(raddle_task_name(task), "child");
            rc = raddle_outcome_of(task, &outcome);
            if (rc == 0)
                EXPECT_EQ(outcome.kind, RADDLE_OK);
            else
                EXPECT_EQ(rc, -EINPROGRESS);
            rdl_atomic_fetch_add_relaxed(rc == 0 ? &taken : &pending, 1ul);
            raddle_task_unref(task);
        }
        if (last)
            return NULL;
        sched_yield();
    }
}

static void *printer(void *arg)
{
    static char text[1 << 16];
    int fd = memfd_create("tasks", MFD_CLOEXEC);
    (void)arg;

    EXPECT(fd >= 0);
    while (!rdl_atomic_load_acquire(&over)) {
        bool was_parked = rdl_atomic_load_acquire(&parked);
        int count;
        ssize_t n;

        EXPECT_EQ(ftruncate(fd, 0), 0);
        EXPECT_EQ(lseek(fd, 0, SEEK_SET), 0);
        count = raddle_print_tasks(fd);
        EXPECT(count >= 0);
        n = pread(fd, text, sizeof(text) - 1, 0);
        EXPECT(n > 0);
        text[n > 0 ? n : 0] = 0;
        if (was_parked && rdl_atomic_load_acquire(&parked)) {
            EXPECT(count >= 2);
            EXPECT(strstr(text, "always here"));
        }
        prints++;
        sched_yield();
    }
    close(fd);
    return NULL;
}

int main(int argc, char **argv)
{
    unsigned loops = (unsigned)test_argument(argc, argv, "--loops", test_loops());
    struct test_footprint before;
    pthread_t threads[2];

    rounds = test_argument(argc, argv, "--rounds", 40000);
    if (test_run_on(1, test_nothing, NULL) != 0)
        return 1;
    before = test_footprint();
    if (pthread_create(&threads[0], NULL, watcher, NULL) ||
        pthread_create(&threads[1], NULL, printer, NULL))
        return 1;
    EXPECT_EQ(test_run_on(loops, spawn_all, NULL), 0);
    rdl_atomic_store_release(&over, 1u);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    EXPECT_EQ(ended, spawned);
    test_same_footprint(&before);
    printf("%u loops: %lu tasks; %lu handles seen while they ran, %lu after; %lu prints\n", loops,
           rdl_atomic_load_relaxed(&spawned), rdl_atomic_load_relaxed(&pending),
           rdl_atomic_load_relaxed(&taken), prints);
    test_counted(rdl_atomic_load_relaxed(&spawned), "races");
    return test_result();
}
