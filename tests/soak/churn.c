/*
 * tests/soak/churn.c - starts and ends tasks, connections, waits and whole runs, millions of times; memory, mappings
 * and descriptors must stay where they are.
 *
 *     churn [--cycles N] [--loops N]
 *
 * N cycles of each of these, with workers on all loops:
 *
 *     tasks        a task is spawned and ends, on stacks of three sizes, some with a handle, some cancelled
 *     connections  a connection to a server is made, one byte echoed, and closed or reset
 *     waits        a sleep, a receive, a job or a call is armed, and ended by a deadline, a cancel or itself
 *     runs         N / RUN_CYCLES times: raddle_run() with its loops, or a loop that is made and closed
 *
 * SAMPLES times along the way, when the workers have ended, the heap in use, resident memory, the number of
 * mappings and that of descriptors are read. After the first third, which fills caches, a line is fitted by
 * least squares. What it rises by from there to the last sample may be HEAP_KIB, RESIDENT_KIB, MAPPINGS and
 * no descriptor. With 1.7 million cycles these are slopes of 0.2 and 8 bytes a cycle: no block of the heap is that
 * small. Resident memory gets more than the heap, as free stacks are kept for a while, and their number depends on
 * where the tasks of the last second ran.
 */
#define _GNU_SOURCE
#include "tests/support/runtime.h"
#include "tests/support/counted.h"

#include <errno.h>
#include <malloc.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    SAMPLES = 60,
    WARM_UP = SAMPLES / 3,
    WORKERS = 8,
    BATCH = 32, /* tasks of one group */
    RUN_CYCLES = 500,
    TASKS_FIRST = 300000, /* cycles that fill the loops' caches of stacks */
    HEAP_KIB = 256,
    RESIDENT_KIB = 8192,
    MAPPINGS = 32, /* threads of the executor come and go */
};

struct sample {
    double cycles, heap_kib, resident_kib, mappings, descriptors;
};

static struct sample samples[SAMPLES];
static rdl_atomic(unsigned long) done; /* cycles of this kind */
static unsigned long share;            /* of a worker, until the next sample */
static unsigned loops;
static char address[64];
static rdl_atomic(unsigned) listening;
static rdl_atomic(unsigned) served; /* connections that are open at the server */

/* What the process has. */

static double resident_kib(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long total = 0, resident = 0;

    if (file) {
        EXPECT_EQ(fscanf(file, "%lu %lu", &total, &resident), 2);
        fclose(file);
    }
    return (double)resident * (double)sysconf(_SC_PAGESIZE) / 1024;
}

static double lines_of_maps(void)
{
    FILE *file = fopen("/proc/self/maps", "r");
    unsigned long lines = 0;
    int c;

    while (file && (c = getc(file)) != EOF)
        lines += c == '\n';
    if (file)
        fclose(file);
    return (double)lines;
}

static void sample(unsigned i)
{
    samples[i] = (struct sample){
        .cycles = (double)rdl_atomic_load_relaxed(&done),
        .heap_kib = (double)mallinfo2().uordblks / 1024,
        .resident_kib = resident_kib(),
        .mappings = lines_of_maps(),
        .descriptors = test_footprint().descriptors,
    };
}

/* Least squares over the samples after the warm-up: by how much a line rises between the first and the last. */
static double rise(size_t member)
{
    const unsigned n = SAMPLES - WARM_UP;
    double mean_x = 0, mean_y = 0, xy = 0, xx = 0;

#define X(i) (samples[i].cycles)
#define Y(i) (*(const double *)(const void *)((const char *)&samples[i] + member))
    for (unsigned i = WARM_UP; i < SAMPLES; i++) {
        mean_x += X(i) / n;
        mean_y += Y(i) / n;
    }
    for (unsigned i = WARM_UP; i < SAMPLES; i++) {
        xy += (X(i) - mean_x) * (Y(i) - mean_y);
        xx += (X(i) - mean_x) * (X(i) - mean_x);
    }
    return xx > 0 ? xy / xx * (X(SAMPLES - 1) - X(WARM_UP)) : 0;
#undef X
#undef Y
}

static void judge(const char *what)
{

    double heap = rise(offsetof(struct sample, heap_kib));
    double kib = rise(offsetof(struct sample, resident_kib));
    double mappings = rise(offsetof(struct sample, mappings));
    double descriptors = rise(offsetof(struct sample, descriptors));
    const struct sample *first = &samples[WARM_UP], *last = &samples[SAMPLES - 1];
    double million = (last->cycles - first->cycles) / 1e6;

    printf("%-6s %9.0f cycles: heap %.0f to %.0f KiB, resident %.0f to %.0f KiB, %.0f to %.0f "
           "mappings, "
           "%.0f to %.0f descriptors; per million cycles %+.1f KiB, %+.1f KiB, %+.2f, %+.2f\n",
           what, last->cycles, first->heap_kib, last->heap_kib, first->resident_kib,
           last->resident_kib, first->mappings, last->mappings, first->descriptors,
           last->descriptors, heap / million, kib / million, mappings / million,
           descriptors / million);
    test_counted((unsigned long long)last->cycles, "cycles of churn");
    fflush(stdout);
    EXPECT(last->cycles > first->cycles);
    EXPECT(descriptors < 0.5);
    if (test_slowness() > 1)
        return; /* a sanitizer keeps memory of its own */
    EXPECT(heap <= HEAP_KIB);
    EXPECT(kib <= RESIDENT_KIB);
    EXPECT(mappings <= MAPPINGS);
}

static void count(unsigned long more)
{
    (void)rdl_atomic_fetch_add_relaxed(&done, more);
}

/* Tasks. */

static int ends(void *arg)
{
    uintptr_t how = (uintptr_t)arg;

    if (how % 8 == 1)
        return raddle_yield();
    if (how % 8 == 2)
        return raddle_sleep(RADDLE_US(how % 50));
    if (how % 8 == 3)
        return raddle_sleep_until(RADDLE_NEVER);
    return 0;
}

static void spawn_batch(uint32_t *random)
{
    static const size_t sizes[] = {0, 0, 16384, 262144};
    struct raddle_group g;
    raddle_task *handles[BATCH] = {NULL};
    bool cancel = test_random(random) % 4 == 0;

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (unsigned i = 0; i < BATCH; i++) {
        uint32_t x = test_random(random);
        struct raddle_spawn_options options = {
            .stack_bytes = sizes[x % 4],
            .mobility = x & 16 ? RADDLE_MIGRATABLE : RADDLE_FRESH,
        };
        uintptr_t how = x >> 8;

        if (!cancel && how % 8 == 3)
            how++; /* it would never end */
        EXPECT_EQ(raddle_spawn(&g, x & 32 ? &handles[i] : NULL, ends, (void *)how, &options), 0);
    }
    if (cancel)
        raddle_group_cancel(&g, NULL);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    for (unsigned i = 0; i < BATCH; i++)
        raddle_task_unref(handles[i]);
    count(BATCH);
}

static int churn_tasks(void *arg)
{
    uint32_t random = (uint32_t)(uintptr_t)arg + 1;

    for (unsigned long i = 0; i < share; i += BATCH)
        spawn_batch(&random);
    return 0;
}

/* Connections. */

static int echo(void *arg)
{
    raddle_stream *stream = arg;
    char byte;

    (void)rdl_atomic_fetch_add_relaxed(&served, 1u);
    while (raddle_read(stream, &byte, 1) == 1)
        if (raddle_write_all(stream, &byte, 1) != 1)
            break;
    (void)raddle_stream_close(stream);
    (void)rdl_atomic_fetch_sub_release(&served, 1u);
    return 0;
}

static void on_listening(const char *where, void *context)
{
    (void)context;
    (void)snprintf(address, sizeof(address), "%s", where);
    rdl_atomic_store_release(&listening, 1u);
}

static int serve(void *arg)
{
    struct raddle_serve_options options = {.on_listening = on_listening, .drain_ns = -1};

    EXPECT_EQ(raddle_serve(arg, echo, &options), -ECANCELED);
    return -ECANCELED;
}

static int churn_connections(void *arg)
{
    uint32_t random = (uint32_t)(uintptr_t)arg + 11;

    for (unsigned long i = 0; i < share; i++) {
        raddle_stream *stream;
        char byte = (char)i;
        int rc;

        do /* the backlog of a Unix listener may be full */
            rc = raddle_connect(address, &stream);
        while (rc == -EAGAIN && raddle_yield() == 0);
        EXPECT_EQ(rc, 0);
        if (rc < 0)
            return rc;
        EXPECT_EQ(raddle_write_all(stream, &byte, 1), 1);
        EXPECT_EQ(raddle_read(stream, &byte, 1), 1);
        EXPECT_EQ(byte, (char)i);
        /* A reset, where it is TCP: an orderly end would keep the port for a minute. */
        if (strncmp(address, "tcp", 3) == 0 || test_random(&random) % 2)
            raddle_stream_abort(stream);
        else
            EXPECT_EQ(raddle_stream_close(stream), 0);
        count(1);
    }
    return 0;
}

/* Waits. */

static int seven(void *arg)
{
    (void)arg;
    return 7;
}

struct mark {
    rdl_atomic(unsigned) called;
};

static void set_mark(void *arg)
{
    struct mark *mark = arg;

    rdl_atomic_store_release(&mark->called, 1u);
}

static void wait_once(const int pair[2], uint32_t x)
{
    struct raddle_scope scope;
    struct raddle_group g;
    struct mark mark = {0};
    char byte;

    switch (x % 6) {
    case 0: /* ended by itself, inside a deadline that is taken back */
        raddle_scope_enter(&scope, raddle_in(RADDLE_S(100)), 0);
        EXPECT_EQ(raddle_scope_leave(&scope, raddle_sleep(RADDLE_US(x / 6 % 20))), 0);
        break;
    case 1: /* ended by a deadline */
        raddle_scope_enter(&scope, raddle_in(RADDLE_US(x / 6 % 20)), 0);
        EXPECT_EQ(raddle_scope_leave(&scope, (int)raddle_fd_recv(pair[0], &byte, 1, 0)),
                  -ETIMEDOUT);
        break;
    case 2: /* ended by a cancel */
        EXPECT_EQ(raddle_group_open(&g, NULL), 0);
        EXPECT_EQ(raddle_spawn(&g, NULL, test_sleep_forever, NULL, NULL), 0);
        EXPECT_EQ(raddle_yield(), 0);
        raddle_group_cancel(&g, NULL);
        EXPECT_EQ(raddle_group_close(&g, 0), 0);
        break;
    case 3: /* a byte comes, before the deadline */
        raddle_scope_enter(&scope, raddle_in(RADDLE_S(100)), 0);
        EXPECT_EQ(raddle_fd_send(pair[1], "x", 1, 0), 1);
        EXPECT_EQ(raddle_fd_recv(pair[0], &byte, 1, 0), 1);
        EXPECT_EQ(raddle_scope_leave(&scope, 0), 0);
        break;
    case 4: { /* a job, at times taken back */
        int rc;

        raddle_scope_enter(&scope, raddle_in(RADDLE_US(x / 6 % 100)), RADDLE_QUIET);
        rc = raddle_run_in_executor(NULL, seven, NULL, NULL);
        EXPECT(rc == 0 || rc == -ECANCELED);
        EXPECT_EQ(raddle_scope_leave(&scope, rc), 0);
        break;
    }
    default: /* a call of the loop */
        EXPECT_EQ(raddle_call_soon(raddle_running_loop(), set_mark, &mark), 0);
        while (!rdl_atomic_load_acquire(&mark.called))
            EXPECT_EQ(raddle_yield(), 0);
        break;
    }
    count(1);
}

static int churn_waits(void *arg)
{
    uint32_t random = (uint32_t)(uintptr_t)arg + 23;
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return -errno;
    for (unsigned long i = 0; i < share; i++)
        wait_once(pair, test_random(&random));
    EXPECT_EQ(raddle_fd_close(pair[0]), 0);
    EXPECT_EQ(raddle_fd_close(pair[1]), 0);
    return 0;
}

static void run_workers(raddle_task_fn *fn, unsigned turn)
{
    struct raddle_group g;

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (uintptr_t j = 0; j < WORKERS; j++)
        EXPECT_EQ(raddle_spawn(&g, NULL, fn, (void *)(j + turn * WORKERS), NULL), 0);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
}

/* SAMPLES times: all workers, then a sample. */
static void churn(const char *what, raddle_task_fn *fn)
{
    rdl_atomic_store_relaxed(&done, 0ul);
    for (unsigned i = 0; i < SAMPLES && test_failures() == 0; i++) {
        run_workers(fn, i);
        while (rdl_atomic_load_acquire(&served))
            EXPECT_EQ(raddle_yield(), 0);
        sample(i);
    }
    if (test_failures() == 0)
        judge(what);
}

static void churn_served(const char *what, const char *where)
{
    struct raddle_group g;

    rdl_atomic_store_relaxed(&listening, 0u);
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, NULL, serve, (void *)(uintptr_t)where, NULL), 0);
    test_await(&listening, 1);
    churn(what, churn_connections);
    raddle_group_cancel(&g, NULL);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
}

static int all(void *arg)
{
    unsigned long cycles = *(unsigned long *)arg;
    char name[64];

    share = (unsigned long)TASKS_FIRST / WORKERS / (test_slowness() > 1 ? 100 : 1);
    run_workers(churn_tasks, SAMPLES);
    share = cycles / (SAMPLES * WORKERS) + 1;
    churn("tasks", churn_tasks);
    churn("waits", churn_waits);
    share = cycles / 2 / (SAMPLES * WORKERS) + 1;
    (void)snprintf(name, sizeof(name), "unix:@raddle-churn-%d", (int)getpid());
    churn_served("unix", name);
    churn_served("tcp", "tcp:127.0.0.1:0");
    return 0;
}

static void churn_runs(unsigned long cycles)
{
    rdl_atomic_store_relaxed(&done, 0ul);
    for (unsigned i = 0; i < SAMPLES && test_failures() == 0; i++) {
        for (unsigned long j = 0; j < cycles / (RUN_CYCLES * SAMPLES) + 1; j++) {
            raddle_loop *loop;

            EXPECT_EQ(test_run_on(1 + (unsigned)(j % loops), test_nothing, NULL), 0);
            EXPECT_EQ(raddle_new_loop(&loop), 0);
            EXPECT_EQ(raddle_loop_run_until_complete(loop, test_nothing, NULL), 0);
            EXPECT_EQ(raddle_loop_close(loop), 0);
            count(1);
        }
        sample(i);
    }
    if (test_failures() == 0)
        judge("runs");
}

int main(int argc, char **argv)
{
    unsigned long cycles =
        test_argument(argc, argv, "--cycles", test_slowness() > 1 ? 5000 : 50000);
    struct test_footprint before;

    loops = (unsigned)test_argument(argc, argv, "--loops", test_loops());
    if (test_run_on(1, test_nothing, NULL) != 0)
        return 1;
    before = test_footprint();
    EXPECT_EQ(test_run_on(loops, all, &cycles), 0);
    churn_runs(cycles);
    test_same_footprint(&before);
    return test_result();
}
