/*
 * tests/soak/soak_client.c - the clients of the soak: each makes one connection after the other, and treats it well
 * or badly, at random.
 */
#define _GNU_SOURCE
#include "tests/soak/soak.h"

#include <errno.h>
#include <linux/filter.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

enum manner {
    ORDERLY,     /* sends all, then reads all */
    BOTH_WAYS,   /* at the same time */
    STALLS,      /* stops for a while in the middle of either */
    HALF_CLOSED, /* has nothing to send, says so, and reads */
    RESETS,      /* in the middle */
    GIVES_UP,    /* closes in an orderly way, with the answer unread */
    SILENT,      /* sends half a header */
};

struct user {
    uint32_t random;
};

struct up {
    raddle_stream *stream;
    const struct soak_header *header;
    struct soak_record *record;
    int error; /* that it ended with */
};

static enum manner some_manner(uint32_t *random)
{
    static const enum manner manners[] = {ORDERLY,   ORDERLY,   ORDERLY,  ORDERLY, BOTH_WAYS,
                                          BOTH_WAYS, BOTH_WAYS, STALLS,   STALLS,  HALF_CLOSED,
                                          RESETS,    RESETS,    GIVES_UP, SILENT};

    return manners[test_random(random) % (sizeof(manners) / sizeof(manners[0]))];
}

static uint32_t some_bytes(uint32_t *random)
{
    return test_random(random) % (test_random(random) % 16 ? 12000 : 200000);
}

/* Some packets for this socket are lost from now on. */
static void lose_packets(raddle_stream *stream)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)SKF_AD_OFF + SKF_AD_RANDOM),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, UINT32_MAX / 100 * SOAK_LOSS_PERCENT, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

    if (setsockopt(raddle_stream_fd(stream), SOL_SOCKET, SO_ATTACH_FILTER, &program,
                   sizeof(program)) == 0)
        soak_count(&soak_board->lossy, 1);
}

static void note_open(void)
{
    uint64_t open = atomic_fetch_add(&soak_board->begun, (uint64_t)1) + 1 -
                    rdl_atomic_load_relaxed(&soak_board->ended);
    uint64_t most = rdl_atomic_load_relaxed(&soak_board->most_open);

    while (open > most && !rdl_atomic_cas_relaxed(&soak_board->most_open, &most, open))
        ;
}

static int send_up(void *arg)
{
    struct up *u = arg;
    int rc = soak_send(u->stream, u->header->id, false, u->header->up, &u->record->up_sent);

    return rc < 0 ? rc : raddle_shutdown_write(u->stream);
}

/* The rest of what comes down, the trailer, the end. 0 or -errno. */
static int read_rest(raddle_stream *stream, const struct soak_header *header,
                     struct soak_record *record)
{
    struct soak_trailer trailer;
    uint32_t rest = header->down - record->down_received;
    ssize_t n = soak_receive(stream, header->id, true, rest, &record->down_received);
    char byte;
    int rc;

    if (n < 0)
        return (int)n;
    if (record->down_received != header->down)
        return -EPIPE;
    rc = soak_read(stream, &trailer, sizeof(trailer));
    if (rc < 0)
        return rc;
    EXPECT_EQ(trailer.magic, SOAK_MAGIC);
    EXPECT_EQ(trailer.id, header->id);
    EXPECT_EQ(trailer.received, header->up);
    return raddle_read(stream, &byte, 1) == 0 ? 0 : -EPROTO;
}

static int both_ways(struct up *up)
{
    struct raddle_group g;
    int rc = raddle_group_open(&g, NULL);

    if (rc == 0)
        rc = raddle_spawn(&g, NULL, send_up, up, NULL);
    if (rc == 0)
        rc = read_rest(up->stream, up->header, up->record);
    return raddle_group_close(&g, rc);
}

static int stall(uint32_t *random)
{
    soak_count(&soak_board->stalls, 1);
    return raddle_sleep(RADDLE_MS(test_random(random) % 2000));
}

/* A part of both ways. */
static int some_of_it(struct up *up, uint32_t *random)
{
    uint32_t part = up->header->up / (1 + test_random(random) % 4), down = up->header->down / 2;
    int rc = soak_send(up->stream, up->header->id, false, part, &up->record->up_sent);

    /* A half that is asked for comes, whatever the other side thinks. */
    if (rc == 0 && test_random(random) % 2 && down)
        rc = (int)soak_receive(up->stream, up->header->id, true, down, &up->record->down_received);
    return rc < 0 ? rc : 0;
}

static int stall_in_the_middle(struct up *up, uint32_t *random)
{
    uint32_t all = up->header->up;
    int rc = some_of_it(up, random);

    if (rc == 0)
        rc = stall(random);
    if (rc == 0)
        rc = soak_send(up->stream, up->header->id, false, all - up->record->up_sent,
                       &up->record->up_sent);
    if (rc == 0)
        rc = raddle_shutdown_write(up->stream);
    if (rc == 0 && test_random(random) % 2)
        rc = stall(random);
    return rc < 0 ? rc : read_rest(up->stream, up->header, up->record);
}

/* Closes stream. How it ended. */
static enum soak_end behave(enum manner manner, struct up *up, uint32_t *random)
{
    bool cut = false;
    char byte;
    int rc = 0;

    if (manner == SILENT) {
        soak_count(&soak_board->silent, 1);
        rc = (int)raddle_write_all(up->stream, up->header, sizeof(*up->header) / 2);
        while (rc > 0 && raddle_read(up->stream, &byte, 1) > 0)
            ;
        (void)raddle_stream_close(up->stream);
        return SOAK_CUT;
    }
    rc = (int)raddle_write_all(up->stream, up->header, sizeof(*up->header));
    if (rc < 0)
        manner = ORDERLY; /* over before it began, which is no manner */
    switch (manner) {
    case BOTH_WAYS:
        rc = both_ways(up);
        break;
    case STALLS:
        rc = stall_in_the_middle(up, random);
        break;
    case RESETS:
        soak_count(&soak_board->resets, 1);
        (void)some_of_it(up, random);
        raddle_stream_abort(up->stream);
        return SOAK_CUT;
    case GIVES_UP:
        (void)some_of_it(up, random);
        cut = true;
        break;
    default:
        if (rc >= 0)
            rc = send_up(up);
        if (rc >= 0)
            rc = read_rest(up->stream, up->header, up->record);
        break;
    }
    (void)raddle_stream_close(up->stream);
    if (cut)
        return SOAK_CUT;
    up->error = rc;
    return rc < 0 ? SOAK_BROKEN : SOAK_WHOLE;
}

static int connect_in_time(raddle_stream **out)
{
    struct raddle_scope limit;

    raddle_scope_enter(&limit, raddle_in(RADDLE_S(60)), 0);
    return raddle_scope_leave(&limit, raddle_connect(soak_board->address, out));
}

/* Not now: for a while there are no descriptors or no ports, or no packet gets through. */
static int rest_after(int rc)
{
    EXPECT(rc == -EMFILE || rc == -EADDRNOTAVAIL || rc == -ETIMEDOUT || rc == -ECONNRESET);
    soak_count(rc == -EMFILE ? &soak_board->no_descriptor : &soak_board->no_port, 1);
    return raddle_sleep(RADDLE_MS(20));
}

static int connect_once(struct user *user)
{
    enum manner manner = some_manner(&user->random);
    uint64_t id = atomic_fetch_add(&soak_board->next_id, (uint64_t)1);
    struct soak_header header = {.magic = SOAK_MAGIC, .id = (uint32_t)id};
    struct up up = {.header = &header};
    enum soak_end end;
    raddle_time began;
    int rc;

    if (id >= SOAK_RECORDS) /* there are no more numbers */
        return raddle_sleep(RADDLE_MS(100));
    header.up = manner == HALF_CLOSED ? 0 : some_bytes(&user->random);
    header.down = some_bytes(&user->random);
    began = raddle_now();
    rc = connect_in_time(&up.stream);
    if (rc < 0)
        return rest_after(rc);
    note_open();
    soak_keep_alive(up.stream);
    soak_count(&soak_board->half_closed, manner == HALF_CLOSED);
    if (test_random(&user->random) % 8 == 0)
        lose_packets(up.stream);
    up.record = &soak_board->records[id];
    end = behave(manner, &up, &user->random);
    /* The server had given up before the header came. Its clock starts at its accept, which is after our connect
     * began, and may be long before this task knew. */
    if (end == SOAK_BROKEN && up.record->down_sent == 0 && up.record->up_received == 0 &&
        raddle_now() - began > RADDLE_S(SOAK_HEADER_S))
        end = SOAK_LATE;
    if (end == SOAK_BROKEN)
        fprintf(stderr, "connection %u broke after %lld ms: %s; up %u, down %u bytes\n", header.id,
                (long long)(raddle_now() - began) / 1000000, raddle_strerror(up.error),
                up.record->up_received, up.record->down_received);
    up.record->client = (uint8_t)end;
    soak_count(&soak_board->ended, 1);
    return raddle_sleep(RADDLE_US(test_random(&user->random) % 5000));
}

static int use(void *arg)
{
    struct user user = {.random = (uint32_t)(uintptr_t)arg * 2654435761u + 1};
    int rc = 0;

    while (rc == 0 && !rdl_atomic_load_relaxed(&soak_board->stop))
        rc = connect_once(&user);
    return rc;
}

static int use_all(void *arg)
{
    unsigned connections = *(unsigned *)arg;
    struct raddle_group g;

    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (unsigned i = 0; i < connections; i++)
        EXPECT_EQ(raddle_spawn(&g, NULL, use, (void *)(uintptr_t)i, NULL), 0);
    return raddle_group_close(&g, 0);
}

int soak_client(unsigned connections)
{
    struct raddle_run_options options = {.loops = soak_loops, .flags = RADDLE_RUN_SIGQUIT};
    struct test_footprint before;

    if (test_run_on(1, test_nothing, NULL) != 0)
        return 1;
    before = test_footprint();
    EXPECT_EQ(raddle_run(use_all, &connections, &options), 0);
    test_same_footprint(&before);
    return test_result();
}
