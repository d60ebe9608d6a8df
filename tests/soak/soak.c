/*
 * tests/soak/soak.c - a server and its clients, in two processes, for as long as asked, under faults: nothing may be
 * stuck, and every byte must be accounted for.
 *
 *     soak [--seconds N] [--connections N] [--loops N] [--loopback 1]
 *
 * So many clients make connections at once: orderly ones, in turns or both ways at the same time, with stalls of up
 * to two seconds, half closed; others reset theirs in the middle, close them with bytes unread, or never say
 * anything. What each byte has to be follows from its connection, direction and place. Each connection has a
 * record in shared memory, where both sides note what they sent and received.
 *
 * The parent stops either process, lets both have a tenth of a CPU, lowers the limit of descriptors of either below
 * what it has open, and loses packets between them. They are in network namespaces of their own where that is
 * allowed; some sockets lose packets by a filter of their own everywhere. A kind of fault that can't be had is
 * counted as skipped, with its reason.
 *
 * At the end clients make no more connections, all have to come to their end, and the server stops. Then:
 *
 *     a connection that its client calls whole is so for the server, and received is sent, both ways
 *     any other received no more than was sent
 *     both processes have the descriptors and stacks of their beginning
 */
#define _GNU_SOURCE
#include "tests/soak/soak.h"
#include "tests/support/counted.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE_S = 60, SPARE_DESCRIPTORS = 200 };

struct soak_board *soak_board;
unsigned soak_loops;

/* A child waits for its order: what it serves, or nothing for the client. */
struct child {
    pid_t pid;
    int answer, order; /* pipe ends of the parent */
    bool ended;
    int status;
};

static bool loopback;

static void stop(const char *what)
{
    perror(what);
    _Exit(1);
}

static struct child start(bool server, unsigned connections)
{
    int answer[2], order[2];
    struct child child = {0};
    char address[64] = "", separate;

    if (pipe(answer) != 0 || pipe(order) != 0)
        stop("pipe");
    child.pid = fork();
    if (child.pid < 0)
        stop("fork");
    if (child.pid > 0) {
        (void)close(answer[1]);
        (void)close(order[0]);
        child.answer = answer[0];
        child.order = order[1];
        return child;
    }
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)close(answer[0]);
    (void)close(order[1]);
    separate = !loopback && soak_faults_unshare() ? 'y' : 'n';
    if (write(answer[1], &separate, 1) != 1 || read(order[0], address, sizeof(address)) <= 0)
        _Exit(1);
    (void)close(answer[1]);
    (void)close(order[0]);
    exit(server ? soak_server(address) : soak_client(connections));
}

static bool has_namespace(const struct child *child)
{
    char separate = 'n';

    return read(child->answer, &separate, 1) == 1 && separate == 'y';
}

static void order(struct child *child, const char *address)
{
    char copy[64] = "";

    (void)snprintf(copy, sizeof(copy), "%s", address);
    if (write(child->order, copy, sizeof(copy)) != sizeof(copy))
        stop("a child is gone");
    (void)close(child->order);
    (void)close(child->answer);
}

static bool has_ended(struct child *child)
{
    if (!child->ended && waitpid(child->pid, &child->status, WNOHANG) == child->pid)
        child->ended = true;
    return child->ended;
}

/* Waits for an end for so long. */
static bool ends_within(struct child *child, int seconds)
{
    for (int i = 0; i < seconds * 20 && !has_ended(child); i++)
        (void)usleep(50000);
    return child->ended;
}

/* What the kernel thinks of the connections of a process, and when it will send something again. */
static void show_sockets(pid_t pid)
{
    char line[160];

    (void)fflush(stderr);
    (void)snprintf(line, sizeof(line),
                   "nsenter -t %d -n ss -tanoi state connected exclude time-wait | head -n 60 >&2",
                   (int)pid);
    if (system(line) != 0)
        fprintf(stderr, "no ss(8) to ask for the sockets of process %d\n", (int)pid);
}

/* Shows what both do, and ends them. */
__attribute__((noreturn)) static void stuck(struct soak_faults *f, struct child *server,
                                            struct child *client, const char *what)
{
    fprintf(stderr, "%s; %lu connections begun, %lu ended, %lu served\n", what,
            (unsigned long)soak_board->begun, (unsigned long)soak_board->ended,
            (unsigned long)soak_board->served);
    for (int i = 0; i < 2; i++) {
        struct child *child = i ? client : server;

        if (has_ended(child)) {
            fprintf(stderr, "the %s has ended: status %x\n", i ? "client" : "server",
                    (unsigned)child->status);
            continue;
        }
        show_sockets(child->pid);
        (void)kill(child->pid, SIGQUIT); /* prints its tasks */
        (void)sleep(2);
        (void)kill(child->pid, SIGKILL);
        (void)waitpid(child->pid, NULL, 0);
    }
    soak_faults_close(f);
    _Exit(1);
}

static uint64_t progress(void)
{
    return soak_board->bytes + soak_board->begun + soak_board->ended;
}

static void make_faults(struct soak_faults *f, struct child *server, struct child *client,
                        unsigned long seconds)
{
    raddle_time end = raddle_in(RADDLE_S((int64_t)seconds)), moved = raddle_now();
    uint64_t seen = 0;

    while (raddle_now() < end) {
        soak_faults_inject(f);
        if (has_ended(server) || has_ended(client))
            stuck(f, server, client, "a process has ended too early");
        if (progress() != seen)
            moved = raddle_now();
        seen = progress();
        if (raddle_now() - moved > RADDLE_S(PATIENCE_S))
            stuck(f, server, client, "nothing moves");
    }
}

/* What the records say. */
static void audit(void)
{
    unsigned long count[SOAK_BROKEN + 1] = {0};
    uint64_t sent = 0, received = 0, cut = 0, ids = soak_board->next_id;

    for (uint64_t id = 0; id < ids && id < SOAK_RECORDS; id++) {
        const struct soak_record *r = &soak_board->records[id];
        bool whole = r->client == SOAK_WHOLE;

        count[r->client]++;
        EXPECT(r->up_received <= r->up_sent);
        EXPECT(r->down_received <= r->down_sent);
        EXPECT(!whole || (r->server == SOAK_WHOLE && r->up_received == r->up_sent &&
                          r->down_received == r->down_sent));
        sent += (uint64_t)r->up_sent + r->down_sent;
        received += (uint64_t)r->up_received + r->down_received;
        if (!whole)
            cut += (uint64_t)r->up_sent + r->down_sent - r->up_received - r->down_received;
    }
    printf("%lu connections, %lu at once; %lu whole, %lu cut, %lu late, %lu broken; %lu served\n",
           (unsigned long)soak_board->begun, (unsigned long)soak_board->most_open,
           count[SOAK_WHOLE], count[SOAK_CUT], count[SOAK_LATE], count[SOAK_BROKEN],
           (unsigned long)soak_board->served);
    printf("%lu bytes sent = %lu received + %lu of connections that were cut\n",
           (unsigned long)sent, (unsigned long)received, (unsigned long)cut);
    printf("%lu reset, %lu stalls, %lu half closed, %lu silent, %lu with losses of their own; %lu "
           "times no "
           "descriptor, %lu times no connection, %lu reports\n",
           (unsigned long)soak_board->resets, (unsigned long)soak_board->stalls,
           (unsigned long)soak_board->half_closed, (unsigned long)soak_board->silent,
           (unsigned long)soak_board->lossy, (unsigned long)soak_board->no_descriptor,
           (unsigned long)soak_board->no_port, (unsigned long)soak_board->reports);
    EXPECT_EQ(count[SOAK_BROKEN], 0);
    EXPECT(count[SOAK_WHOLE] > 0);
    EXPECT_EQ(sent, received + cut);
    EXPECT_EQ(soak_board->begun, soak_board->ended);
}

static void print_faults(const struct soak_faults *f)
{
    unsigned skipped = 0;

    for (unsigned i = 0; i < SOAK_FAULTS; i++) {
        if (f->skipped[i])
            printf("skipped: %s: %s\n", soak_fault_names[i], f->skipped[i]);
        else
            printf("%lu times: %s\n", f->done[i], soak_fault_names[i]);
        EXPECT(f->skipped[i] || f->done[i] > 0);
        skipped += f->skipped[i] != NULL;
    }
    printf("%u of %d kinds of faults skipped\n", skipped, SOAK_FAULTS);
}

static unsigned fitting(unsigned long connections)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        stop("getrlimit");
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    if (connections + SPARE_DESCRIPTORS > limit.rlim_cur) {
        connections = limit.rlim_cur - SPARE_DESCRIPTORS;
        printf("only %lu connections at once: there are no more descriptors\n", connections);
    }
    return (unsigned)connections;
}

int main(int argc, char **argv)
{
    unsigned long seconds = test_argument(argc, argv, "--seconds", 10);
    unsigned connections =
        fitting(test_argument(argc, argv, "--connections", test_slowness() > 1 ? 100 : 1000));
    struct soak_faults f = {.random = 4711};
    char address[64] = "tcp:127.0.0.1:0";
    struct child server, client;

    soak_loops = (unsigned)test_argument(argc, argv, "--loops", test_loops());
    loopback = test_argument(argc, argv, "--loopback", 0) != 0;
    soak_board =
        mmap(NULL, sizeof(*soak_board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (soak_board == MAP_FAILED)
        stop("mmap");
    (void)fflush(stdout);
    server = start(true, 0);
    client = start(false, connections);
    f.server = server.pid;
    f.client = client.pid;
    bool separate = has_namespace(&server);
    separate = has_namespace(&client) && separate;
    if (!separate)
        f.skipped[SOAK_PACKETS] = loopback ? "not wanted" : "namespaces are not allowed";
    if (!loopback && !(separate && soak_faults_connect(&f, address, sizeof(address)))) {
        /* They may be in two namespaces that nothing connects: once more, in this one. */
        printf("no network namespaces: %s\n", f.skipped[SOAK_PACKETS]);
        (void)fflush(stdout);
        (void)kill(server.pid, SIGKILL);
        (void)kill(client.pid, SIGKILL);
        (void)waitpid(server.pid, NULL, 0);
        (void)waitpid(client.pid, NULL, 0);
        loopback = true;
        server = start(true, 0);
        client = start(false, connections);
        f.server = server.pid;
        f.client = client.pid;
    }
    order(&server, address);
    for (int i = 0; i < PATIENCE_S * 20 && !rdl_atomic_load_acquire(&soak_board->listening); i++)
        (void)usleep(50000);
    order(&client, "connect");
    soak_faults_open(&f);
    make_faults(&f, &server, &client, seconds);
    rdl_atomic_store_relaxed(&soak_board->stop, 1u);
    if (!ends_within(&client, PATIENCE_S * 2 * test_slowness()))
        stuck(&f, &server, &client, "connections don't come to their end");
    (void)kill(server.pid, SIGINT);
    if (!ends_within(&server, PATIENCE_S * test_slowness()))
        stuck(&f, &server, &client, "the server doesn't stop");
    soak_faults_close(&f);
    EXPECT_EQ(server.status, 0);
    EXPECT_EQ(client.status, 0);
    audit();
    print_faults(&f);
    test_counted(seconds, "seconds of soak");
    test_counted(soak_board->begun, "connections of soak");
    return test_result();
}
