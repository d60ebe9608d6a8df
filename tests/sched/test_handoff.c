/*
 * tests/sched/test_handoff.c - the hand-off of jobs, one interleaving per test, all on one thread.
 * tests/race/race_pool.c races the same calls.
 */
#include "sched/handoff.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <raddle/error.h>

TestSuite(handoff, .timeout = 10);

enum {
    MAX_THREADS = 3,
    LIMIT = 4,
};

struct bench {
    struct rdl_handoff handoff;
    struct rdl_handoff_worker worker[MAX_THREADS];
    struct rdl_job job[8];
    struct rdl_handoff_duty duty;
};

static void setup(struct bench *b, unsigned threads)
{
    struct rdl_job *job;

    *b = (struct bench){.duty.wake = NULL};
    rdl_handoff_init(&b->handoff, MAX_THREADS, LIMIT);
    for (unsigned i = 0; i < threads; i++) {
        rdl_handoff_grown(&b->handoff, i == 0, &b->worker[i]);
        cr_assert_eq(rdl_handoff_take(&b->handoff, &b->worker[i], &job, &b->duty),
                     RDL_HANDOFF_WAIT);
    }
}

static int submit(struct bench *b, unsigned job)
{
    return rdl_handoff_submit(&b->handoff, &b->job[job], &b->duty);
}

/* Which job the worker takes, or -1. */
static int take(struct bench *b, unsigned worker)
{
    struct rdl_job *job;

    if (rdl_handoff_take(&b->handoff, &b->worker[worker], &job, &b->duty) != RDL_HANDOFF_RUN)
        return -1;
    return (int)(job - b->job);
}

Test(handoff, without_a_thread_a_job_is_refused)
{
    struct bench b;

    setup(&b, 0);
    cr_expect_eq(submit(&b, 0), -ESRCH);
    cr_expect_eq(b.job[0].state, RDL_JOB_NEW);
    cr_expect(rdl_handoff_begin_grow(&b.handoff, true));
    rdl_handoff_not_grown(&b.handoff, true, &b.duty);
    cr_expect_eq(submit(&b, 0), -ESRCH);
}

Test(handoff, the_first_thread_is_made_once)
{
    struct bench b;

    setup(&b, 0);
    cr_expect(rdl_handoff_begin_grow(&b.handoff, true));
    rdl_handoff_grown(&b.handoff, true, &b.worker[0]);
    cr_expect_not(rdl_handoff_begin_grow(&b.handoff, true));
    cr_expect_eq(submit(&b, 0), 0);
    cr_expect_not(b.duty.grow, "the new thread is about to look");
    cr_expect_eq(take(&b, 0), 0);
}

Test(handoff, the_worker_that_slept_last_wakes_first)
{
    struct bench b;

    setup(&b, 3);
    for (unsigned i = 0; i < 3; i++)
        cr_assert(rdl_handoff_sleep(&b.worker[i]));
    cr_expect_eq(submit(&b, 0), 0);
    cr_expect_eq(b.duty.wake, &b.worker[2].signal);
    cr_expect(rdl_handoff_signalled(&b.worker[2]));
}

Test(handoff, a_worker_that_has_not_slept_yet_needs_no_wake)
{
    struct bench b;

    setup(&b, 1);
    cr_expect_eq(submit(&b, 0), 0);
    cr_expect_null(b.duty.wake);
    cr_expect_not(rdl_handoff_sleep(&b.worker[0]));
    cr_expect_eq(take(&b, 0), 0);
}

Test(handoff, while_one_searches_no_other_is_woken)
{
    struct bench b;

    setup(&b, 3);
    for (unsigned i = 0; i < 3; i++)
        cr_assert(rdl_handoff_sleep(&b.worker[i]));
    cr_expect_eq(submit(&b, 0), 0);
    cr_expect_eq(submit(&b, 1), 0);
    cr_expect_null(b.duty.wake);
    /* Having found more than it takes, it calls the next; that one finds nothing more. */
    cr_expect_eq(take(&b, 2), 0);
    cr_expect_eq(b.duty.wake, &b.worker[1].signal);
    cr_expect_eq(take(&b, 1), 1);
    cr_expect_null(b.duty.wake);
    cr_expect_not(b.duty.grow);
}

Test(handoff, a_thread_is_wanted_only_when_none_is_idle)
{
    struct bench b;

    setup(&b, 1);
    cr_expect_eq(submit(&b, 0), 0);
    cr_expect_not(b.duty.grow);
    cr_expect_eq(take(&b, 0), 0);
    cr_expect_eq(submit(&b, 1), 0);
    cr_expect(b.duty.grow);
    cr_expect_eq(submit(&b, 2), 0);
    cr_expect_not(b.duty.grow, "one is being made");
    cr_expect(rdl_handoff_begin_grow(&b.handoff, false));
    rdl_handoff_grown(&b.handoff, false, &b.worker[1]);
    cr_expect_eq(take(&b, 1), 1);
    cr_expect(b.duty.grow, "for the job that is left");
}

Test(handoff, no_more_than_max_threads_are_made)
{
    struct bench b;

    setup(&b, 3);
    for (unsigned i = 0; i < 3; i++)
        cr_assert_eq(submit(&b, i), 0);
    for (unsigned i = 0; i < 3; i++)
        cr_assert_eq(take(&b, 2 - i), (int)i);
    cr_expect_eq(submit(&b, 3), 0);
    cr_expect_not(b.duty.grow);
    cr_expect_null(b.duty.wake);
    cr_expect_eq(take(&b, 0), 3);
}

Test(handoff, a_job_that_relied_on_a_thread_that_was_not_made_gets_a_sleeper)
{
    struct bench b;

    setup(&b, 1);
    cr_assert_eq(submit(&b, 0), 0);
    cr_assert_eq(take(&b, 0), 0);
    cr_assert_eq(submit(&b, 1), 0);
    cr_assert(b.duty.grow);
    cr_assert(rdl_handoff_begin_grow(&b.handoff, false));
    /* Meanwhile the only worker does the job and sleeps, and another job comes. */
    cr_assert_eq(take(&b, 0), 1);
    cr_assert_eq(take(&b, 0), -1);
    cr_assert(rdl_handoff_sleep(&b.worker[0]));
    cr_assert_eq(submit(&b, 2), 0);
    cr_expect_null(b.duty.wake);
    rdl_handoff_not_grown(&b.handoff, false, &b.duty);
    cr_expect_eq(b.duty.wake, &b.worker[0].signal);
    cr_expect_eq(take(&b, 0), 2);
}

Test(handoff, a_thread_that_is_not_wanted_any_more_is_not_made)
{
    struct bench b;

    setup(&b, 1);
    cr_assert_eq(submit(&b, 0), 0);
    cr_assert_eq(take(&b, 0), 0);
    cr_assert_eq(submit(&b, 1), 0);
    cr_assert(b.duty.grow);
    cr_assert_eq(take(&b, 0), 1);
    cr_expect_not(rdl_handoff_begin_grow(&b.handoff, false));
    /* The next that is needed is. */
    cr_assert_eq(submit(&b, 2), 0);
    cr_expect(b.duty.grow);
}

Test(handoff, after_a_failure_the_next_attempt_comes_later)
{
    struct bench b;
    unsigned attempts = 0;

    setup(&b, 1);
    cr_assert_eq(submit(&b, 0), 0);
    cr_assert_eq(take(&b, 0), 0);
    for (unsigned i = 0; i < 1000; i++) {
        cr_assert_eq(submit(&b, 1), 0);
        if (b.duty.grow) {
            attempts++;
            cr_assert(rdl_handoff_begin_grow(&b.handoff, false));
            rdl_handoff_not_grown(&b.handoff, false, &b.duty);
        }
        cr_assert(rdl_handoff_cancel(&b.handoff, &b.job[1]));
    }
    cr_expect_geq(attempts, 1000u / 64);
    cr_expect_leq(attempts, 30u);
}

Test(handoff, jobs_are_taken_oldest_first_and_a_cancelled_one_is_not)
{
    struct bench b;

    setup(&b, 1);
    for (unsigned i = 0; i < 4; i++)
        cr_assert_eq(submit(&b, i), 0);
    cr_expect(rdl_handoff_cancel(&b.handoff, &b.job[1]));
    cr_expect_not(rdl_handoff_cancel(&b.handoff, &b.job[1]));
    cr_expect(rdl_handoff_cancel(&b.handoff, &b.job[3]));
    cr_expect_eq(take(&b, 0), 0);
    cr_expect_not(rdl_handoff_cancel(&b.handoff, &b.job[0]));
    cr_expect_eq(take(&b, 0), 2);
    cr_expect_eq(take(&b, 0), -1);
}

Test(handoff, a_full_queue_refuses_until_one_is_taken)
{
    struct rdl_handoff_stats stats;
    struct bench b;

    setup(&b, 1);
    for (unsigned i = 0; i < LIMIT; i++)
        cr_assert_eq(submit(&b, i), 0);
    cr_expect_eq(submit(&b, LIMIT), -EAGAIN);
    cr_assert_eq(take(&b, 0), 0);
    cr_expect_eq(submit(&b, LIMIT), 0);
    rdl_handoff_get_stats(&b.handoff, &stats);
    cr_expect_eq(stats.rejected, 1u);
    cr_expect_eq(stats.running, 1u);
    cr_expect_eq(stats.queued, (size_t)LIMIT);
}

Test(handoff, a_tired_worker_leaves_unless_it_was_signalled)
{
    struct rdl_handoff_stats stats;
    struct bench b;

    setup(&b, 2);
    cr_assert(rdl_handoff_sleep(&b.worker[0]));
    cr_assert(rdl_handoff_sleep(&b.worker[1]));
    cr_expect_eq(submit(&b, 0), 0);
    cr_expect_not(rdl_handoff_leave(&b.handoff, &b.worker[1]));
    cr_expect_eq(take(&b, 1), 0);
    cr_expect(rdl_handoff_leave(&b.handoff, &b.worker[0]));
    rdl_handoff_get_stats(&b.handoff, &stats);
    cr_expect_eq(stats.threads, 1u);
    cr_expect_eq(stats.idle, 0u);
}

Test(handoff, a_tired_worker_stays_for_a_job_that_waits_for_a_new_thread)
{
    struct bench b;

    setup(&b, 1);
    cr_assert_eq(submit(&b, 0), 0);
    cr_assert_eq(take(&b, 0), 0);
    cr_assert_eq(submit(&b, 1), 0);
    cr_assert(b.duty.grow);
    cr_assert_eq(take(&b, 0), 1);
    cr_assert_eq(take(&b, 0), -1);
    cr_assert_eq(submit(&b, 2), 0);
    cr_expect_not(rdl_handoff_leave(&b.handoff, &b.worker[0]));
    cr_expect_eq(take(&b, 0), 2);
}

Test(handoff, closing_runs_what_is_queued_and_sends_everybody_home)
{
    struct rdl_job *job;
    struct bench b;
    unsigned signalled = 0;

    setup(&b, 3);
    cr_assert_eq(submit(&b, 0), 0);
    cr_assert_eq(submit(&b, 1), 0);
    while (rdl_handoff_close(&b.handoff, &b.duty))
        signalled++;
    cr_expect_eq(signalled, 2u);
    cr_expect_eq(submit(&b, 2), RADDLE_ESHUTDOWN);
    cr_expect_eq(take(&b, 2), 0);
    cr_expect_eq(take(&b, 1), 1);
    for (unsigned i = 0; i < 3; i++)
        cr_expect_eq(rdl_handoff_take(&b.handoff, &b.worker[i], &job, &b.duty), RDL_HANDOFF_LEAVE);
    cr_expect_not(rdl_handoff_begin_grow(&b.handoff, true));
}
