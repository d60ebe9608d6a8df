/*
 * tests/security/loaded.c - a run with a bit of everything in use, in the middle of which something is looked at.
 */
#define _GNU_SOURCE
#include "tests/security/loaded.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/runtime.h"

enum { SERVERS = 2, CLIENTS_EACH = 12, ROUNDS = 20, CHUNK = 300 };

struct load;

struct served {
    struct load *load;
    char wanted[64], address[128];
    rdl_atomic(unsigned) listening;
};

struct load {
    raddle_job_fn *probe;
    void *arg;
    struct served servers[SERVERS];
    rdl_atomic(unsigned) answered, released;
};

static int echoes(void *arg)
{
    raddle_stream *stream = arg;
    char buffer[CHUNK];
    ssize_t n;

    while ((n = raddle_read(stream, buffer, sizeof(buffer))) > 0)
        EXPECT_EQ(raddle_write_all(stream, buffer, (size_t)n), n);
    EXPECT_EQ(n, 0);
    EXPECT_EQ(raddle_stream_close(stream), 0);
    return 0;
}

static void listens(const char *address, void *context)
{
    struct served *s = context;

    snprintf(s->address, sizeof(s->address), "%s", address);
    rdl_atomic_store_release(&s->listening, 1u);
}

static int serves(void *arg)
{
    struct served *s = arg;
    struct raddle_serve_options options = {.context = s, .on_listening = listens};

    EXPECT_EQ(raddle_serve(s->wanted, echoes, &options), -ECANCELED);
    return 0;
}

static int asks(void *arg)
{
    struct served *s = arg;
    char question[CHUNK], answer[CHUNK];
    raddle_stream *stream;

    EXPECT_EQ(raddle_connect(s->address, &stream), 0);
    for (int i = 0; i < ROUNDS; i++) {
        size_t got = 0;
        ssize_t n = 1;

        memset(question, 'a' + i, sizeof(question));
        EXPECT_EQ(raddle_write_all(stream, question, sizeof(question)), CHUNK);
        while (got < sizeof(answer) && n > 0) {
            n = raddle_read(stream, answer + got, sizeof(answer) - got);
            EXPECT(n > 0);
            got += n > 0 ? (size_t)n : 0;
        }
        EXPECT(memcmp(question, answer, sizeof(answer)) == 0);
        EXPECT_EQ(raddle_sleep(RADDLE_US(50)), 0);
    }
    rdl_atomic_fetch_add_acq_rel(&s->load->answered, 1u);
    test_await(&s->load->released, 1);
    EXPECT_EQ(raddle_stream_close(stream), 0);
    return 0;
}

/* A file and a pipe, by the operations of tasks; and one that a deadline ends. */
static int reads_and_writes(void *arg)
{
    struct raddle_scope scope;
    struct load *load = arg;
    int file = open("/dev/zero", O_RDONLY | O_CLOEXEC), ends[2];
    char byte;

    EXPECT(file >= 0);
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    EXPECT_EQ(raddle_fd_read(file, &byte, 1), 1);
    EXPECT_EQ(raddle_fd_write(ends[1], "x", 1), 1);
    EXPECT_EQ(raddle_fd_poll(ends[0], 1 /* POLLIN */), 1);
    EXPECT_EQ(raddle_fd_read(ends[0], &byte, 1), 1);
    raddle_scope_enter(&scope, raddle_in(RADDLE_MS(5)), 0);
    EXPECT_EQ(raddle_scope_leave(&scope, (int)raddle_fd_read(ends[0], &byte, 1)), -ETIMEDOUT);
    rdl_atomic_fetch_add_acq_rel(&load->answered, 1u);
    test_await(&load->released, 1);
    EXPECT_EQ(raddle_fd_close(file), 0);
    EXPECT_EQ(raddle_fd_close(ends[0]), 0);
    EXPECT_EQ(raddle_fd_close(ends[1]), 0);
    return 0;
}

static int load_and_probe(void *arg)
{
    static const struct raddle_group_options collect = {.mode = RADDLE_COLLECT};
    struct load *load = arg;
    struct raddle_group servers, clients;
    raddle_task *tasks[SERVERS];
    int result = -1;

    EXPECT_EQ(raddle_group_open(&servers, &collect), 0);
    EXPECT_EQ(raddle_group_open(&clients, &collect), 0);
    for (unsigned i = 0; i < SERVERS; i++) {
        EXPECT_EQ(raddle_spawn(&servers, &tasks[i], serves, &load->servers[i], NULL), 0);
        test_await(&load->servers[i].listening, 1);
        for (unsigned k = 0; k < CLIENTS_EACH; k++)
            EXPECT_EQ(raddle_spawn(&clients, NULL, asks, &load->servers[i], NULL), 0);
    }
    EXPECT_EQ(raddle_spawn(&clients, NULL, reads_and_writes, load, NULL), 0);
    test_await(&load->answered, SERVERS * CLIENTS_EACH + 1);
    EXPECT_EQ(raddle_run_in_executor(NULL, load->probe, load->arg, &result), 0);
    EXPECT_EQ(result, 0);
    rdl_atomic_store_release(&load->released, 1u);
    EXPECT_EQ(raddle_group_close(&clients, 0), 0);
    for (unsigned i = 0; i < SERVERS; i++) {
        EXPECT_EQ(raddle_task_cancel(tasks[i], "the test is over"), 0);
        raddle_task_unref(tasks[i]);
    }
    return raddle_group_close(&servers, 0);
}

int loaded_run(unsigned loops, raddle_job_fn *probe, void *arg)
{
    struct raddle_run_options options = {
        .loops = loops, .slow_ns = RADDLE_S(60), .mobility = test_mobility()};
    struct load load = {.probe = probe, .arg = arg};

    for (unsigned i = 0; i < SERVERS; i++)
        load.servers[i].load = &load;
    snprintf(load.servers[0].wanted, sizeof(load.servers[0].wanted), "tcp:127.0.0.1:0");
    snprintf(load.servers[1].wanted, sizeof(load.servers[1].wanted), "unix:@raddle-test-%d",
             (int)getpid());
    return raddle_run(load_and_probe, &load, &options);
}
