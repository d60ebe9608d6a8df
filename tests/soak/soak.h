/*
 * tests/soak/soak.h - what the processes of tests/soak/soak.c share: the board, which lies in memory of all of them,
 * the records of all connections, and the bytes that a connection must carry.
 */
#ifndef TESTS_SOAK_SOAK_H
#define TESTS_SOAK_SOAK_H

#include "tests/support/runtime.h"

#include <stddef.h>
#include <sys/types.h>

enum {
    SOAK_RECORDS = 4 * 1024 * 1024,
    SOAK_CHUNK = 4096, /* bytes of one write or read, at most */
    SOAK_HEADER_S = 6, /* how long a server waits for a header */
    SOAK_MAGIC = 0x50A1,
    SOAK_LOSS_PERCENT = 3,
};

/* How one side of a connection ended. */
enum soak_end {
    SOAK_OPEN,   /* not yet */
    SOAK_WHOLE,  /* all was sent, all was received, and what the other side counted agrees */
    SOAK_CUT,    /* as its client wanted: reset, given up, or silent */
    SOAK_LATE,   /* the header didn't come in time */
    SOAK_BROKEN, /* none of these: a failure of the test, unless the other side was late */
};

/* A connection. Each figure has one writer, and the parent reads when all is over. sent counts what may have
 * left, received what came. */
struct soak_record {
    uint32_t up_sent, up_received, down_sent, down_received;
    uint8_t client, server; /* enum soak_end */
};

/* What a client says first. */
struct soak_header {
    uint32_t magic, id;
    uint32_t up, down; /* bytes that each side sends */
};

/* What a server says last. */
struct soak_trailer {
    uint32_t magic, id;
    uint64_t received;
};

struct soak_board {
    rdl_atomic(unsigned) listening, stop;
    char address[64];
    rdl_atomic(uint64_t) next_id, begun, ended,
        served; /* connections: numbers, of clients, at the server */
    rdl_atomic(uint64_t) most_open, bytes;
    rdl_atomic(uint64_t) resets, stalls, half_closed, silent,
        no_descriptor, no_port, lossy, reports;
    struct soak_record records[SOAK_RECORDS];
};

extern struct soak_board *soak_board;
extern unsigned soak_loops;

/* The processes: each returns its exit status. */
int soak_server(const char *address);
int soak_client(unsigned connections);

/* The byte at a place of a direction of a connection. */
static inline uint8_t soak_byte(uint32_t id, bool down, size_t place)
{
    uint64_t x = ((uint64_t)id << 33 | (uint64_t)down << 32) + place / 8 + 1;

    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return (uint8_t)((x ^ x >> 31) >> place % 8 * 8);
}

struct raddle_group;

/* A reset is sent once, and may be lost like any packet: who then only waits to receive would wait for ever. Asks the
 * kernel to look after the other side when it has been silent for a while. Both sides, before anything else. */
void soak_keep_alive(raddle_stream *stream);

/* Sends so many bytes of a direction, counted in *sent before they may leave. 0 or -errno. */
int soak_send(raddle_stream *stream, uint32_t id, bool down, uint32_t bytes, uint32_t *sent);

/* Reads and checks bytes of a direction, counted in *received, until there are so many, or the end. How many were
 * read by this call, or -errno. A wrong byte ends the process. */
ssize_t soak_receive(raddle_stream *stream, uint32_t id, bool down, uint32_t bytes,
                     uint32_t *received);

/* Reads exactly so many. 0; -EPIPE: the end came first; -errno. */
int soak_read(raddle_stream *stream, void *buffer, size_t bytes);

/* The board is of several processes, each of which may have one thread: sched/single.h is not for it. */
static inline void soak_count(rdl_atomic(uint64_t) * counter, uint64_t more)
{
    (void)atomic_fetch_add_explicit(counter, more, memory_order_relaxed);
}

/* Faults, from the parent, in two processes at a time. */

enum soak_fault { SOAK_STOP, SOAK_QUOTA, SOAK_EMFILE, SOAK_PACKETS, SOAK_FAULTS };

struct soak_faults {
    pid_t server, client;
    const char *skipped[SOAK_FAULTS]; /* why one can't be had, or NULL */
    unsigned long done[SOAK_FAULTS];
    unsigned next;
    uint32_t random;
    bool can_lose[2]; /* packets: by a filter, by a queue that is too short */
    char cgroup[128], limit[32];
};

extern const char *const soak_fault_names[SOAK_FAULTS];

/* Before the two run: connects their network namespaces, each of which has none but lo. The server's address goes
 * to address. False: no namespaces; why is in skipped. */
bool soak_faults_connect(struct soak_faults *f, char *address, size_t bytes);

/* A process that is to have a namespace of its own calls this first. False: not allowed. */
bool soak_faults_unshare(void);

void soak_faults_open(struct soak_faults *f);

/* One fault, of any kind that can be had, with its end. Takes up to a second and a half. */
void soak_faults_inject(struct soak_faults *f);

void soak_faults_close(struct soak_faults *f);

#endif
