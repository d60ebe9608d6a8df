/*
 * io/listener.h - sockets that listen on one address: for TCP one per loop, for unix one.
 */
#ifndef RDL_IO_LISTENER_H
#define RDL_IO_LISTENER_H

#include <stdbool.h>
#include <stdint.h>

#include "io/address.h"

/* Zero is the default for every member. */
struct rdl_listener_options {
    int backlog;      /* of each socket; 0: 4096, and at most net.core.somaxconn */
    unsigned sockets; /* how many loops accept; 0: one. Unix has one socket whatever this says */
};

struct rdl_listener;

/*
 * Binds and listens. Any thread. 0, or
 *     what rdl_address_parse() says
 *     -EADDRINUSE     somebody listens there
 *     -EACCES, -EADDRNOTAVAIL, -EMFILE, -ENOMEM and what else socket(2), bind(2) and listen(2) say
 */
int rdl_listener_open(const char *address, const struct rdl_listener_options *options,
                      struct rdl_listener **out);

/* How many sockets there are, and the address as text, with its real port. */
unsigned rdl_listener_sockets(const struct rdl_listener *listener);
const char *rdl_listener_address(const struct rdl_listener *listener);

/*
 * Inside a task: waits for a connection on the socket of a loop (index modulo their number).
 * Returns its descriptor, which is non-blocking and CLOEXEC, or
 *     -ECANCELED, RADDLE_ECLOSED, -EBADF     as in raddle/io.h
 *     -EMFILE, -ENFILE, -ENOBUFS, -ENOMEM    rest, and call again: the connection waits in the
 *                                            backlog
 * Connections that failed before they were accepted are passed over.
 */
int rdl_listener_accept(struct rdl_listener *listener, unsigned index);

/*
 * Any thread, any socket: takes a connection that waits, -EAGAIN if none does. For a neighbour of a
 * loop that is held up: what waits in that loop's socket would otherwise wait for it.
 */
int rdl_listener_try_accept(struct rdl_listener *listener, unsigned index);

/*
 * Inside a task: stops listening, gives the connections that have been made and not accepted to
 * take(fd, arg), and closes the sockets. No cancellation point. Tasks that still accept end with
 * RADDLE_ECLOSED; better they have ended before, so that nothing comes between the last look into a
 * backlog and the close. Once.
 */
void rdl_listener_stop(struct rdl_listener *listener, void (*take)(int fd, void *arg), void *arg);

/* Frees it. Any thread; inside a task, or stopped. NULL does nothing. */
void rdl_listener_close(struct rdl_listener *listener);

#endif
