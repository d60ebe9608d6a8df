/*
 * tests/conformance/test_sim_clock.c - virtual time passes when all wait, in the order of deadlines, and not over the
 * heads of jobs and connections that have something to do.
 */
#include "tests/support/fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

TestSuite(sim_clock, .timeout = 120);

enum { SLEEPERS = 3, ROUND_TRIPS = 10, SEEDS = 20 };

#define HOUR RADDLE_S(3600)

struct day {
    raddle_time begin, woke[SLEEPERS], job_done, talk_over;
    unsigned order[SLEEPERS], count;
    char address[64];
    int listener;
};

struct sleeper {
    struct day *day;
    unsigned number;
};

static raddle_time deadline_of(const struct sleeper *s)
{
    return s->day->begin + HOUR * (SLEEPERS - s->number); /* the last one first */
}

static int sleeps_for_hours(void *arg)
{
    struct sleeper *s = arg;
    int rc = raddle_sleep_until(deadline_of(s));

    s->day->woke[s->number] = raddle_now();
    s->day->order[s->day->count++] = s->number;
    return rc;
}

static int job(void *arg)
{
    return arg ? 0 : -EINVAL;
}

static int has_a_job_done(void *arg)
{
    struct day *day = arg;
    int rc = raddle_run_in_executor(NULL, job, day, NULL);

    day->job_done = raddle_now();
    return rc;
}

static int asks(void *arg)
{
    struct day *day = arg;
    raddle_stream *s;
    char byte = 0;
    int rc = raddle_connect(day->address, &s);

    if (rc < 0)
        return rc;
    for (int i = 0; i < ROUND_TRIPS && rc >= 0; i++) {
        rc = (int)raddle_write_all(s, "?", 1);
        if (rc >= 0)
            rc = (int)raddle_read(s, &byte, 1);
        EXPECT_EQ(byte, '!');
    }
    day->talk_over = raddle_now();
    raddle_stream_close(s);
    return rc < 0 ? rc : 0;
}

static int answers(void *arg)
{
    struct day *day = arg;
    int fd = raddle_fd_accept(day->listener, NULL, NULL);
    char byte;

    EXPECT(fd >= 0);
    while (raddle_fd_recv(fd, &byte, 1, 0) == 1)
        EXPECT_EQ(raddle_fd_send(fd, "!", 1, 0), 1);
    return raddle_fd_close(fd);
}

static void listens(struct day *day)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(at);

    day->listener = raddle_fd_socket(AF_INET, SOCK_STREAM, 0);
    EXPECT_EQ(bind(day->listener, (const void *)&at, sizeof(at)), 0);
    EXPECT_EQ(listen(day->listener, 4), 0);
    EXPECT_EQ(getsockname(day->listener, (void *)&at, &length), 0);
    snprintf(day->address, sizeof(day->address), "tcp:127.0.0.1:%u", ntohs(at.sin_port));
}

static int a_day(void *arg)
{
    struct day *day = arg;
    struct sleeper sleepers[SLEEPERS];
    struct raddle_group g;
    int rc = raddle_group_open(&g, NULL);

    memset(day, 0, sizeof(*day));
    day->begin = raddle_now();
    listens(day);
    for (unsigned i = 0; i < SLEEPERS; i++)
        sleepers[i] = (struct sleeper){day, i};
    for (unsigned i = 0; i < SLEEPERS && rc == 0; i++)
        rc = raddle_spawn(&g, NULL, sleeps_for_hours, &sleepers[i], NULL);
    if (rc == 0)
        rc = raddle_spawn(&g, NULL, has_a_job_done, day, NULL);
    if (rc == 0)
        rc = raddle_spawn(&g, NULL, answers, day, NULL);
    if (rc == 0)
        rc = raddle_spawn(&g, NULL, asks, day, NULL);
    rc = raddle_group_close(&g, rc);
    for (unsigned i = 0; i < SLEEPERS; i++) {
        EXPECT_EQ(day->order[i], SLEEPERS - 1 - i);
        EXPECT_IN(day->woke[i], deadline_of(&sleepers[i]), deadline_of(&sleepers[i]) + HOUR);
    }
    EXPECT_EQ(raddle_fd_close(day->listener), 0);
    return rc;
}

/* AB3 TC116 */
RuntimeTest(sim_clock, time_jumps_from_deadline_to_deadline_when_jobs_and_connections_are_done)
{
    struct day day;
    char name[64];

    for (unsigned seed = 1; seed <= SEEDS; seed++)
        for (unsigned loops = 1; loops <= 3; loops += 2) {
            struct raddle_run_options options = {.loops = loops, .driver = name};

            snprintf(name, sizeof(name), "sim:seed=%u", seed);
            cr_assert_eq(raddle_run(a_day, &day, &options), 0, "%s", name);
            cr_assert_eq(day.count, SLEEPERS);
            cr_assert(day.job_done > day.begin && day.job_done < day.woke[SLEEPERS - 1]);
            cr_assert(day.talk_over > day.begin && day.talk_over < day.woke[SLEEPERS - 1]);
        }
}
