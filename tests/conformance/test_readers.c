/*
 * tests/conformance/test_readers.c - callbacks on descriptors that are ready, row B6 of asyncio's sections.
 */
#define _GNU_SOURCE
#include "tests/support/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sched/sys.h"

TestSuite(readers, .timeout = 60);

/* A loop, a connection, and what its callbacks have done. */
struct scene {
    raddle_loop *loop;
    int pair[2];
    unsigned reads, writes, others;
    unsigned until; /* so many calls, then the loop stops */
    char data[64];
    size_t length;
    bool ended;
};

/* False: the test is not for simulated loops. */
static bool open_scene(struct scene *s)
{
    if (test_left_out("a descriptor of the kernel"))
        return false;
    *s = (struct scene){.until = 1};
    cr_assert_eq(raddle_new_loop(&s->loop), 0);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, s->pair), 0);
    return true;
}

static void close_scene(struct scene *s)
{
    cr_assert_eq(raddle_loop_close(s->loop), 0);
    for (int i = 0; i < 2; i++)
        if (s->pair[i] >= 0)
            cr_assert_eq(raddle_fd_close(s->pair[i]), 0);
}

static void let_go(struct scene *s)
{
    if (s->reads + s->writes + s->others >= s->until)
        raddle_loop_stop(s->loop);
}

static void reads(void *arg)
{
    struct scene *s = arg;
    ssize_t n = read(s->pair[0], s->data + s->length, sizeof(s->data) - s->length);

    EXPECT(!raddle_self());
    EXPECT(raddle_running_loop() == s->loop);
    s->reads++;
    if (n > 0)
        s->length += (size_t)n;
    s->ended = n == 0;
    let_go(s);
}

static void sees(void *arg)
{
    struct scene *s = arg;

    s->others++;
    let_go(s);
}

static void writes(void *arg)
{
    struct scene *s = arg;

    s->writes++;
    let_go(s);
}

static void sends(struct scene *s, const char *text)
{
    cr_assert_eq(write(s->pair[1], text, strlen(text)), (ssize_t)strlen(text));
}

static void run_until(struct scene *s, unsigned calls)
{
    s->until = calls;
    cr_assert_eq(raddle_loop_run_forever(s->loop), 0);
}

static int turns(void *arg)
{
    int rc = 0;

    for (unsigned i = 0; i < *(unsigned *)arg && rc == 0; i++)
        rc = raddle_sleep(RADDLE_US(200));
    return rc;
}

/* Long enough for what is ready to be found. */
static void run_turns(struct scene *s, unsigned count)
{
    s->until = UINT32_MAX;
    cr_assert_eq(raddle_loop_run_until_complete(s->loop, turns, &count), 0);
}

/* B6 */
RuntimeTest(readers, bad_arguments_are_refused)
{
    struct scene s;
    int file;

    if (!open_scene(&s))
        return;
    file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    cr_assert_geq(file, 0);
    cr_assert_eq(raddle_add_reader(NULL, s.pair[0], reads, &s), -EINVAL);
    cr_assert_eq(raddle_add_reader(s.loop, s.pair[0], NULL, &s), -EINVAL);
    cr_assert_eq(raddle_add_writer(NULL, s.pair[0], reads, &s), -EINVAL);
    cr_assert_eq(raddle_remove_reader(NULL, s.pair[0]), -EINVAL);
    cr_assert_eq(raddle_remove_writer(NULL, s.pair[0]), -EINVAL);
    cr_assert_eq(raddle_add_reader(s.loop, -1, reads, &s), -EBADF);
    cr_assert_eq(raddle_add_writer(s.loop, 10000, reads, &s), -EBADF);
    cr_assert_eq(raddle_add_reader(s.loop, file, reads, &s), -EPERM);
    cr_assert_eq(raddle_remove_reader(s.loop, -1), 0);
    cr_assert_eq(raddle_remove_reader(s.loop, s.pair[0]), 0);
    cr_assert_eq(raddle_remove_writer(s.loop, 1 << 30), 0);
    close(file);
    close_scene(&s);
}

/* B6 */
RuntimeTest(readers, a_reader_is_called_when_there_is_something_to_read_and_at_the_end)
{
    struct scene s;

    if (!open_scene(&s))
        return;
    cr_assert_eq(raddle_add_reader(s.loop, s.pair[0], reads, &s), 0);
    run_turns(&s, 5);
    cr_assert_eq(s.reads, 0);
    sends(&s, "one");
    run_until(&s, 1);
    sends(&s, "two");
    run_until(&s, 2);
    cr_assert_str_eq(s.data, "onetwo");
    cr_assert_not(s.ended);
    close(s.pair[1]);
    s.pair[1] = -1;
    run_until(&s, 3);
    cr_assert(s.ended);
    close_scene(&s);
}

/* B6 */
RuntimeTest(readers, a_writer_is_called_once_a_turn_while_there_is_room)
{
    static const char full[4096];
    struct scene s;

    if (!open_scene(&s))
        return;
    cr_assert_eq(raddle_add_writer(s.loop, s.pair[0], writes, &s), 0);
    run_until(&s, 10);
    while (write(s.pair[0], full, sizeof(full)) > 0)
        ;
    run_turns(&s, 3);
    s.writes = 0;
    run_turns(&s, 5);
    cr_assert_eq(s.writes, 0);
    while (read(s.pair[1], s.data, sizeof(s.data)) > 0)
        ;
    run_until(&s, 1);
    cr_assert_eq(raddle_remove_writer(s.loop, s.pair[0]), 1);
    close_scene(&s);
}

/* B6 */
RuntimeTest(readers, one_descriptor_has_a_reader_and_a_writer)
{
    struct scene s;

    if (!open_scene(&s))
        return;
    sends(&s, "x");
    cr_assert_eq(raddle_add_reader(s.loop, s.pair[0], sees, &s), 0);
    cr_assert_eq(raddle_add_writer(s.loop, s.pair[0], writes, &s), 0);
    run_until(&s, 20);
    cr_assert(s.others > 5 && s.writes > 5);
    cr_assert_eq(raddle_remove_reader(s.loop, s.pair[0]), 1);
    s.others = 0;
    run_until(&s, s.writes + 10);
    cr_assert_eq(s.others, 0);
    cr_assert_eq(raddle_remove_reader(s.loop, s.pair[0]), 0);
    cr_assert_eq(raddle_remove_writer(s.loop, s.pair[0]), 1);
    cr_assert_eq(raddle_remove_writer(s.loop, s.pair[0]), 0);
    close_scene(&s);
}

/* B6 */
RuntimeTest(readers, a_second_one_replaces_the_first)
{
    struct scene s;

    if (!open_scene(&s))
        return;
    sends(&s, "x");
    cr_assert_eq(raddle_add_reader(s.loop, s.pair[0], sees, &s), 0);
    run_until(&s, 3);
    cr_assert_eq(raddle_add_reader(s.loop, s.pair[0], reads, &s), 0);
    s.others = 0;
    run_until(&s, 1);
    cr_assert_eq(s.others, 0);
    cr_assert_eq(s.reads, 1);
    cr_assert_eq(raddle_remove_reader(s.loop, s.pair[0]), 1);
    cr_assert_eq(raddle_remove_reader(s.loop, s.pair[0]), 0);
    close_scene(&s);
}

/* Two descriptors are ready in one turn: each callback removes the other's reader. */
struct two {
    struct scene a, b;
    unsigned calls;
};

static void removes_b(void *arg)
{
    struct two *t = arg;

    t->calls++;
    EXPECT_EQ(raddle_remove_reader(t->a.loop, t->b.pair[0]), 1);
    EXPECT_EQ(raddle_remove_reader(t->a.loop, t->a.pair[0]), 1); /* and itself */
}

static void removes_a(void *arg)
{
    struct two *t = arg;

    t->calls++;
    EXPECT_EQ(raddle_remove_reader(t->a.loop, t->a.pair[0]), 1);
    EXPECT_EQ(raddle_remove_reader(t->a.loop, t->b.pair[0]), 1);
}

/* B6 */
RuntimeTest(readers, one_that_was_removed_does_not_run_in_the_same_turn)
{
    for (int i = 0; i < 50; i++) {
        struct two t = {.calls = 0};

        if (!open_scene(&t.a))
            return;
        (void)open_scene(&t.b);
        sends(&t.a, "x");
        sends(&t.b, "x");
        cr_assert_eq(raddle_add_reader(t.a.loop, t.a.pair[0], removes_b, &t), 0);
        cr_assert_eq(raddle_add_reader(t.a.loop, t.b.pair[0], removes_a, &t), 0);
        run_turns(&t.a, 2);
        cr_assert_eq(t.calls, 1);
        close_scene(&t.a);
        close_scene(&t.b);
    }
}

/* B6 A5 */
RuntimeTest(readers, the_close_of_the_loop_ends_them)
{
    struct scene s;

    if (!open_scene(&s))
        return;
    cr_assert_eq(raddle_add_reader(s.loop, s.pair[0], reads, &s), 0);
    cr_assert_eq(raddle_add_reader(s.loop, s.pair[1], reads, &s), 0);
    run_turns(&s, 2);
    cr_assert_eq(raddle_add_writer(s.loop, s.pair[0], sees, &s), 0);
    close_scene(&s);
}

static int closes_and_opens(void *arg)
{
    struct scene *s = arg;
    int old = s->pair[0], fresh[2], rc;

    rc = raddle_sleep(RADDLE_MS(1)); /* the reader waits */
    if (rc == 0)
        rc = raddle_fd_close(old);
    if (rc < 0)
        return rc;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fresh) < 0)
        return -errno;
    close(s->pair[1]);
    s->pair[0] = fresh[0];
    s->pair[1] = fresh[1];
    EXPECT_EQ(fresh[0], old);
    return raddle_add_reader(s->loop, fresh[0], reads, s);
}

static void no_line(const char *line, void *arg)
{
    (void)line;
    ++*(unsigned *)arg;
}

/* B6 TC9 */
RuntimeTest(readers, closing_the_descriptor_ends_them_and_its_number_may_be_watched_again)
{
    unsigned lines = 0;
    struct scene s;

    if (!open_scene(&s))
        return;
    raddle_on_report(no_line, &lines);
    cr_assert_eq(raddle_add_reader(s.loop, s.pair[0], sees, &s), 0);
    cr_assert_eq(raddle_add_writer(s.loop, s.pair[0], writes, &s), 0);
    s.until = UINT32_MAX;
    cr_assert_eq(raddle_loop_run_until_complete(s.loop, closes_and_opens, &s), 0);
    cr_assert_eq(raddle_remove_writer(s.loop, s.pair[0]), 0);
    s.writes = s.others = 0;
    sends(&s, "new");
    run_until(&s, 1);
    cr_assert_str_eq(s.data, "new");
    cr_assert_eq(s.writes + s.others, 0);
    cr_assert_eq(lines, 0);
    raddle_on_report(NULL, NULL);
    close_scene(&s);
}

struct closing {
    struct scene *s;
    unsigned yields, before;
};

static int closes_after_yields(void *arg)
{
    struct closing *c = arg;
    int rc = 0;

    EXPECT_EQ(write(c->s->pair[1], "x", 1), 1);
    for (unsigned i = 0; i < c->yields && rc == 0; i++)
        rc = raddle_yield();
    EXPECT_EQ(raddle_fd_close(c->s->pair[0]), 0);
    c->before = c->s->others;
    return rc < 0 ? rc : raddle_sleep(RADDLE_US(200));
}

/* B6 */
RuntimeTest(readers, none_is_called_after_its_descriptor_was_closed)
{
    for (unsigned yields = 0; yields < 40; yields++) {
        struct scene s;
        struct closing c = {.s = &s, .yields = yields};

        if (!open_scene(&s))
            return;
        s.until = UINT32_MAX;
        cr_assert_eq(raddle_add_reader(s.loop, s.pair[0], sees, &s), 0);
        run_turns(&s, 1);
        cr_assert_eq(raddle_loop_run_until_complete(s.loop, closes_after_yields, &c), 0);
        cr_assert_eq(s.others, c.before);
        s.pair[0] = -1;
        close_scene(&s);
    }
}

static void *adds_and_sends(void *arg)
{
    struct scene *s = arg;

    EXPECT_EQ(raddle_add_reader(s->loop, s->pair[0], reads, s), 0);
    EXPECT_EQ(write(s->pair[1], "x", 1), 1);
    return NULL;
}

/* B6 */
RuntimeTest(readers, another_thread_may_add_them)
{
    pthread_t thread;
    struct scene s;

    if (!open_scene(&s))
        return;
    cr_assert_eq(pthread_create(&thread, NULL, adds_and_sends, &s), 0);
    run_until(&s, 1);
    pthread_join(thread, NULL);
    cr_assert_eq(s.length, 1);
    close_scene(&s);
}

static raddle_stream *stream;

static int reads_stream(void *arg)
{
    struct scene *s = arg;
    ssize_t n = raddle_read(stream, s->data, sizeof(s->data));

    s->length = n > 0 ? (size_t)n : 0;
    return n < 0 ? (int)n : 0;
}

/* Differs: asyncio refuses the descriptor of a transport. */
/* B6 */
RuntimeTest(readers, a_streams_descriptor_can_be_watched_and_nothing_is_taken)
{
    struct scene s;

    if (!open_scene(&s))
        return;
    cr_assert_eq(raddle_stream_from_fd(s.pair[0], &stream), 0);
    cr_assert_eq(raddle_add_reader(s.loop, s.pair[0], sees, &s), 0);
    sends(&s, "mine");
    run_until(&s, 1);
    cr_assert_eq(raddle_remove_reader(s.loop, s.pair[0]), 1);
    cr_assert_eq(raddle_loop_run_until_complete(s.loop, reads_stream, &s), 0);
    cr_assert_eq(s.length, 4);
    s.pair[0] = -1;
    raddle_stream_close(stream);
    close_scene(&s);
}

static int no_memory(enum rdl_sys_call call, size_t *length)
{
    (void)length;
    return call == RDL_SYS_CALLOC || call == RDL_SYS_MALLOC ? -ENOMEM : 0;
}

/* B6 */
RuntimeTest(readers, without_memory_none_is_added)
{
    struct scene s;

    if (!open_scene(&s))
        return;
    rdl_sys_set_hook(no_memory);
    EXPECT_EQ(raddle_add_reader(s.loop, s.pair[0], reads, &s), -ENOMEM);
    rdl_sys_set_hook(NULL);
    cr_assert_eq(raddle_remove_reader(s.loop, s.pair[0]), 0);
    close_scene(&s);
}
