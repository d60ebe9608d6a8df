/*
 * tests/runtime/test_serve.c - raddle_serve() with real connections: limits, stops, and loops that are held up.
 *
 * The clients are blocking sockets in a thread of the default executor, so that they see what any program would.
 */
#define _GNU_SOURCE
#include "tests/support/fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/loop.h"
#include "sched/sys.h"

TestSuite(serve, .timeout = 90);

enum { PATIENCE_MS = 10000, CLIENTS_MAX = 64 };

/* A server in a group of its own, and what its handlers have seen. */
struct bed {
    struct raddle_serve_options options;
    struct raddle_group group;
    raddle_task *server;
    rdl_atomic(unsigned) port;
    rdl_atomic(unsigned) active, most_active, handled, cut_off;
    rdl_atomic(unsigned) answered; /* counted by clients */
    int rc;                        /* of raddle_serve() */
};

static void on_listening(const char *address, void *context)
{
    struct bed *bed = context;

    EXPECT_EQ(strncmp(address, "tcp:127.0.0.1:", 14), 0);
    rdl_atomic_store_release(&bed->port, (unsigned)atoi(strrchr(address, ':') + 1));
}

static void note_active(struct bed *bed, unsigned now)
{
    unsigned most = rdl_atomic_load_relaxed(&bed->most_active);

    while (now > most && !rdl_atomic_cas_acq_rel(&bed->most_active, &most, now))
        ;
}

/* Gives every byte back, until the peer or the server has enough. */
static int echoes(void *arg)
{
    struct bed *bed = raddle_serve_context();
    raddle_stream *stream = arg;
    ssize_t n;
    char c;

    note_active(bed, rdl_atomic_fetch_add_acq_rel(&bed->active, 1u) + 1);
    while ((n = raddle_read(stream, &c, 1)) > 0 && (n = raddle_write_all(stream, &c, 1)) >= 0)
        ;
    if (n == -ECANCELED)
        rdl_atomic_fetch_add_relaxed(&bed->cut_off, 1u);
    rdl_atomic_fetch_add_relaxed(&bed->handled, 1u);
    rdl_atomic_fetch_sub_release(&bed->active, 1u);
    raddle_stream_close(stream);
    return (int)n;
}

static int serves(void *arg)
{
    struct bed *bed = arg;

    return bed->rc = raddle_serve("tcp:127.0.0.1:0", echoes, &bed->options);
}

static void open_bed(struct bed *bed, const struct raddle_serve_options *options)
{
    struct raddle_group_options collect = {.mode = RADDLE_COLLECT};

    memset(bed, 0, sizeof(*bed));
    bed->options = *options;
    bed->options.context = bed;
    bed->options.on_listening = on_listening;
    EXPECT_EQ(raddle_group_open(&bed->group, &collect), 0);
    EXPECT_EQ(raddle_spawn(&bed->group, &bed->server, serves, bed, NULL), 0);
    test_await(&bed->port, 1);
}

static void stop(struct bed *bed)
{
    EXPECT_EQ(raddle_task_cancel(bed->server, "the test is over"), 0);
}

static void close_bed(struct bed *bed)
{
    stop(bed);
    EXPECT_EQ(raddle_group_close(&bed->group, 0), 0);
    EXPECT_EQ(bed->rc, -ECANCELED);
    EXPECT_EQ(bed->active, 0);
    raddle_task_unref(bed->server);
}

/* Clients, outside of tasks. */

static int connect_to(unsigned port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int error;

    EXPECT(fd >= 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    error = errno;
    close(fd);
    return -error;
}

static void ask(int fd)
{
    EXPECT_EQ(write(fd, "x", 1), 1);
}

/* Waits for the answer; false, a failure, if none comes. */
static bool is_answered(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char c = 0;

    EXPECT_EQ(poll(&p, 1, PATIENCE_MS), 1);
    return p.revents && read(fd, &c, 1) == 1 && c == 'x';
}

/* Connects so many, all at once; then asks each, and closes it when it has its answer, whichever comes first. */
static void serve_all_at_once(struct bed *bed, unsigned count)
{
    struct pollfd p[CLIENTS_MAX];
    unsigned left = count;

    for (unsigned i = 0; i < count; i++) {
        p[i] = (struct pollfd){.fd = connect_to(bed->port), .events = POLLIN};
        EXPECT(p[i].fd >= 0);
        ask(p[i].fd);
    }
    while (left && poll(p, count, PATIENCE_MS) > 0)
        for (unsigned i = 0; i < count; i++)
            if (p[i].fd >= 0 && p[i].revents) {
                EXPECT(is_answered(p[i].fd));
                rdl_atomic_fetch_add_relaxed(&bed->answered, 1u);
                close(p[i].fd);
                p[i].fd = -1;
                left--;
            }
    EXPECT_EQ(left, 0);
    for (unsigned i = 0; i < count; i++)
        if (p[i].fd >= 0)
            close(p[i].fd);
}

static void run_client(raddle_job_fn *client, void *arg)
{
    EXPECT_EQ(raddle_run_in_executor(NULL, client, arg, NULL), 0);
}

/* Room. */

enum { ROUNDS = 40, AT_ONCE = 6 };

static int many_rounds(void *arg)
{
    for (int i = 0; i < ROUNDS && test_failures() == 0; i++)
        serve_all_at_once(arg, AT_ONCE);
    return 0;
}

static int limits(void *arg)
{
    struct raddle_serve_options options = {.max_connections = *(size_t *)arg};
    struct bed bed;

    open_bed(&bed, &options);
    run_client(many_rounds, &bed);
    close_bed(&bed);
    EXPECT_EQ(bed.answered, ROUNDS * AT_ONCE);
    EXPECT_EQ(bed.handled, ROUNDS * AT_ONCE);
    if (options.max_connections)
        EXPECT_IN(bed.most_active, 1, options.max_connections + 1);
    return 0;
}

/* Two sockets: connections wait in both, and in both acceptors' hands, for the room that one of them leaves. */
RuntimeTest(serve, the_limit_is_kept_and_nobody_forgotten_who_waits_for_room)
{
    for (size_t max = 0; max <= 3; max++) {
        cr_assert_eq(test_run_on(2, limits, &max), 0);
        cr_assert_eq(test_run(limits, &max), 0);
    }
}

static int one_round(void *arg)
{
    serve_all_at_once(arg, AT_ONCE);
    return 0;
}

static int ends_at_once(void *arg)
{
    struct bed *bed = raddle_serve_context();

    rdl_atomic_fetch_add_relaxed(&bed->handled, 1u);
    raddle_stream_abort(arg);
    return -EIO;
}

static int serves_failures(void *arg)
{
    struct bed *bed = arg;

    return bed->rc = raddle_serve("tcp:127.0.0.1:0", ends_at_once, &bed->options);
}

static int connects_many(void *arg)
{
    struct bed *bed = arg;

    for (int i = 0; i < 20; i++) {
        struct pollfd p = {.fd = connect_to(bed->port), .events = POLLIN};
        /* Aborted before the connect has returned here: it has been handled, too, which is counted. */
        if (p.fd == -ECONNRESET)
            continue;
        EXPECT_IN(p.fd, 0, INT_MAX);
        EXPECT_EQ(poll(&p, 1, PATIENCE_MS), 1);
        close(p.fd);
    }
    return 0;
}

static int fails_always(void *arg)
{
    static const struct raddle_group_options collect = {.mode = RADDLE_COLLECT};
    struct bed bed = {.rc = 0};

    (void)arg;
    bed.options = (struct raddle_serve_options){
        .max_connections = 1, .context = &bed, .on_listening = on_listening};
    EXPECT_EQ(raddle_group_open(&bed.group, &collect), 0);
    EXPECT_EQ(raddle_spawn(&bed.group, &bed.server, serves_failures, &bed, NULL), 0);
    test_await(&bed.port, 1);
    run_client(connects_many, &bed);
    close_bed(&bed);
    EXPECT_EQ(bed.handled, 20);
    return 0;
}

RuntimeTest(serve, a_handler_that_fails_gives_its_room_back_and_ends_nothing_else)
{
    cr_assert_eq(test_run(fails_always, NULL), 0);
}

/* Stops. */

struct stop_client {
    struct bed *bed;
    unsigned count;
    int fds[CLIENTS_MAX];
};

static int connects_all(void *arg)
{
    struct stop_client *client = arg;

    for (unsigned i = 0; i < client->count; i++) {
        EXPECT((client->fds[i] = connect_to(client->bed->port)) >= 0);
        if (i > 0)
            continue;
        ask(client->fds[i]); /* from now on the first one has the room, if there is a limit */
        EXPECT(is_answered(client->fds[i]));
    }
    return 0;
}

static int is_served_late(void *arg)
{
    struct stop_client *client = arg;

    for (unsigned i = 0; i < client->count; i++) {
        ask(client->fds[i]);
        EXPECT(is_answered(client->fds[i]));
    }
    EXPECT_EQ(client->bed->active, client->count);
    for (unsigned i = 0; i < client->count; i++)
        close(client->fds[i]);
    return 0;
}

/* With room for one. The others wait: in a backlog, or accepted and in an acceptor's hand. */
static int stops_with_backlog(void *arg)
{
    struct raddle_serve_options options = {.max_connections = 1, .drain_ns = RADDLE_S(60)};
    struct stop_client client = {.count = 24};
    struct bed bed;

    (void)arg;
    open_bed(&bed, &options);
    client.bed = &bed;
    run_client(connects_all, &client);
    stop(&bed);
    run_client(is_served_late, &client);
    EXPECT_EQ(raddle_join(bed.server, NULL), 0);
    EXPECT_EQ(connect_to(bed.port), -ECONNREFUSED);
    EXPECT_EQ(raddle_task_cancel(bed.server, NULL), -EALREADY);
    EXPECT_EQ(raddle_group_close(&bed.group, 0), 0);
    raddle_task_unref(bed.server);
    EXPECT_EQ(bed.rc, -ECANCELED);
    EXPECT_EQ(bed.handled, client.count);
    EXPECT_EQ(bed.cut_off, 0);
    return 0;
}

RuntimeTest(serve, a_stop_serves_those_who_had_connected_and_refuses_the_rest)
{
    cr_assert_eq(test_run_on(2, stops_with_backlog, NULL), 0);
    cr_assert_eq(test_run(stops_with_backlog, NULL), 0);
}

static int is_cut_off(void *arg)
{
    struct stop_client *client = arg;

    for (unsigned i = 0; i < client->count; i++) {
        struct pollfd p = {.fd = client->fds[i], .events = POLLIN};
        char c;
        EXPECT_EQ(poll(&p, 1, PATIENCE_MS), 1);
        EXPECT(read(p.fd, &c, 1) <= 0);
        close(p.fd);
    }
    return 0;
}

/* Handlers that never end by themselves: a negative length cuts them off at once, a short one soon. */
static int stops_without_patience(void *arg)
{
    struct raddle_serve_options options = {.drain_ns = *(int64_t *)arg};
    struct stop_client client = {.count = 8};
    struct bed bed;

    open_bed(&bed, &options);
    client.bed = &bed;
    run_client(connects_all, &client);
    test_await(&bed.active, client.count);
    stop(&bed);
    run_client(is_cut_off, &client);
    EXPECT_EQ(raddle_join(bed.server, NULL), 0);
    EXPECT_EQ(raddle_group_close(&bed.group, 0), 0);
    raddle_task_unref(bed.server);
    EXPECT_EQ(bed.rc, -ECANCELED);
    EXPECT_EQ(bed.cut_off, client.count);
    return 0;
}

RuntimeTest(serve, a_stop_cuts_handlers_off_when_its_patience_is_over)
{
    int64_t lengths[] = {-1, RADDLE_MS(20)};

    for (unsigned i = 0; i < 2; i++)
        cr_assert_eq(test_run(stops_without_patience, &lengths[i]), 0);
}

/* Loops. */

static unsigned count_tasks(const char *name)
{
    static char text[1 << 16];
    int fd = memfd_create("tasks", MFD_CLOEXEC);
    unsigned count = 0;
    ssize_t n;

    EXPECT(fd >= 0);
    EXPECT(raddle_print_tasks(fd) > 0);
    n = pread(fd, text, sizeof(text) - 1, 0);
    text[n > 0 ? n : 0] = 0;
    close(fd);
    for (const char *at = text; (at = strstr(at, name)); at++)
        count++;
    return count;
}

static int listens_on_some(void *arg)
{
    struct raddle_serve_options options = {.listeners = *(unsigned *)arg};
    unsigned loops = raddle_loop_count();
    struct bed bed;

    open_bed(&bed, &options);
    /* They have been spawned when the first has been served. */
    run_client(one_round, &bed);
    EXPECT_EQ(count_tasks("acceptor "),
              options.listeners && options.listeners < loops ? options.listeners : loops);
    run_client(many_rounds, &bed);
    close_bed(&bed);
    EXPECT_EQ(bed.handled, (ROUNDS + 1) * AT_ONCE);
    return 0;
}

RuntimeTest(serve, as_many_loops_accept_as_are_asked_for_and_all_connections_are_served)
{
    for (unsigned listeners = 0; listeners <= 4; listeners++) {
        cr_assert_eq(test_run(listens_on_some, &listeners), 0);
        cr_assert_eq(test_run_on(3, listens_on_some, &listeners), 0);
    }
}

/* A task that holds its loop while connections come to the loop's socket: the other loop takes them. */
struct held {
    struct bed bed;
    rdl_atomic(unsigned) holding, over;
};

static int holds_loop(void *arg)
{
    struct held *held = arg;

    rdl_atomic_store_release(&held->holding, 1u);
    while (!rdl_atomic_load_acquire(&held->over))
        ;
    return 0;
}

static int many_at_once(void *arg)
{
    struct held *held = arg;

    serve_all_at_once(&held->bed, 32);
    rdl_atomic_store_release(&held->over, 1u); /* also when it has lost patience */
    return 0;
}

static int serves_beside_a_held_loop(void *arg)
{
    static const struct raddle_serve_options options = {.max_connections = 0};
    static struct held held;
    struct raddle_spawn_options there = {.loop =
                                             rdl_raddle_loop(rdl_loop_current()->team->loops[1])};
    struct raddle_group g;

    (void)arg;
    open_bed(&held.bed, &options);
    run_client(one_round, &held.bed);
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    EXPECT_EQ(raddle_spawn(&g, NULL, holds_loop, &held, &there), 0);
    test_await(&held.holding, 1);
    run_client(many_at_once, &held);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    close_bed(&held.bed);
    EXPECT_EQ(held.bed.answered, AT_ONCE + 32);
    return 0;
}

RuntimeTest(serve, what_comes_to_a_loop_that_is_held_up_is_accepted_by_another)
{
    test_keep_still();
    cr_assert_eq(test_run_on(2, serves_beside_a_held_loop, NULL), 0);
}

/* Errors. */

static int is_refused(void *arg)
{
    static const struct raddle_serve_options bad[] = {
        {.backlog = -1}, {.mobility = (enum raddle_mobility)99}, {.reserved = {0, 0, 0, 1}}};
    struct raddle_scope scope;
    struct raddle_serve_options options = {.max_connections = 0};
    char taken[64];
    struct bed bed;

    (void)arg;
    EXPECT_EQ(raddle_serve(NULL, echoes, NULL), -EINVAL);
    EXPECT_EQ(raddle_serve("tcp:127.0.0.1:0", NULL, NULL), -EINVAL);
    EXPECT_EQ(raddle_serve("an address", echoes, NULL), -EINVAL);
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        EXPECT_EQ(raddle_serve("tcp:127.0.0.1:0", echoes, &bad[i]), -EINVAL);
    raddle_scope_enter(&scope, 0, 0);
    raddle_scope_cancel(&scope, NULL);
    options.on_listening = on_listening; /* with a context that can't be used */
    EXPECT_EQ(raddle_serve("tcp:127.0.0.1:0", echoes, &options), -ECANCELED);
    EXPECT_EQ(raddle_scope_leave(&scope, 0), 0);
    EXPECT(!raddle_serve_context());

    options.on_listening = NULL;
    open_bed(&bed, &options);
    snprintf(taken, sizeof(taken), "tcp:127.0.0.1:%u", rdl_atomic_load_relaxed(&bed.port));
    EXPECT_EQ(raddle_serve(taken, echoes, NULL), -EADDRINUSE);
    run_client(one_round, &bed);
    close_bed(&bed);
    return 0;
}

RuntimeTest(serve, what_cannot_be_served_is_refused)
{
    cr_assert_eq(raddle_serve("tcp:127.0.0.1:0", echoes, NULL), -EPERM);
    cr_assert_null(raddle_serve_context());
    cr_assert_eq(test_run(is_refused, NULL), 0);
}

/* Out of descriptors: that is told once, and the connection is served when there are some again. */

static rdl_atomic(unsigned) refused_accepts;

static int no_accept(enum rdl_sys_call call, size_t *length)
{
    (void)length;
    if (call != RDL_SYS_ACCEPT || rdl_atomic_load_relaxed(&refused_accepts) >= 3)
        return 0;
    rdl_atomic_fetch_add_relaxed(&refused_accepts, 1u);
    return -EMFILE;
}

struct told {
    rdl_atomic(unsigned) resting;
};

static void on_report(const char *line, void *arg)
{
    struct told *told = arg;

    if (strstr(line, "can't accept"))
        rdl_atomic_fetch_add_relaxed(&told->resting, 1u);
}

static int rests(void *arg)
{
    static const struct raddle_serve_options options = {.listeners = 1};
    struct bed bed;

    (void)arg;
    open_bed(&bed, &options);
    run_client(one_round, &bed);
    rdl_sys_set_hook(no_accept);
    run_client(one_round, &bed);
    rdl_sys_set_hook(NULL);
    close_bed(&bed);
    EXPECT_EQ(bed.answered, 2 * AT_ONCE);
    return 0;
}

RuntimeTest(serve, out_of_descriptors_it_says_so_once_rests_and_goes_on)
{
    static struct told told;

    raddle_on_report(on_report, &told);
    cr_assert_eq(test_run_on(2, rests, NULL), 0);
    raddle_on_report(NULL, NULL);
    /* A ring accepts without the call. */
    cr_assert_eq(told.resting, refused_accepts ? 1 : 0);
}
