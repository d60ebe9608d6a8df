/*
 * tests/race/race_reuse.c - connections are closed while others send, receive and wait on them, on all loops; the
 * next ones get their numbers at once; every byte of every connection is stamped, and accounted for.
 *
 *     race_reuse [--rounds N] [--loops N]
 *
 * An owner makes a connection (a pair, TCP, a pipe; bare or as streams), and starts tasks that send into it, receive
 * from it and poll it, in all ways there are, at times with deadlines of microseconds. Then it closes one end
 * under them, later the other one, and makes the next connection. What byte has to be where follows from the
 * number of the connection, its direction and the place in the stream. Wanted:
 *
 *     no byte that isn't the next one of that very connection
 *     sent = received, where the receiver could read to the end
 *     sent = received + what a copy of the closed end still has: what was cut short has taken nothing
 *     the same of a listener: connected = accepted + left in the backlog
 *     every close and every task gets through; no descriptor is left
 *
 * Nobody begins with a number that was closed before, as that is the one thing no program may do: a close is
 * called once all users of that end are in the table of operations, or back. tests/race/race_close.c has careless
 * users, too.
 */
#define _GNU_SOURCE
#include "tests/support/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "io/fd.h"
#include "io/op.h"
#include "tests/support/counted.h"

enum {
    OWNERS = 16,
    CHUNK = 2048,  /* bytes at once, at most */
    ACCEPTORS = 3, /* at times MANY_ACCEPTORS, more than a close ends in one go */
    MANY_ACCEPTORS = 40,
    COPIES = 512, /* numbers from here on are no connection's: nobody waits for them */
    PATIENCE_S = 20,
    LAST_BYTE_MS = 5000,
};

enum kind { PAIR, PAIR_BOTH_WAYS, PAIR_STREAMS, TCP, TCP_STREAMS, PIPE, LISTENER, KINDS };

static const char *const names[KINDS] = {
    "pair", "pair, both ways", "pair of streams", "TCP", "TCP streams", "pipe", "listener",
};

/* One end, which several tasks use and the owner closes. */
struct end {
    struct rdl_lock lock;
    bool open; /* under the lock */
    unsigned users;
    int fd;
    raddle_stream *stream; /* or NULL */
};

/* What goes from one end to the other. Each side's figure is its task's until the group is closed. */
struct way {
    struct connection *connection;
    struct end *from, *to;
    uint64_t key;         /* of this connection and direction */
    size_t limit;         /* the sender stops here */
    size_t sent, perhaps; /* perhaps: a write of all bytes failed half way */
    size_t received;
    uint32_t random[2];
    bool to_the_end; /* the receiver saw it */
};

struct connection {
    enum kind kind;
    struct end end[2];
    struct way way[2]; /* from 0 to 1, from 1 to 0 */
    rdl_atomic(unsigned) receivers;
    rdl_atomic(unsigned) accepted;
    uint32_t random;
};

static rdl_atomic(unsigned long) connections, bytes_sent, bytes_received,
    bytes_left, cut_short, by_kind[KINDS];
static rdl_atomic(unsigned long) without_port;
static unsigned long rounds;

static void count(rdl_atomic(unsigned long) * counter, size_t more)
{
    (void)rdl_atomic_fetch_add_relaxed(counter, more);
}

/* The stamps. */

static uint64_t stamp(uint64_t key, uint64_t word)
{
    uint64_t x = key ^ (word + 1) * 0x9E3779B97F4A7C15u;

    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return x ^ x >> 31;
}

static uint8_t byte_at(uint64_t key, size_t place)
{
    return (uint8_t)(stamp(key, place / 8) >> place % 8 * 8);
}

static void write_stamps(uint8_t *bytes, size_t n, uint64_t key, size_t place)
{
    for (size_t i = 0; i < n; i++)
        bytes[i] = byte_at(key, place + i);
}

/* A wrong byte ends the program at once: what follows would be wrong, too. */
static void check_stamps(const uint8_t *bytes, size_t n, const struct way *way, size_t place)
{
    for (size_t i = 0; i < n; i++) {
        if (bytes[i] == byte_at(way->key, place + i))
            continue;
        fprintf(stderr,
                "byte %zu of a connection (%s) is not its own: %zu bytes received, %zu good\n",
                place + i, names[way->connection->kind], n, i);
        _Exit(1);
    }
}

/* Use of an end, by who is not the owner. */

static bool begin(struct end *end)
{
    bool open;

    rdl_lock_acquire(&end->lock);
    open = end->open;
    end->users += open;
    rdl_lock_release(&end->lock);
    return open;
}

static void finish(struct end *end)
{
    rdl_lock_acquire(&end->lock);
    end->users--;
    rdl_lock_release(&end->lock);
}

static unsigned in_flight(int fd)
{
    struct rdl_fd *entry;
    unsigned ops = 0;

    if (rdl_fd_find(fd, &entry) < 0)
        return 0;
    rdl_lock_acquire(&entry->lock);
    for (struct rdl_op *op = entry->ops; op; op = op->fd_next)
        ops++;
    rdl_lock_release(&entry->lock);
    return ops;
}

static void close_end(struct end *end)
{
    unsigned users;

    rdl_lock_acquire(&end->lock);
    end->open = false;
    rdl_lock_release(&end->lock);
    for (;;) {
        rdl_lock_acquire(&end->lock);
        users = end->users;
        rdl_lock_release(&end->lock);
        /* They only become fewer: so many in flight now are all there are. */
        if (in_flight(end->fd) == users)
            break;
        EXPECT_EQ(raddle_yield(), 0);
    }
    if (end->stream)
        EXPECT_EQ(raddle_stream_close(end->stream), 0);
    else
        EXPECT_EQ(raddle_fd_close(end->fd), 0);
    count(&cut_short, users);
}

/* What the users do. */

static ssize_t transmit(struct end *end, uint8_t *bytes, size_t n, uint32_t how)
{
    struct iovec parts[2] = {{bytes, n / 2}, {bytes + n / 2, n - n / 2}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};

    if (end->stream)
        return raddle_write_all(end->stream, bytes, n);
    switch (how % 4) {
    case 0:
        return raddle_fd_write(end->fd, bytes, n);
    case 1:
        return raddle_fd_writev(end->fd, parts, 2);
    case 2:
        return raddle_fd_sendmsg(end->fd, &message, 0);
    default:
        return raddle_fd_send(end->fd, bytes, n, 0);
    }
}

static ssize_t receive(struct end *end, uint8_t *bytes, size_t n, uint32_t how)
{
    struct iovec parts[2] = {{bytes, n / 2}, {bytes + n / 2, n - n / 2}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};

    if (end->stream)
        return raddle_read(end->stream, bytes, n);
    switch (how % 5) {
    case 0:
        return raddle_fd_read(end->fd, bytes, n);
    case 1:
        return raddle_fd_readv(end->fd, parts, 2);
    case 2:
        return raddle_fd_recvmsg(end->fd, &message, 0);
    case 3:
        return raddle_fd_recv(end->fd, bytes, n, MSG_WAITALL);
    default:
        return raddle_fd_recv(end->fd, bytes, n, 0);
    }
}

/* A pipe takes only two of them. */
static uint32_t way_to_do(const struct way *way, uint32_t *random)
{
    uint32_t how = test_random(random);

    return way->connection->kind == PIPE ? how % 2 : how;
}

static raddle_time some_deadline(uint32_t *random)
{
    uint32_t x = test_random(random);

    return x % 4 ? RADDLE_NEVER : raddle_in(RADDLE_US(x / 4 % 100));
}

static bool is_gone(ssize_t n)
{
    return n == -EPIPE || n == -ECONNRESET;
}

static int send_all(void *arg)
{
    struct way *way = arg;
    uint32_t *random = &way->random[0];
    uint8_t bytes[CHUNK];
    ssize_t n = 0;

    while (way->sent < way->limit && (n >= 0 || n == -ECANCELED) && !way->perhaps &&
           begin(way->from)) {
        size_t wanted = 2 + test_random(random) % (CHUNK - 2);
        struct raddle_scope scope;

        write_stamps(bytes, wanted, way->key, way->sent);
        raddle_scope_enter(&scope, some_deadline(random), RADDLE_QUIET);
        n = transmit(way->from, bytes, wanted, way_to_do(way, random));
        finish(way->from);
        EXPECT(raddle_scope_leave(&scope, n < 0 ? (int)n : 1) != -ECANCELED);
        if (n > 0)
            way->sent += (size_t)n;
        else if (way->from->stream)
            way->perhaps = wanted;
        else
            EXPECT(n == RADDLE_ECLOSED || n == -ECANCELED || is_gone(n));
        if (test_random(random) % 4 == 0)
            EXPECT_EQ(raddle_yield(), 0);
    }
    return 0;
}

static int receive_all(void *arg)
{
    struct way *way = arg;
    uint32_t *random = &way->random[1];
    uint8_t bytes[CHUNK];
    ssize_t n = 1;

    while ((n > 0 || n == -ECANCELED) && begin(way->to)) {
        size_t wanted = 2 + test_random(random) % (CHUNK - 2);
        struct raddle_scope scope;

        raddle_scope_enter(&scope, some_deadline(random), RADDLE_QUIET);
        n = receive(way->to, bytes, wanted, way_to_do(way, random));
        finish(way->to);
        EXPECT(raddle_scope_leave(&scope, n < 0 ? (int)n : 1) != -ECANCELED);
        if (n > 0) {
            check_stamps(bytes, (size_t)n, way, way->received);
            way->received += (size_t)n;
        } else {
            EXPECT(n == 0 || n == RADDLE_ECLOSED || n == -ECANCELED || is_gone(n));
        }
    }
    way->to_the_end = n == 0;
    (void)rdl_atomic_fetch_sub_release(&way->connection->receivers, 1u);
    return 0;
}

static int poll_it(void *arg)
{
    struct end *end = arg;
    int rc = 1;

    for (unsigned i = 0; i < 4 && rc > 0 && begin(end); i++) {
        rc = raddle_fd_poll(end->fd, i & 1 ? POLLIN : POLLPRI | POLLRDHUP);
        finish(end);
        EXPECT(rc > 0 || rc == RADDLE_ECLOSED);
    }
    return 0;
}

static int accept_all(void *arg)
{
    struct connection *c = arg;
    int fd = 0;

    while (fd >= 0 && begin(&c->end[0])) {
        fd = raddle_fd_accept(c->end[0].fd, NULL, NULL);
        finish(&c->end[0]);
        EXPECT(fd >= 0 || fd == RADDLE_ECLOSED);
        if (fd >= 0) {
            (void)rdl_atomic_fetch_add_relaxed(&c->accepted, 1u);
            EXPECT_EQ(raddle_fd_close(fd), 0);
        }
    }
    return 0;
}

/* What the owner does. */

static void stop(const char *what)
{
    perror(what);
    _Exit(1);
}

/* Both ends of a new connection to listener, or -EADDRNOTAVAIL when ports have run out for now. */
static int make_tcp(int listener, int fds[2])
{
    struct sockaddr_in name;
    socklen_t length = sizeof(name);
    int rc;

    if (getsockname(listener, (struct sockaddr *)&name, &length) != 0)
        stop("getsockname");
    fds[0] = raddle_fd_socket(AF_INET, SOCK_STREAM, 0);
    if (fds[0] < 0)
        return fds[0];
    rc = raddle_fd_connect(fds[0], (struct sockaddr *)&name, length);
    if (rc == 0)
        rc = fds[1] = raddle_fd_accept(listener, NULL, NULL);
    if (rc < 0)
        EXPECT_EQ(raddle_fd_close(fds[0]), 0);
    return rc < 0 ? rc : 0;
}

static void open_ends(struct connection *c, int listener)
{
    int fds[2] = {-1, -1}, small = 1, rc = -EADDRNOTAVAIL;

    if (c->kind == TCP || c->kind == TCP_STREAMS)
        rc = make_tcp(listener, fds);
    if (c->kind == PIPE) {
        rc = pipe2(fds, O_CLOEXEC);
        int swap = fds[0];
        fds[0] = fds[1];
        fds[1] = swap;
    } else if (rc == -EADDRNOTAVAIL) {
        count(&without_port, c->kind == TCP || c->kind == TCP_STREAMS);
        rc = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds);
        if (rc == 0 && test_random(&c->random) % 2)
            (void)setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    }
    if (rc < 0 || fds[0] >= COPIES || fds[1] >= COPIES)
        stop("a connection");
    for (int i = 0; i < 2; i++) {
        c->end[i] = (struct end){.open = true, .fd = fds[i]};
        if (c->kind == PAIR_STREAMS || c->kind == TCP_STREAMS)
            EXPECT_EQ(raddle_stream_from_fd(fds[i], &c->end[i].stream), 0);
    }
}

static void start(struct raddle_group *g, raddle_task_fn *fn, void *arg, uint32_t random)
{
    static const struct raddle_spawn_options moves = {.mobility = RADDLE_MIGRATABLE};

    EXPECT_EQ(raddle_spawn(g, NULL, fn, arg, random % 2 ? &moves : NULL), 0);
}

static void start_way(struct raddle_group *g, struct connection *c, int from)
{
    struct way *way = &c->way[from];
    uint64_t id = rdl_atomic_fetch_add_relaxed(&connections, 1ul);

    *way = (struct way){
        .connection = c,
        .from = &c->end[from],
        .to = &c->end[!from],
        .key = stamp(0x5EED, id),
        .limit = test_random(&c->random) % (test_random(&c->random) % 4 ? 6000 : 40000),
        .random = {test_random(&c->random), test_random(&c->random)},
    };
    (void)rdl_atomic_fetch_add_relaxed(&c->receivers, 1u);
    start(g, receive_all, way, test_random(&c->random));
    start(g, send_all, way, test_random(&c->random));
}

static void pass_time(uint32_t *random)
{
    uint32_t x = test_random(random);

    if (x % 3 == 0)
        EXPECT_EQ(raddle_sleep(RADDLE_US(x / 3 % 100)), 0);
    else if (x % 3 == 1)
        EXPECT_EQ(raddle_yield(), 0);
}

/* What is left in a copy of the receiving end, whose other end is closed. */
static void count_left(struct way *way, int copy)
{
    uint8_t bytes[CHUNK];
    struct pollfd fd = {.fd = copy, .events = POLLIN};
    size_t place = way->received;
    ssize_t n;

    do {
        n = poll(&fd, 1, LAST_BYTE_MS) == 1 ? read(copy, bytes, sizeof(bytes)) : -1;
        if (n > 0) {
            check_stamps(bytes, (size_t)n, way, place);
            place += (size_t)n;
        }
    } while (n > 0);
    /* A reset tells that the other end was closed with bytes left to read, which only one both ways can have. */
    EXPECT(n == 0 || (errno == ECONNRESET && way->connection->kind == PAIR_BOTH_WAYS));
    EXPECT_IN(place, way->sent, way->sent + way->perhaps + 1);
    count(&bytes_left, place - way->received);
    (void)close(copy);
}

static void settle_accounts(struct connection *c, bool strict)
{
    for (int i = 0; i < 2; i++) {
        struct way *way = &c->way[i];

        if (way->connection != c)
            continue;
        EXPECT(way->received <= way->sent + way->perhaps);
        if (strict && i == 0) {
            EXPECT(way->to_the_end || c->kind == PAIR_BOTH_WAYS);
            EXPECT(way->received >= way->sent);
        }
        count(&bytes_sent, way->sent);
        count(&bytes_received, way->received);
    }
}

static void close_connection(struct connection *c, struct raddle_group *g, unsigned owner)
{
    /* A copy is of the end that receives. Where the sender goes first, who receives may read to the end. */
    uint32_t how = test_random(&c->random) % 4;
    bool strict = how == 0, sender_first = how < 2;
    int copy = -1;

    if (how == 2) {
        copy = dup3(c->end[1].fd, COPIES + (int)owner, O_CLOEXEC);
        if (copy < 0)
            stop("dup3");
    }
    close_end(&c->end[!sender_first]);
    pass_time(&c->random);
    while (strict && rdl_atomic_load_acquire(&c->receivers))
        EXPECT_EQ(raddle_yield(), 0);
    close_end(&c->end[sender_first]);
    EXPECT_EQ(raddle_group_close(g, 0), 0);
    if (copy >= 0)
        count_left(&c->way[0], copy);
    settle_accounts(c, strict);
}

static void run_connection(struct connection *c, int listener, unsigned owner)
{
    struct raddle_group g;

    open_ends(c, listener);
    memset(c->way, 0, sizeof(c->way));
    rdl_atomic_store_relaxed(&c->receivers, 0u);
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    start_way(&g, c, 0);
    if (c->kind == PAIR_BOTH_WAYS)
        start_way(&g, c, 1);
    if (test_random(&c->random) % 2)
        start(&g, poll_it, &c->end[test_random(&c->random) % 2], test_random(&c->random));
    pass_time(&c->random);
    close_connection(c, &g, owner);
}

static unsigned connect_to(const struct sockaddr_un *name, socklen_t length)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool connected = fd >= 0 && connect(fd, (const struct sockaddr *)name, length) == 0;

    (void)close(fd);
    return connected;
}

static void run_listener(struct connection *c, unsigned owner)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    socklen_t length = sizeof(name);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), copy, extra;
    unsigned made = 0, left = 0;
    struct raddle_group g;

    c->end[0] = (struct end){.open = true, .fd = fd};
    rdl_atomic_store_relaxed(&c->accepted, 0u);
    copy = fd < 0 ? -1 : dup3(fd, COPIES + (int)owner, O_CLOEXEC);
    if (copy < 0 || bind(fd, (struct sockaddr *)&name, sizeof(sa_family_t)) != 0 ||
        listen(fd, 8) != 0 || getsockname(fd, (struct sockaddr *)&name, &length) != 0)
        stop("a listener");
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (unsigned i = test_random(&c->random) % 8 ? ACCEPTORS : MANY_ACCEPTORS; i; i--)
        start(&g, accept_all, c, i);
    for (unsigned i = test_random(&c->random) % 6; i; i--) {
        pass_time(&c->random);
        made += connect_to(&name, length);
    }
    close_end(&c->end[0]);
    EXPECT_EQ(raddle_group_close(&g, 0), 0);
    while ((extra = accept4(copy, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        (void)close(extra);
        left++;
    }
    EXPECT_EQ(c->accepted + left, made);
    (void)close(copy);
}

static int own(void *arg)
{
    unsigned owner = (unsigned)(uintptr_t)arg;
    struct connection c = {.random = owner * 7919 + 17};
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), listener;

    /* Its number is kept out of the way of those that come and go. */
    listener = dup3(fd, COPIES + OWNERS + (int)owner, O_CLOEXEC);
    (void)close(fd);
    if (bind(listener, (struct sockaddr *)&name, sizeof(name)) != 0 || listen(listener, 64) != 0)
        stop("a listener");
    for (unsigned long i = 0; i < rounds && test_failures() == 0; i++) {
        c.kind = (enum kind)(test_random(&c.random) % KINDS);
        count(&by_kind[c.kind], 1);
        if (c.kind == LISTENER)
            run_listener(&c, owner);
        else
            run_connection(&c, listener, owner);
    }
    EXPECT_EQ(raddle_fd_close(listener), 0);
    return 0;
}

static int race(void *arg)
{
    struct raddle_spawn_options moves = {.mobility = RADDLE_MIGRATABLE};
    struct raddle_group g;

    (void)arg;
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (uintptr_t i = 0; i < OWNERS; i++)
        EXPECT_EQ(raddle_spawn(&g, NULL, own, (void *)i, &moves), 0);
    return raddle_group_close(&g, 0);
}

/* A thread: nothing lasts longer here than some milliseconds. */
static void *watch(void *arg)
{
    unsigned long seen = 0;

    (void)arg;
    for (int quiet = 0; quiet < PATIENCE_S * test_slowness(); quiet++) {
        unsigned long now =
            rdl_atomic_load_relaxed(&cut_short) + rdl_atomic_load_relaxed(&connections);

        quiet = now != seen ? 0 : quiet;
        seen = now;
        (void)sleep(1);
    }
    fprintf(stderr, "stuck after %lu connections\n", rdl_atomic_load_relaxed(&connections));
    (void)raddle_print_tasks(STDERR_FILENO);
    _Exit(1);
}

int main(int argc, char **argv)
{
    unsigned loops = (unsigned)test_argument(argc, argv, "--loops", test_loops());
    unsigned long all = test_argument(argc, argv, "--rounds", test_slowness() > 1 ? 800 : 8000);
    struct test_footprint before;
    pthread_t watcher;

    rounds = (all + OWNERS - 1) / OWNERS;
    if (test_run_on(1, test_nothing, NULL) != 0 || pthread_create(&watcher, NULL, watch, NULL) != 0)
        return 1;
    before = test_footprint();
    EXPECT_EQ(test_run_on(loops, race, NULL), 0);
    test_same_footprint(&before);
    EXPECT(cut_short > 0);
    printf("%u loops: %lu connections; %lu bytes sent, %lu received, %lu left in closed ends; %lu "
           "operations cut "
           "short; %lu without a port\n",
           loops, connections, bytes_sent, bytes_received, bytes_left, cut_short, without_port);
    test_counted(connections, "races");
    for (unsigned i = 0; i < KINDS; i++)
        printf("  %-16s %lu\n", names[i], by_kind[i]);
    return test_result();
}
