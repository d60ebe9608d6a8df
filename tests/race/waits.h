/*
 * tests/race/waits.h - a cell of tests/race/race_waits.c: the descriptors that some tasks wait on, and an account of
 * every token and connection that goes into them and comes out.
 */
#ifndef TESTS_RACE_WAITS_H
#define TESTS_RACE_WAITS_H

#include "tests/support/runtime.h"

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

enum {
    CELL_TASKS = 100,
    CELL_DESCRIPTORS = 9,
};

/* The ways to wait. */
enum kind {
    SLEEP,
    SLEEP_UNTIL,
    SLEEP_IN_SCOPES,
    SLEEP_THEN_CLEAN_UP,
    JOIN,
    JOB,
    RECV,
    RECV_ALL,
    RECVMSG,
    READ,
    READV,
    SEND,
    SENDMSG,
    WRITE,
    WRITEV,
    ACCEPT,
    POLL,
    GROUP_CLOSE,
    CONNECT, /* and what follows: chosen by number, the others in turn */
    COMPLETES,
    ENTERS,
    KINDS
};

/* What was put in or taken out somewhere: how many, and the sum of their values. */
struct bag {
    rdl_atomic(uint64_t) count, sum;
};

struct cell {
    unsigned number;
    raddle_task *handle, *children[CELL_TASKS];
    int pair[2], pipe[2]; /* children wait at [0] for tokens from [1] */
    int full[2], jam[2];  /* children wait for room in [0] of the pair, [1] of the pipe */
    int listener;
    struct sockaddr_un name;
    socklen_t name_length;
    struct bag fed, received; /* through pair and pipe */
    struct bag sent, drained; /* through full and jam */
    rdl_atomic(uint64_t) offered, accepted;
};

static inline void waits_add(rdl_atomic(uint64_t) * counter, uint64_t more)
{
    (void)rdl_atomic_fetch_add_relaxed(counter, more);
}

/* Stops the program when something that is no part of the test is not to be had. */
void waits_must(bool good, const char *what);

void waits_open_cell(struct cell *cell, unsigned number);

/* In a task, when nobody uses it any more: takes out what is left, compares the accounts, and closes the
 * descriptors. */
void waits_close_cell(struct cell *cell);

/* A token tells its cell, so that one in a wrong cell is seen. Never 0. */
uint64_t waits_new_token(const struct cell *cell);

/* Books n bytes of tokens. */
void waits_take(struct cell *cell, struct bag *bag, const uint64_t *tokens, ssize_t n);

/* Tasks wait in these for a token, for room for one, and for a connection, which is closed again. 0 or more, or the
 * -errno. */
int waits_receive(struct cell *cell, enum kind kind);
int waits_transmit(struct cell *cell, enum kind kind);
int waits_accept(struct cell *cell);

/* A thread: sends a few tokens to those who wait in the cell, makes connections, and at times room. */
void waits_feed(struct cell *cell, uint32_t *random);

/* The same, but one token into each way, one connection, and room in all. */
void waits_feed_one_each(struct cell *cell);

#endif
