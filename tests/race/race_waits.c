/*
 * tests/race/race_waits.c - tasks parked in every kind of wait there is, in nested groups and scopes, are
 * cancelled by a foreign thread, while another one completes some of the waits.
 *
 *     race_waits [--rounds N] [--loops N] [--tasks N]
 *
 * A cell is a task with CELL_TASKS children and a few descriptors that they share; a region is a task
 * whose children are cells. All children wait, each in one of the ways below. Then a thread cancels every
 * region, every cell, or every single child, round by round; another one walks through the cells at the
 * same time and sends, receives, connects, and lets the executor's threads go. A few of the children
 * complete by themselves when the storm begins, and a few go on entering scopes and groups. Beside them all
 * survivors wait for the same things, whom nobody cancels. Wanted:
 *
 *     as many tasks have ended as were spawned, each cancelled one knows why
 *     tokens sent = received by tasks + left in the descriptors, in number and in sum; each in its cell
 *     tokens that tasks have sent = those that came out at the other end
 *     connections made = accepted by tasks + left in the backlog
 *     jobs that have run = calls that returned 0
 *     every survivor gets what it waits for: none of the cancelled has taken a wake with it
 *     no stack and no descriptor is left
 *
 * Where four loops are asked for, every second round has two.
 */
#define _GNU_SOURCE
#include "tests/race/waits.h"
#include "tests/support/counted.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    REGION_CELLS = 25,
    CELLS_MAX = 1000,
    CONNECTS = 2,
    DESCRIPTORS = CELL_DESCRIPTORS + CONNECTS + 3, /* and some that are accepted at that moment */
    JOB_THREADS = 2,
    JOBS_QUEUED = 16,
    PATIENCE_S = 60,
};

static const char *const names[KINDS] = {
    "sleep",   "sleep_until", "sleep in scopes", "clean-up", "join",  "job",
    "recv",    "waitall",     "recvmsg",         "read",     "readv", "send",
    "sendmsg", "write",       "writev",          "accept",   "poll",  "group",
    "connect", "completes",   "enters",
};

struct child {
    struct cell *cell;
    unsigned number;
};

static struct cell *cells;
static struct child *children, *survivors;
static unsigned cell_count;
static raddle_task *regions[CELLS_MAX / REGION_CELLS];
static unsigned region_count;

static rdl_atomic(uint64_t) spawned, ended, completed[KINDS], cancelled[KINDS];
static rdl_atomic(unsigned) parked;
static rdl_atomic(bool) storming;
static rdl_atomic(uint64_t) jobs_run, jobs_done, survived;

static raddle_executor *executor;
static sem_t turnstile; /* jobs pass it one by one when it is open */
static sem_t go[2];
static rdl_atomic(unsigned) through;
static rdl_atomic(bool) finished;
static rdl_atomic(unsigned) fed; /* cells, in this round */
static unsigned long round_number;

static struct sockaddr_in clogged; /* a listener that takes no connection any more */
static int blocked[64];

static uint64_t value(const rdl_atomic(uint64_t) * counter)
{
    return rdl_atomic_load_relaxed(counter);
}

static int spawn(struct raddle_group *g, raddle_task **out, raddle_task_fn *fn, void *arg,
                 unsigned number)
{
    struct raddle_spawn_options moves = {.mobility = RADDLE_MIGRATABLE};
    int rc = raddle_spawn(g, out, fn, arg, number % 3 ? NULL : &moves);

    EXPECT_EQ(rc, 0);
    if (rc == 0)
        waits_add(&spawned, 1);
    return rc;
}

/* The waits. Each returns 0 or more when it completed. */

static int sleep_in_scopes(void)
{
    struct raddle_scope far, shield, inner;
    int rc;

    raddle_scope_enter(&far, raddle_in(RADDLE_S(2000)), 0);
    raddle_scope_enter(&shield, 0, RADDLE_QUIET);
    raddle_scope_enter(&inner, raddle_in(RADDLE_S(1000)), 0);
    rc = raddle_sleep_until(RADDLE_NEVER);
    rc = raddle_scope_leave(&inner, rc);
    rc = raddle_scope_leave(&shield, rc);
    return raddle_scope_leave(&far, rc);
}

static bool cleans_slowly(const struct cell *cell)
{
    return cell->number % 2;
}

static int sleep_then_clean_up(const struct cell *cell)
{
    struct raddle_scope shield;
    int rc = raddle_sleep_until(RADDLE_NEVER);

    raddle_scope_enter(&shield, 0, RADDLE_SHIELD);
    EXPECT_EQ(raddle_sleep(cleans_slowly(cell) ? RADDLE_MS(5) : RADDLE_US(20)), 0);
    EXPECT_EQ(raddle_scope_leave(&shield, 0), 0);
    return rc;
}

static int job(void *arg)
{
    (void)arg;
    while (sem_wait(&turnstile) != 0)
        ;
    sem_post(&turnstile);
    waits_add(&jobs_run, 1);
    return 7;
}

static int run_job(void)
{
    int result = 0, rc = raddle_run_in_executor(executor, job, NULL, &result);

    if (rc == 0) {
        EXPECT_EQ(result, 7);
        waits_add(&jobs_done, 1);
    }
    return rc;
}

static int connect_to_clogged(void)
{
    int fd = raddle_fd_socket(AF_INET, SOCK_STREAM, 0), rc;

    EXPECT(fd >= 0);
    rc = raddle_fd_connect(fd, (struct sockaddr *)&clogged, sizeof(clogged));
    EXPECT_EQ(raddle_fd_close(fd), 0);
    return rc;
}

static int grandchild(void *arg)
{
    int rc = raddle_sleep_until(RADDLE_NEVER);

    (void)arg;
    EXPECT_EQ(rc, -ECANCELED);
    waits_add(&ended, 1);
    return rc;
}

static int close_group(unsigned number)
{
    struct raddle_group g;

    EXPECT_EQ(raddle_group_open(
                  &g, number & 1 ? &(struct raddle_group_options){.mode = RADDLE_FIRST_OK} : NULL),
              0);
    (void)spawn(&g, NULL, grandchild, NULL, number);
    return raddle_group_close(&g, 0);
}

/* Goes on entering scopes and groups, with waits that may complete, be late or be cancelled. */
static int enter_new(struct cell *cell, uint32_t random)
{
    int rc = 0;

    while (rc >= 0) {
        struct raddle_scope scope;
        struct raddle_group g;

        raddle_scope_enter(&scope, raddle_in(RADDLE_US(50 + test_random(&random) % 500)),
                           RADDLE_QUIET);
        EXPECT_EQ(raddle_group_open(&g, NULL), 0);
        (void)spawn(&g, NULL, grandchild, NULL, random);
        switch (test_random(&random) % 4) {
        case 0:
            rc = waits_receive(cell, READ);
            break;
        case 1:
            rc = raddle_join(cell->children[0], NULL);
            break;
        case 2:
            rc = waits_transmit(cell, SEND);
            break;
        default:
            rc = 0; /* the close waits */
            break;
        }
        if (rc >= 0 && test_random(&random) % 2)
            raddle_group_cancel(&g, "storm");
        rc = raddle_group_close(&g, rc);
        rc = raddle_scope_leave(&scope, rc);
        if (rc >= 0)
            rc = raddle_sleep(RADDLE_US(test_random(&random) % 300));
    }
    return rc;
}

static int complete(uint32_t random)
{
    int rc = 0;

    while (rc == 0 && !rdl_atomic_load_relaxed(&storming))
        rc = raddle_sleep(RADDLE_US(200 + test_random(&random) % 3000));
    return rc == 0 ? raddle_sleep(RADDLE_US(test_random(&random) % 300)) : rc;
}

/* The end of the first child wakes who joins it, just when that one is cancelled. In the cells where clean-up takes
 * long it is a child that cleans up (kind_of), so that who joins it is cancelled first. */
static int join_sibling(struct cell *cell)
{
    return raddle_join(cell->children[cleans_slowly(cell) ? SLEEP_THEN_CLEAN_UP : 0], NULL);
}

static int wait_somehow(struct cell *cell, unsigned number, enum kind kind)
{
    switch (kind) {
    case SLEEP:
        return raddle_sleep(RADDLE_S(1000));
    case SLEEP_UNTIL:
        return raddle_sleep_until(RADDLE_NEVER);
    case SLEEP_IN_SCOPES:
        return sleep_in_scopes();
    case SLEEP_THEN_CLEAN_UP:
        return sleep_then_clean_up(cell);
    case JOIN:
        return join_sibling(cell);
    case JOB:
        return run_job();
    case RECV:
    case RECV_ALL:
    case RECVMSG:
    case READ:
    case READV:
        return waits_receive(cell, kind);
    case SEND:
    case SENDMSG:
    case WRITE:
    case WRITEV:
        return waits_transmit(cell, kind);
    case ACCEPT:
        return waits_accept(cell);
    case CONNECT:
        return connect_to_clogged();
    case POLL:
        return raddle_fd_poll(cell->pair[0], POLLIN);
    case GROUP_CLOSE:
        return close_group(number);
    case COMPLETES:
        return complete(number + 1);
    default:
        return enter_new(cell, number + 1);
    }
}

/* In what survivors wait, in turn. */
static const enum kind surviving[] = {JOB, RECV, READ, SEND, WRITE, ACCEPT, JOIN};

enum { SURVIVING = sizeof(surviving) / sizeof(surviving[0]), SURVIVOR_CELLS = 4 };

static int survive(void *arg)
{
    struct child *child = arg;

    EXPECT(wait_somehow(child->cell, child->number, surviving[child->number]) >= 0);
    waits_add(&survived, 1);
    waits_add(&ended, 1);
    return 0;
}

/* A tenth completes and a tenth enters; of the first child, which others join, nothing is wanted. */
static enum kind kind_of(unsigned number)
{
    if (number == 0)
        return SLEEP_UNTIL;
    if (number <= CONNECTS)
        return CONNECT;
    if (number % 10 < 2)
        return number % 10 ? ENTERS : COMPLETES;
    return (enum kind)(number % CONNECT);
}

static int wait_in_cell(void *arg)
{
    struct child *child = arg;
    enum kind kind = kind_of(child->number);
    int rc;

    rdl_atomic_fetch_add_acq_rel(&parked, 1u);
    rc = wait_somehow(child->cell, child->number, kind);
    if (rc == -ECANCELED) {
        waits_add(&cancelled[kind], 1);
        EXPECT(raddle_cancelled());
        EXPECT_STR(raddle_cancel_reason(), "storm");
    } else {
        waits_add(&completed[kind], 1);
        EXPECT(rc >= 0);
    }
    waits_add(&ended, 1);
    return rc;
}

/* Half of its children are one group and scope deeper than the others. */
static int run_cell(void *arg)
{
    struct cell *cell = arg;
    struct raddle_group_options collect = {.mode = RADDLE_COLLECT};
    struct raddle_group outer, inner;
    struct raddle_scope scope;
    int rc;

    EXPECT_EQ(raddle_group_open(&outer, &collect), 0);
    raddle_scope_enter(&scope, raddle_in(RADDLE_S(3000)), 0);
    EXPECT_EQ(raddle_group_open(&inner, &collect), 0);
    for (unsigned i = 0; i < CELL_TASKS; i++)
        (void)spawn(i < CELL_TASKS / 2 ? &outer : &inner, &cell->children[i], wait_in_cell,
                    &children[(cell - cells) * CELL_TASKS + i], i);
    rc = raddle_group_close(&inner, 0);
    rc = raddle_scope_leave(&scope, rc);
    rc = raddle_group_close(&outer, rc);
    EXPECT(rc == 0 || rc == -ECANCELED);
    waits_add(&ended, 1);
    return rc;
}

static int run_region(void *arg)
{
    unsigned first = (unsigned)(uintptr_t)arg * REGION_CELLS;
    struct raddle_group_options collect = {.mode = RADDLE_COLLECT, .deadline = RADDLE_NEVER};
    struct raddle_group g;
    int rc;

    EXPECT_EQ(raddle_group_open(&g, &collect), 0);
    for (unsigned i = first; i < first + REGION_CELLS && i < cell_count; i++)
        (void)spawn(&g, &cells[i].handle, run_cell, &cells[i], i);
    rc = raddle_group_close(&g, 0);
    EXPECT(rc == 0 || rc == -ECANCELED);
    waits_add(&ended, 1);
    return rc;
}

/* The foreign threads. */

static void cancel(raddle_task *task)
{
    int rc = raddle_task_cancel(task, "storm");

    EXPECT(rc == 0 || rc == -EALREADY);
}

/* Close behind the other thread, or a little ahead of it. */
static void keep_pace(unsigned cell, uint32_t *random)
{
    while (rdl_atomic_load_acquire(&fed) + test_random(random) % 3 < cell)
        sched_yield();
}

static void cancel_all(unsigned long how, uint32_t *random)
{
    for (unsigned i = 0; i < cell_count; i++) {
        keep_pace(i, random);
        if (how % 3 == 0 && ((i + 1) % REGION_CELLS == 0 || i + 1 == cell_count))
            cancel(regions[i / REGION_CELLS]);
        else if (how % 3 == 1)
            cancel(cells[i].handle);
        for (unsigned j = 0; how % 3 == 2 && j < CELL_TASKS; j++)
            cancel(cells[i].children[j]);
    }
}

/* Every second time no job ends until all are cancelled, so that who waits for room gets it from those. */
static bool jobs_late(void)
{
    return round_number / 2 % 2;
}

static void *storms(void *arg)
{
    unsigned me = (unsigned)(uintptr_t)arg;
    uint32_t random = 77 + me;

    for (;;) {
        while (sem_wait(&go[me]) != 0)
            ;
        if (rdl_atomic_load_acquire(&finished))
            return NULL;
        if (me == 0) {
            cancel_all(round_number, &random);
        } else {
            if (!jobs_late())
                sem_post(&turnstile);
            for (unsigned i = 0; i < cell_count; i++) {
                waits_feed(&cells[i], &random);
                rdl_atomic_store_release(&fed, i + 1);
            }
        }
        rdl_atomic_fetch_add_acq_rel(&through, 1u);
    }
}

/* A thread: prints what is stuck. */
static void *watch(void *arg)
{
    uint64_t seen = 0;

    (void)arg;
    for (int quiet = 0; quiet < PATIENCE_S * test_slowness(); quiet++) {
        uint64_t now = value(&spawned) + value(&ended);

        quiet = now != seen ? 0 : quiet;
        seen = now;
        (void)sleep(1);
    }
    fprintf(stderr, "stuck: %lu tasks have ended of %lu\n", (unsigned long)value(&ended),
            (unsigned long)value(&spawned));
    (void)raddle_print_tasks(STDERR_FILENO);
    _Exit(1);
}

/* A listener whose backlog is full: connections to it neither succeed nor fail, for minutes. */
static void open_clog(void)
{
    socklen_t length = sizeof(clogged);
    int count = (int)(sizeof(blocked) / sizeof(blocked[0]));
    bool full = false;

    clogged = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    memset(blocked, -1, sizeof(blocked));
    blocked[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    waits_must(bind(blocked[0], (struct sockaddr *)&clogged, length) == 0 &&
                   listen(blocked[0], 0) == 0 &&
                   getsockname(blocked[0], (struct sockaddr *)&clogged, &length) == 0,
               "a listener");
    for (int i = 1; i < count && !full; i++) {
        struct pollfd fd = {.events = POLLOUT};

        blocked[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        fd.fd = blocked[i];
        (void)connect(blocked[i], (struct sockaddr *)&clogged, sizeof(clogged));
        full = poll(&fd, 1, 50) == 0;
    }
    EXPECT(full);
}

static void spawn_survivors(struct raddle_group *g)
{
    for (unsigned i = 0; i < cell_count; i += SURVIVOR_CELLS) {
        for (unsigned j = 0; j < SURVIVING; j++) {
            struct child *survivor = &survivors[i / SURVIVOR_CELLS * SURVIVING + j];

            *survivor = (struct child){&cells[i], j};
            (void)spawn(g, NULL, survive, survivor, j);
        }
    }
}

/* What is enough for those who are left. */
static void feed_survivors(void)
{
    for (unsigned i = 0; i < cell_count; i += SURVIVOR_CELLS)
        waits_feed_one_each(&cells[i]);
}

/* The main task. */
static int storm(void *arg)
{
    unsigned wanted = rdl_atomic_load_relaxed(&through) + 2;
    struct raddle_group survivors_group, g;

    (void)arg;
    rdl_atomic_store_relaxed(&parked, 0u);
    rdl_atomic_store_relaxed(&storming, false);
    rdl_atomic_store_relaxed(&fed, 0u);
    for (unsigned i = 0; i < cell_count; i++)
        waits_open_cell(&cells[i], i);
    EXPECT_EQ(raddle_group_open(&survivors_group, NULL), 0);
    EXPECT_EQ(raddle_group_open(&g, &(struct raddle_group_options){.mode = RADDLE_COLLECT}), 0);
    for (unsigned i = 0; i < region_count; i++)
        (void)spawn(&g, &regions[i], run_region, (void *)(uintptr_t)i, i);
    while (rdl_atomic_load_acquire(&parked) != cell_count * CELL_TASKS && !test_failures())
        EXPECT_EQ(raddle_sleep(RADDLE_US(200)), 0);
    spawn_survivors(&survivors_group);
    rdl_atomic_store_relaxed(&storming, true);
    sem_post(&go[0]);
    sem_post(&go[1]);
    while (rdl_atomic_load_acquire(&through) != wanted)
        EXPECT_EQ(raddle_yield(), 0);
    if (jobs_late())
        sem_post(&turnstile);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    feed_survivors();
    EXPECT_EQ(raddle_group_close(&survivors_group, 0), 0);
    for (unsigned i = 0; i < cell_count; i++) {
        waits_close_cell(&cells[i]);
        for (unsigned j = 0; j < CELL_TASKS; j++)
            raddle_task_unref(cells[i].children[j]);
        raddle_task_unref(cells[i].handle);
    }
    for (unsigned i = 0; i < region_count; i++)
        raddle_task_unref(regions[i]);
    return 0;
}

static void size_up(unsigned long tasks)
{
    struct rlimit limit;

    waits_must(getrlimit(RLIMIT_NOFILE, &limit) == 0, "getrlimit");
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    cell_count = (unsigned)(tasks / CELL_TASKS);
    if (cell_count > CELLS_MAX)
        cell_count = CELLS_MAX;
    if (cell_count == 0)
        cell_count = 1;
    if ((cell_count + 10ul) * DESCRIPTORS > limit.rlim_cur) {
        cell_count = (unsigned)(limit.rlim_cur / DESCRIPTORS) - 10;
        printf("only %u tasks: there are no more descriptors\n", cell_count * CELL_TASKS);
    }
    region_count = (cell_count + REGION_CELLS - 1) / REGION_CELLS;
    cells = calloc(cell_count, sizeof(*cells));
    children = calloc((size_t)cell_count * CELL_TASKS, sizeof(*children));
    survivors = calloc((size_t)(cell_count / SURVIVOR_CELLS + 1) * SURVIVING, sizeof(*survivors));
    waits_must(cells && children && survivors, "memory");
    for (size_t i = 0; i < (size_t)cell_count * CELL_TASKS; i++)
        children[i] = (struct child){&cells[i / CELL_TASKS], (unsigned)(i % CELL_TASKS)};
}

int main(int argc, char **argv)
{
    struct raddle_executor_options few = {.max_threads = JOB_THREADS, .queue_limit = JOBS_QUEUED};
    unsigned loops = (unsigned)test_argument(argc, argv, "--loops", test_loops());
    unsigned long rounds = test_argument(argc, argv, "--rounds", 6);
    struct test_footprint before;
    pthread_t threads[2], watcher;

    size_up(test_argument(argc, argv, "--tasks", test_slowness() > 1 ? 500 : 4000));
    if (test_run_on(1, test_nothing, NULL) != 0)
        return 1;
    sem_init(&turnstile, 0, 0);
    waits_must(raddle_executor_create(&few, &executor) == 0, "an executor");
    open_clog();
    for (uintptr_t i = 0; i < 2; i++) {
        sem_init(&go[i], 0, 0);
        waits_must(pthread_create(&threads[i], NULL, storms, (void *)i) == 0, "a thread");
    }
    waits_must(pthread_create(&watcher, NULL, watch, NULL) == 0, "a thread");
    before = test_footprint();
    for (; round_number < rounds && test_failures() == 0; round_number++) {
        EXPECT_EQ(test_run_on(loops == 4 && round_number & 1 ? 2 : loops, storm, NULL), 0);
        sem_wait(&turnstile);
        EXPECT_EQ(ended, spawned);
        EXPECT_EQ(jobs_run, jobs_done);
        test_same_footprint(&before);
    }
    for (unsigned i = 0; i < KINDS; i++) /* none was left out */
        EXPECT(value(&cancelled[i]) > 0);
    rdl_atomic_store_release(&finished, true);
    for (unsigned i = 0; i < 2; i++) {
        sem_post(&go[i]);
        pthread_join(threads[i], NULL);
    }
    raddle_executor_destroy(executor);
    for (unsigned i = 0; i < sizeof(blocked) / sizeof(blocked[0]) && blocked[i] >= 0; i++)
        (void)close(blocked[i]);
    free(cells);
    free(children);
    free(survivors);
    printf("%lu rounds of %u tasks and more, %u loops: %lu tasks, %lu survivors\n", round_number,
           cell_count * CELL_TASKS, loops, (unsigned long)value(&spawned),
           (unsigned long)value(&survived));
    test_counted(value(&spawned), "races");
    test_counted(round_number, "storms");
    for (unsigned i = 0; i < KINDS; i++)
        printf("  %-16s %8lu completed %9lu cancelled\n", names[i],
               (unsigned long)value(&completed[i]), (unsigned long)value(&cancelled[i]));
    return test_result();
}
