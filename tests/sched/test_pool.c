/*
 * tests/sched/test_pool.c - the threads of a pool: created, named, reaped, refused, joined.
 */
#define _GNU_SOURCE
#include "sched/pool.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <raddle/error.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sched/sys.h"

TestSuite(pool, .timeout = 30);

enum { MS = 1000000 };

/* A job that tells where it ran, and can be held up. */
struct probe {
    struct rdl_job job;
    sem_t ran;     /* posted by done */
    sem_t started; /* posted by run */
    sem_t *hold;   /* NULL, or what run waits for */
    unsigned runs, dones;
    int nice;
    char name[16];
    sigset_t blocked;
};

static void probe_run(struct rdl_job *job)
{
    struct probe *p = (struct probe *)job;

    p->runs++;
    p->nice = getpriority(PRIO_PROCESS, (id_t)rdl_sys_thread_id());
    prctl(PR_GET_NAME, p->name);
    pthread_sigmask(SIG_SETMASK, NULL, &p->blocked);
    sem_post(&p->started);
    if (p->hold)
        sem_wait(p->hold);
}

static void probe_done(struct rdl_job *job)
{
    struct probe *p = (struct probe *)job;

    p->dones++;
    sem_post(&p->ran);
}

static void probe_init(struct probe *p, sem_t *hold)
{
    memset(p, 0, sizeof(*p));
    p->job.run = probe_run;
    p->job.done = probe_done;
    p->hold = hold;
    sem_init(&p->ran, 0, 0);
    sem_init(&p->started, 0, 0);
}

static struct rdl_pool *make_pool(const struct rdl_pool_options *options)
{
    struct rdl_pool *pool = NULL;

    cr_assert_eq(rdl_pool_create(options, &pool), 0);
    cr_assert_not_null(pool);
    return pool;
}

static struct rdl_handoff_stats stats_of(struct rdl_pool *pool)
{
    struct rdl_handoff_stats stats;

    rdl_pool_get_stats(pool, &stats);
    return stats;
}

static unsigned count_threads(void)
{
    DIR *dir = opendir("/proc/self/task");
    unsigned count = 0;

    cr_assert_not_null(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count - 2;
}

/* A thread that was joined may be listed for a moment more. */
static bool threads_get_to(unsigned count)
{
    for (unsigned i = 0; i < 5000 && count_threads() != count; i++)
        usleep(1000);
    return count_threads() == count;
}

static bool wait_for_threads(struct rdl_pool *pool, unsigned threads)
{
    for (unsigned i = 0; i < 5000; i++) {
        if (stats_of(pool).threads == threads)
            return true;
        usleep(1000);
    }
    return false;
}

Test(pool, bad_options_are_refused)
{
    static const struct rdl_pool_options bad[] = {
        {.max_threads = 16385},   {.nice = 20},    {.nice = -21},
        {.idle_ns = -1},          {.spin_ns = -1}, {.spin_ns = 1000001},
        {.max_threads = 1u << 31}};
    struct rdl_pool *pool = NULL;

    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        cr_expect_eq(rdl_pool_create(&bad[i], &pool), -EINVAL, "bad[%u]", i);
    cr_expect_null(pool);
}

Test(pool, closing_nothing_does_nothing)
{
    rdl_pool_close(NULL);
    rdl_pool_close(make_pool(NULL));
    rdl_pool_abandon(NULL);
}

Test(pool, no_thread_exists_before_the_first_job)
{
    struct rdl_pool *pool = make_pool(NULL);
    unsigned before = count_threads();
    struct probe p;

    cr_expect_eq(stats_of(pool).threads, 0u);
    probe_init(&p, NULL);
    cr_assert_eq(rdl_pool_submit(pool, &p.job), 0);
    sem_wait(&p.ran);
    cr_expect_eq(p.runs, 1u);
    cr_expect_eq(stats_of(pool).threads, 1u);
    cr_expect_eq(count_threads(), before + 1);
    rdl_pool_close(pool);
    cr_expect_eq(p.dones, 1u);
    cr_expect(threads_get_to(before));
}

Test(pool, jobs_that_block_each_get_a_thread_up_to_the_maximum)
{
    enum { THREADS = 5, JOBS = 8 };
    struct rdl_pool *pool = make_pool(&(struct rdl_pool_options){.max_threads = THREADS});
    struct probe p[JOBS];
    sem_t hold;

    sem_init(&hold, 0, 0);
    for (unsigned i = 0; i < JOBS; i++) {
        probe_init(&p[i], &hold);
        cr_assert_eq(rdl_pool_submit(pool, &p[i].job), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        sem_wait(&p[i].started);
    cr_expect_eq(stats_of(pool).threads, (unsigned)THREADS);
    cr_expect_eq(stats_of(pool).running, (size_t)THREADS);
    cr_expect_eq(stats_of(pool).queued, (size_t)(JOBS - THREADS));
    for (unsigned i = 0; i < JOBS; i++)
        sem_post(&hold);
    for (unsigned i = 0; i < JOBS; i++)
        sem_wait(&p[i].ran);
    cr_expect_eq(stats_of(pool).threads, (unsigned)THREADS);
    rdl_pool_close(pool);
}

Test(pool, one_thread_is_enough_for_jobs_one_after_another)
{
    struct rdl_pool *pool = make_pool(NULL);
    struct probe p;

    for (unsigned i = 0; i < 100; i++) {
        probe_init(&p, NULL);
        cr_assert_eq(rdl_pool_submit(pool, &p.job), 0);
        sem_wait(&p.ran);
        /* done was called; until the thread is idle a second one would be right. */
        while (stats_of(pool).idle == 0)
            usleep(10);
    }
    cr_expect_eq(stats_of(pool).threads, 1u);
    cr_expect_eq(stats_of(pool).completed, 100u);
    rdl_pool_close(pool);
}

Test(pool, idle_threads_are_reaped_and_come_back)
{
    struct rdl_pool *pool = make_pool(&(struct rdl_pool_options){.idle_ns = 20 * MS});
    unsigned before = count_threads();
    struct probe p[4];
    sem_t hold;

    for (unsigned round = 0; round < 3; round++) {
        sem_init(&hold, 0, 0);
        for (unsigned i = 0; i < 4; i++) {
            probe_init(&p[i], &hold);
            cr_assert_eq(rdl_pool_submit(pool, &p[i].job), 0);
        }
        for (unsigned i = 0; i < 4; i++)
            sem_wait(&p[i].started);
        cr_expect_eq(stats_of(pool).threads, 4u);
        for (unsigned i = 0; i < 4; i++)
            sem_post(&hold);
        cr_expect(wait_for_threads(pool, 0));
        cr_expect(threads_get_to(before));
    }
    rdl_pool_close(pool);
}

Test(pool, a_thread_that_gets_jobs_often_enough_is_not_reaped)
{
    struct rdl_pool *pool = make_pool(&(struct rdl_pool_options){.idle_ns = 400 * MS});
    struct probe p;
    char first[16] = "";

    for (unsigned i = 0; i < 20; i++) {
        probe_init(&p, NULL);
        cr_assert_eq(rdl_pool_submit(pool, &p.job), 0);
        sem_wait(&p.ran);
        usleep(40000);
        if (i == 0)
            memcpy(first, p.name, sizeof(first));
        cr_expect_str_eq(p.name, first);
    }
    cr_expect_eq(stats_of(pool).threads, 1u);
    rdl_pool_close(pool);
}

Test(pool, a_full_queue_refuses)
{
    struct rdl_pool *pool =
        make_pool(&(struct rdl_pool_options){.max_threads = 1, .queue_limit = 2});
    struct probe p[4];
    sem_t hold;

    sem_init(&hold, 0, 0);
    for (unsigned i = 0; i < 4; i++)
        probe_init(&p[i], &hold);
    cr_assert_eq(rdl_pool_submit(pool, &p[0].job), 0);
    sem_wait(&p[0].started);
    cr_expect_eq(rdl_pool_submit(pool, &p[1].job), 0);
    cr_expect_eq(rdl_pool_submit(pool, &p[2].job), 0);
    cr_expect_eq(rdl_pool_submit(pool, &p[3].job), -EAGAIN);
    cr_expect_eq(stats_of(pool).rejected, 1u);
    cr_expect(rdl_pool_cancel(pool, &p[1].job));
    cr_expect_eq(rdl_pool_submit(pool, &p[3].job), 0);
    for (unsigned i = 0; i < 3; i++)
        sem_post(&hold);
    rdl_pool_close(pool);
    cr_expect_eq(p[1].runs, 0u);
    cr_expect_eq(p[3].runs, 1u);
    cr_expect_eq(p[3].dones, 1u);
}

Test(pool, a_queued_job_can_be_cancelled_and_a_running_one_cannot)
{
    struct rdl_pool *pool = make_pool(&(struct rdl_pool_options){.max_threads = 1});
    struct probe running;
    struct probe queued;
    sem_t hold;

    sem_init(&hold, 0, 0);
    probe_init(&running, &hold);
    probe_init(&queued, NULL);
    cr_assert_eq(rdl_pool_submit(pool, &running.job), 0);
    sem_wait(&running.started);
    cr_assert_eq(rdl_pool_submit(pool, &queued.job), 0);
    cr_expect_not(rdl_pool_cancel(pool, &running.job));
    cr_expect(rdl_pool_cancel(pool, &queued.job));
    cr_expect_not(rdl_pool_cancel(pool, &queued.job));
    sem_post(&hold);
    sem_wait(&running.ran);
    cr_expect_not(rdl_pool_cancel(pool, &running.job));
    /* A job that was cancelled can be given again. */
    cr_expect_eq(rdl_pool_submit(pool, &queued.job), 0);
    sem_wait(&queued.ran);
    rdl_pool_close(pool);
    cr_expect_eq(queued.runs, 1u);
    cr_expect_eq(queued.dones, 1u);
    cr_expect_eq(running.dones, 1u);
}

static void *close_pool(void *pool)
{
    rdl_pool_close(pool);
    return NULL;
}

Test(pool, close_runs_what_is_queued_and_waits_for_what_runs)
{
    enum { JOBS = 50 };
    struct rdl_pool *pool = make_pool(&(struct rdl_pool_options){.max_threads = 2});
    struct probe p[JOBS];
    pthread_t closer;
    sem_t hold;

    sem_init(&hold, 0, 0);
    for (unsigned i = 0; i < JOBS; i++) {
        probe_init(&p[i], &hold);
        cr_assert_eq(rdl_pool_submit(pool, &p[i].job), 0);
    }
    sem_wait(&p[0].started);
    cr_assert_eq(pthread_create(&closer, NULL, close_pool, pool), 0);
    usleep(20000);
    cr_expect_eq(pthread_tryjoin_np(closer, NULL), EBUSY);
    for (unsigned i = 0; i < JOBS; i++)
        sem_post(&hold);
    pthread_join(closer, NULL);
    for (unsigned i = 0; i < JOBS; i++) {
        cr_expect_eq(p[i].runs, 1u);
        cr_expect_eq(p[i].dones, 1u);
    }
}

struct chain {
    struct rdl_job job;
    struct rdl_pool *pool;
    unsigned left;
    int result;
};

static void chain_run(struct rdl_job *job)
{
    (void)job;
}

static void chain_done(struct rdl_job *job)
{
    struct chain *chain = (struct chain *)job;

    while (chain->left) {
        chain->left--;
        memset(job, 0, sizeof(*job));
        job->run = chain_run;
        job->done = chain_done;
        chain->result = rdl_pool_submit(chain->pool, job);
        return;
    }
}

Test(pool, done_may_submit_the_same_job_again)
{
    struct rdl_pool *pool = make_pool(NULL);
    struct chain chain = {
        .job = {.run = chain_run, .done = chain_done}, .pool = pool, .left = 1000};

    cr_assert_eq(rdl_pool_submit(pool, &chain.job), 0);
    while (stats_of(pool).completed < 1001)
        usleep(1000);
    rdl_pool_close(pool);
    cr_expect_eq(chain.left, 0u);
    cr_expect_eq(chain.result, 0);
}

Test(pool, a_pool_that_is_shut_down_takes_no_job)
{
    struct rdl_pool *pool = make_pool(NULL);
    struct probe p;
    struct probe late;

    probe_init(&p, NULL);
    probe_init(&late, NULL);
    cr_assert_eq(rdl_pool_submit(pool, &p.job), 0);
    rdl_pool_shutdown(pool);
    cr_expect_eq(rdl_pool_submit(pool, &late.job), RADDLE_ESHUTDOWN);
    rdl_pool_shutdown(pool);
    rdl_pool_close(pool);
    cr_expect_eq(p.dones, 1u);
    cr_expect_eq(late.runs, 0u);
}

static void submit_one(const struct rdl_pool_options *options, struct probe *p)
{
    struct rdl_pool *pool = make_pool(options);

    probe_init(p, NULL);
    cr_assert_eq(rdl_pool_submit(pool, &p->job), 0);
    sem_wait(&p->ran);
    rdl_pool_close(pool);
}

Test(pool, the_nice_value_is_set_in_each_thread_and_in_no_other)
{
    enum { THREADS = 3 };
    int mine = getpriority(PRIO_PROCESS, 0);
    struct rdl_pool *pool =
        make_pool(&(struct rdl_pool_options){.max_threads = THREADS, .nice = 5});
    int expected = mine + 5 > 19 ? 19 : mine + 5;
    struct probe p[THREADS];
    sem_t hold;

    sem_init(&hold, 0, 0);
    for (unsigned i = 0; i < THREADS; i++) {
        probe_init(&p[i], &hold);
        cr_assert_eq(rdl_pool_submit(pool, &p[i].job), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        sem_wait(&p[i].started);
    for (unsigned i = 0; i < THREADS; i++) {
        cr_expect_eq(p[i].nice, expected);
        sem_post(&hold);
    }
    cr_expect_eq(getpriority(PRIO_PROCESS, 0), mine);
    rdl_pool_close(pool);
}

Test(pool, threads_are_named_and_numbered)
{
    struct probe p;

    submit_one(NULL, &p);
    cr_expect_str_eq(p.name, "raddle-pool-0");
    submit_one(&(struct rdl_pool_options){.name = "dns"}, &p);
    cr_expect_str_eq(p.name, "dns-0");
    submit_one(&(struct rdl_pool_options){.name = "a-name-that-is-too-long"}, &p);
    cr_expect_str_eq(p.name, "a-name-that-i-0");
}

Test(pool, all_signals_are_blocked_in_its_threads)
{
    struct probe p;

    submit_one(NULL, &p);
    cr_expect(sigismember(&p.blocked, SIGINT));
    cr_expect(sigismember(&p.blocked, SIGTERM));
    cr_expect(sigismember(&p.blocked, SIGRTMAX));
}

static unsigned creations_allowed;
static int creation_error;
static bool memory_fails;

static int fail_creation(enum rdl_sys_call call, size_t *length)
{
    (void)length;
    if (call == RDL_SYS_CALLOC && memory_fails)
        return -ENOMEM;
    if (call != RDL_SYS_THREAD_CREATE)
        return 0;
    if (creations_allowed) {
        creations_allowed--;
        return 0;
    }
    return creation_error;
}

Test(pool, no_memory_for_the_pool_is_reported)
{
    struct rdl_pool *pool = NULL;

    memory_fails = true;
    rdl_sys_set_hook(fail_creation);
    cr_expect_eq(rdl_pool_create(NULL, &pool), -ENOMEM);
    rdl_sys_set_hook(NULL);
    cr_expect_null(pool);
}

Test(pool, without_any_thread_the_job_is_refused_with_the_reason)
{
    struct rdl_pool *pool = make_pool(NULL);
    struct probe p;

    probe_init(&p, NULL);
    creation_error = -EPERM;
    rdl_sys_set_hook(fail_creation);
    cr_expect_eq(rdl_pool_submit(pool, &p.job), -EPERM);
    creation_error = -EAGAIN;
    cr_expect_eq(rdl_pool_submit(pool, &p.job), -EAGAIN);
    cr_expect_eq(stats_of(pool).queued, (size_t)0);
    rdl_sys_set_hook(NULL);
    cr_expect_eq(rdl_pool_submit(pool, &p.job), 0);
    rdl_pool_close(pool);
    cr_expect_eq(p.dones, 1u);
}

Test(pool, with_some_threads_the_job_is_queued_when_no_more_can_be_made)
{
    struct rdl_pool *pool = make_pool(NULL);
    struct probe p[10];
    sem_t hold;

    sem_init(&hold, 0, 0);
    creations_allowed = 2;
    creation_error = -EAGAIN;
    rdl_sys_set_hook(fail_creation);
    for (unsigned i = 0; i < 10; i++) {
        probe_init(&p[i], &hold);
        cr_assert_eq(rdl_pool_submit(pool, &p[i].job), 0);
    }
    sem_wait(&p[0].started);
    for (unsigned i = 0; i < 10; i++)
        sem_post(&hold);
    for (unsigned i = 0; i < 10; i++)
        sem_wait(&p[i].ran);
    cr_expect_leq(stats_of(pool).threads, 2u);
    rdl_sys_set_hook(NULL);
    rdl_pool_close(pool);
}

Test(pool, a_worker_that_spins_still_sleeps_wakes_and_leaves)
{
    struct rdl_pool *pool =
        make_pool(&(struct rdl_pool_options){.spin_ns = 1 * MS, .idle_ns = 20 * MS});
    struct probe p;

    for (unsigned i = 0; i < 2000; i++) {
        probe_init(&p, NULL);
        cr_assert_eq(rdl_pool_submit(pool, &p.job), 0);
        sem_wait(&p.ran);
        if (i % 100 == 0)
            usleep(3000);
    }
    cr_expect(wait_for_threads(pool, 0));
    rdl_pool_close(pool);
}

Test(pool, the_child_of_a_fork_can_abandon_it)
{
    struct rdl_pool *pool = make_pool(NULL);
    struct probe p;
    int status = -1;
    pid_t child;

    probe_init(&p, NULL);
    cr_assert_eq(rdl_pool_submit(pool, &p.job), 0);
    sem_wait(&p.ran);
    child = fork();
    if (child == 0) {
        rdl_pool_abandon(pool);
        _exit(7);
    }
    cr_assert_gt(child, 0);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    rdl_pool_close(pool);
}
