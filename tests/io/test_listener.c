/*
 * tests/io/test_listener.c - listening on TCP and unix addresses.
 */
#define _GNU_SOURCE
#include "tests/support/io_task.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/listener.h"
#include "sched/sys.h"

TestSuite(listener, .timeout = 30);

/* Addresses that are this process's own, as tests run beside each other. */

static const char *own_path(void)
{
    static char text[64];

    (void)snprintf(text, sizeof(text), "unix:/tmp/raddle-test-%d.sock", (int)getpid());
    return text;
}

static const char *own_file(void)
{
    return own_path() + strlen("unix:");
}

static const char *own_name(void)
{
    static char text[64];

    (void)snprintf(text, sizeof(text), "unix:@raddle-test-%d", (int)getpid());
    return text;
}

static int open_at(const char *address, unsigned sockets, struct rdl_listener **out)
{
    struct rdl_listener_options options = {.sockets = sockets, .backlog = 256};

    return rdl_listener_open(address, &options, out);
}

/* A plain client, connected. */
static int dial(const char *text)
{
    struct rdl_address address;
    int fd;

    cr_assert_eq(rdl_address_parse(text, &address), 0);
    fd = socket(address.at.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_geq(fd, 0);
    if (connect(fd, &address.at.any, address.length) == 0)
        return fd;
    close(fd);
    return -errno;
}

Test(listener, what_cannot_be_listened_on_is_refused)
{
    struct rdl_listener_options bad = {.backlog = -1}, many = {.sockets = 100000};
    struct rdl_listener *l = NULL;

    cr_assert_eq(open_at("nonsense", 1, &l), -EINVAL);
    cr_assert_eq(open_at("udp:127.0.0.1:0", 1, &l), -EAFNOSUPPORT);
    cr_assert_eq(open_at("tcp:192.0.2.1:0", 1, &l), -EADDRNOTAVAIL);
    cr_assert_eq(open_at("unix:/nonexistent/raddle.sock", 1, &l), -ENOENT);
    cr_assert_eq(rdl_listener_open("tcp:127.0.0.1:0", &bad, &l), -EINVAL);
    cr_assert_eq(rdl_listener_open("tcp:127.0.0.1:0", &many, &l), -EINVAL);
    cr_assert_null(l);
    rdl_listener_close(NULL);
}

Test(listener, port_0_is_chosen_once_for_all_sockets)
{
    struct rdl_listener *l;
    struct rdl_address address;

    cr_assert_eq(open_at("tcp:127.0.0.1:0", 4, &l), 0);
    cr_assert_eq(rdl_listener_sockets(l), 4);
    cr_assert_eq(rdl_address_parse(rdl_listener_address(l), &address), 0);
    cr_assert_gt(rdl_address_port(&address), 0);
    rdl_listener_close(l);
}

/* Several open the same port at the same instant. */
struct rivals {
    pthread_barrier_t start;
    const char *address;
};

static void *open_as_rival(void *arg)
{
    struct rivals *rivals = arg;
    struct rdl_listener *l = NULL;
    int rc;

    pthread_barrier_wait(&rivals->start);
    rc = open_at(rivals->address, 2, &l);
    cr_expect(rc == 0 || rc == -EADDRINUSE);
    return l;
}

/* Before, both had bound when the first of them listened, and each got SO_REUSEPORT. */
Test(listener, of_servers_that_start_at_once_one_gets_the_port)
{
    enum { RIVALS = 2, ROUNDS = 1000 };
    struct rivals rivals;
    struct rdl_listener *l;
    char address[RDL_ADDRESS_TEXT];
    unsigned before = count_descriptors();

    /* Free again, and nobody else's: tests run beside each other. */
    (void)snprintf(address, sizeof(address), "tcp:127.%u.%u.1:0", (unsigned)getpid() >> 8 & 0xff,
                   (unsigned)getpid() & 0xff);
    cr_assert_eq(open_at(address, 1, &l), 0);
    (void)snprintf(address, sizeof(address), "%s", rdl_listener_address(l));
    rdl_listener_close(l);
    rivals.address = address;
    pthread_barrier_init(&rivals.start, NULL, RIVALS);
    for (int round = 0; round < ROUNDS; round++) {
        pthread_t threads[RIVALS];
        void *listeners[RIVALS];
        int winners = 0;

        for (int i = 0; i < RIVALS; i++)
            cr_assert_eq(pthread_create(&threads[i], NULL, open_as_rival, &rivals), 0);
        for (int i = 0; i < RIVALS; i++)
            pthread_join(threads[i], &listeners[i]);
        for (int i = 0; i < RIVALS; i++) {
            winners += listeners[i] != NULL;
            rdl_listener_close(listeners[i]);
        }
        cr_assert_eq(winners, 1, "round %d: %d got it", round, winners);
    }
    pthread_barrier_destroy(&rivals.start);
    cr_expect_eq(count_descriptors(), before);
}

Test(listener, a_port_in_use_is_an_error_also_beside_another_of_our_own)
{
    struct rdl_listener *l, *second = NULL;
    unsigned before = count_descriptors();

    cr_assert_eq(open_at("tcp:127.0.0.1:0", 3, &l), 0);
    cr_assert_eq(open_at(rdl_listener_address(l), 1, &second), -EADDRINUSE);
    cr_assert_eq(open_at(rdl_listener_address(l), 3, &second), -EADDRINUSE);
    cr_assert_null(second);
    rdl_listener_close(l);
    cr_assert_eq(count_descriptors(), before);
}

Test(listener, a_port_can_be_listened_on_again_while_connections_linger)
{
    struct rdl_listener *l;
    char address[RDL_ADDRESS_TEXT];
    int client, fd;

    cr_assert_eq(open_at("tcp:127.0.0.1:0", 2, &l), 0);
    snprintf(address, sizeof(address), "%s", rdl_listener_address(l));
    client = dial(address);
    do {
        fd = rdl_listener_try_accept(l, 0);
        if (fd < 0)
            fd = rdl_listener_try_accept(l, 1);
    } while (fd == -EAGAIN);
    cr_assert_geq(fd, 0);
    close(fd); /* the server's side closes first, and lingers */
    close(client);
    rdl_listener_close(l);
    cr_assert_eq(open_at(address, 2, &l), 0);
    rdl_listener_close(l);
}

Test(listener, every_socket_gets_its_share)
{
    struct rdl_listener *l;
    unsigned shares[4] = {0};
    int clients[200];

    cr_assert_eq(open_at("tcp:127.0.0.1:0", 4, &l), 0);
    for (int i = 0; i < 200; i++)
        cr_assert_geq(clients[i] = dial(rdl_listener_address(l)), 0);
    for (unsigned i = 0; i < 4; i++) {
        int fd;
        while ((fd = rdl_listener_try_accept(l, i)) >= 0) {
            cr_assert_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
            close(fd);
            shares[i]++;
        }
        cr_assert_eq(fd, -EAGAIN);
        cr_assert_gt(shares[i], 20, "%u: %u", i, shares[i]);
    }
    cr_assert_eq(shares[0] + shares[1] + shares[2] + shares[3], 200);
    for (int i = 0; i < 200; i++)
        close(clients[i]);
    rdl_listener_close(l);
}

Test(listener, everywhere_means_ipv4_too)
{
    struct rdl_listener *l;
    struct rdl_address address;
    char text[RDL_ADDRESS_TEXT];
    int fd;

    cr_assert_eq(open_at("tcp:*:0", 2, &l), 0);
    cr_assert_eq(strncmp(rdl_listener_address(l), "tcp:*:", 6), 0);
    cr_assert_eq(rdl_address_parse(rdl_listener_address(l), &address), 0);
    snprintf(text, sizeof(text), "tcp:127.0.0.1:%u", rdl_address_port(&address));
    cr_assert_geq(fd = dial(text), 0);
    close(fd);
    rdl_listener_close(l);
}

static int no_ipv6(enum rdl_sys_call call, size_t *length)
{
    static int calls;

    (void)length;
    return call == RDL_SYS_SOCKET && calls++ == 0 ? -EAFNOSUPPORT : 0;
}

Test(listener, everywhere_is_ipv4_on_a_machine_without_ipv6)
{
    struct rdl_listener *l;

    rdl_sys_set_hook(no_ipv6);
    cr_assert_eq(open_at("tcp:*:0", 1, &l), 0);
    rdl_sys_set_hook(NULL);
    cr_assert_eq(strncmp(rdl_listener_address(l), "tcp:*:", 6), 0);
    rdl_listener_close(l);
}

Test(listener, a_unix_socket_comes_and_goes_with_its_file)
{
    struct rdl_listener *l, *second;
    struct stat file;
    int fd;

    unlink(own_file());
    cr_assert_eq(open_at(own_path(), 4, &l), 0);
    cr_assert_eq(rdl_listener_sockets(l), 1);
    cr_assert_str_eq(rdl_listener_address(l), own_path());
    cr_assert_geq(fd = dial(own_path()), 0);
    close(fd);
    cr_assert_eq(open_at(own_path(), 1, &second), -EADDRINUSE);
    rdl_listener_close(l);
    cr_assert_eq(lstat(own_file(), &file), -1);
}

Test(listener, a_dead_servers_file_is_taken_over_and_nothing_else)
{
    struct rdl_address address;
    struct rdl_listener *l;
    struct stat file;
    int fd;

    unlink(own_file());
    cr_assert_eq(rdl_address_parse(own_path(), &address), 0);
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    cr_assert_eq(bind(fd, &address.at.any, address.length), 0);
    close(fd);
    cr_assert_eq(open_at(own_path(), 1, &l), 0);

    /* Replaced by somebody else's meanwhile: theirs stays. */
    unlink(own_file());
    fd = open(own_file(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    cr_assert_geq(fd, 0);
    close(fd);
    rdl_listener_close(l);
    cr_assert_eq(lstat(own_file(), &file), 0);

    /* No socket: not ours to remove. */
    cr_assert_eq(open_at(own_path(), 1, &l), -EADDRINUSE);
    cr_assert_eq(lstat(own_file(), &file), 0);
    cr_assert(S_ISREG(file.st_mode));
    unlink(own_file());
}

Test(listener, an_abstract_name_needs_no_file)
{
    struct rdl_listener *l, *second;
    int fd;

    cr_assert_eq(open_at(own_name(), 1, &l), 0);
    cr_assert_eq(open_at(own_name(), 1, &second), -EADDRINUSE);
    cr_assert_geq(fd = dial(own_name()), 0);
    close(fd);
    rdl_listener_close(l);
    cr_assert_eq(dial(own_name()), -ECONNREFUSED);
}

/* Every call that opening takes fails once. */
static int at, calls;

static int fail_one(enum rdl_sys_call call, size_t *length)
{
    (void)length;
    return call != RDL_SYS_CLOSE && calls++ == at ? -ENOBUFS : 0;
}

Test(listener, one_that_cannot_be_opened_leaves_nothing)
{
    const char *const addresses[] = {"tcp:127.0.0.1:0", "tcp:*:0", own_name()};

    for (size_t i = 0; i < 3; i++) {
        int rc = -1;

        for (at = 0; rc < 0; at++) {
            unsigned before = count_descriptors();
            struct rdl_listener *l;

            calls = 0;
            rdl_sys_set_hook(fail_one);
            rc = open_at(addresses[i], 2, &l);
            rdl_sys_set_hook(NULL);
            cr_assert(rc == 0 || rc == -ENOBUFS || rc == -ENOMEM, "%s: %d", addresses[i], rc);
            if (rc == 0)
                rdl_listener_close(l);
            cr_assert_eq(count_descriptors(), before, "%s leaks at call %d", addresses[i], at);
        }
        cr_assert_geq(at, 3);
    }
}

struct scene {
    struct rdl_listener *l;
    ssize_t got[8];
    unsigned count;
    int clients[10];
    int taken[10];
    unsigned taken_count;
};

static int accept_error, accept_errors;

static int fail_accepts(enum rdl_sys_call call, size_t *length)
{
    (void)length;
    if ((call == RDL_SYS_ACCEPT || call == RDL_SYS_COMPLETION) && accept_errors > 0) {
        accept_errors--;
        return accept_error;
    }
    return 0;
}

static int accept_with(struct scene *s, int error, int errors)
{
    int fd;

    accept_error = error;
    accept_errors = errors;
    rdl_sys_set_hook(fail_accepts);
    fd = rdl_listener_accept(s->l, 0);
    rdl_sys_set_hook(NULL);
    s->got[s->count++] = fd < 0 ? fd : 1;
    return fd;
}

static int accept_through_errors(void *arg)
{
    struct scene *s = arg;
    int client, fd, rc = open_at("tcp:127.0.0.1:0", 1, &s->l);

    if (rc < 0)
        return rc;
    client = dial(rdl_listener_address(s->l));
    fd = accept_with(s, -EMFILE, 1); /* told; the connection stays */
    if (fd >= 0)
        return -EIO;
    fd = accept_with(s, -ECONNABORTED, 0);
    (void)raddle_fd_close(fd);
    close(client);
    rdl_listener_close(s->l);
    return 0;
}

Test(listener, no_descriptors_is_told_and_the_connection_waits)
{
    struct scene s = {.count = 0};

    cr_assert_eq(in_task(accept_through_errors, &s), 0);
    cr_assert_eq(s.got[0], -EMFILE);
    cr_assert_eq(s.got[1], 1);
}

static int pass_over(void *arg)
{
    struct scene *s = arg;
    int fd, rc = open_at("tcp:127.0.0.1:0", 1, &s->l);

    if (rc < 0)
        return rc;
    for (int i = 0; i < 4; i++)
        s->clients[i] = dial(rdl_listener_address(s->l));
    fd = accept_with(s, -ECONNABORTED, 2);
    if (fd >= 0)
        (void)raddle_fd_close(fd);
    for (int i = 0; i < 4; i++)
        close(s->clients[i]);
    rdl_listener_close(s->l);
    return 0;
}

Test(listener, a_connection_that_failed_before_it_was_accepted_is_passed_over)
{
    struct scene s = {.count = 0};

    cr_assert_eq(in_task(pass_over, &s), 0);
    cr_assert_eq(s.got[0], 1);
}

static void take(int fd, void *arg)
{
    struct scene *s = arg;

    s->taken[s->taken_count++] = fd;
}

static int stop_it(void *arg)
{
    struct scene *s = arg;
    int rc = open_at("tcp:127.0.0.1:0", 2, &s->l);

    if (rc < 0)
        return rc;
    for (int i = 0; i < 10; i++)
        s->clients[i] = dial(rdl_listener_address(s->l));
    rdl_listener_stop(s->l, take, s);
    s->got[0] = rdl_listener_accept(s->l, 0);
    s->got[1] = rdl_listener_try_accept(s->l, 1);
    s->got[2] = dial(rdl_listener_address(s->l));
    for (unsigned i = 0; i < s->taken_count; i++)
        s->got[3] += raddle_fd_send(s->taken[i], "x", 1, 0);
    for (unsigned i = 0; i < s->taken_count; i++)
        (void)raddle_fd_close(s->taken[i]);
    for (int i = 0; i < 10; i++) {
        char byte;
        s->got[4] += read(s->clients[i], &byte, 1);
        close(s->clients[i]);
    }
    rdl_listener_close(s->l);
    return 0;
}

Test(listener, a_stop_hands_out_what_was_waiting_and_refuses_the_rest)
{
    struct scene s = {.count = 0};

    cr_assert_eq(in_task(stop_it, &s), 0);
    cr_assert_eq(s.taken_count, 10);
    cr_assert_eq(s.got[0], -EBADF);
    cr_assert_eq(s.got[1], -EBADF);
    cr_assert_eq(s.got[2], -ECONNREFUSED);
    cr_assert_eq(s.got[3], 10);
    cr_assert_eq(s.got[4], 10);
}

static int accept_one(void *arg)
{
    struct scene *s = arg;

    s->got[s->count++] = rdl_listener_accept(s->l, 0);
    return 0;
}

static int stop_under_acceptors(void *arg)
{
    struct scene *s = arg;
    struct raddle_group group;
    struct raddle_spawn_options pinned = {.mobility = RADDLE_PINNED};
    int rc = open_at(own_name(), 1, &s->l);

    if (rc == 0)
        rc = raddle_group_open(&group, NULL);
    for (int i = 0; i < 3 && rc == 0; i++)
        rc = raddle_spawn(&group, NULL, accept_one, s, &pinned);
    if (rc == 0)
        rc = raddle_sleep(RADDLE_MS(5));
    rdl_listener_stop(s->l, take, s);
    rc = raddle_group_close(&group, rc);
    rdl_listener_close(s->l);
    return rc;
}

Test(listener, a_stop_ends_those_who_accept)
{
    struct scene s = {.count = 0};

    cr_assert_eq(in_task(stop_under_acceptors, &s), 0);
    cr_assert_eq(s.count, 3);
    for (unsigned i = 0; i < 3; i++)
        cr_assert_eq(s.got[i], RADDLE_ECLOSED);
}
