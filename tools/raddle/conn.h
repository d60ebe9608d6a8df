/*
 * raddle/conn.h - a server's side of one connection: reads with deadlines and little memory.
 *
 * A connection that does nothing costs the page at the top of its task's stack, so its frame is
 * small: it waits with a buffer of 384 bytes. When more comes in at once it borrows a large one,
 * and gives it back after a second in which nothing came. Then it is also put on the server's list
 * of idle connections, which a stop ends at once. With --page-out that page goes, too: so what is in the list is not
 * on the stack.
 */
#ifndef RDL_TOOLS_CONN_H
#define RDL_TOOLS_CONN_H

#include <stddef.h>
#include <sys/types.h>

#include "tools/raddle/server.h"

enum { RDL_CONN_SMALL = 384 };

struct rdl_conn {
    struct rdl_server *server;
    raddle_stream *stream;
    char *large; /* borrowed, or NULL */
    struct rdl_conn *idle_next, **idle_link;
    struct raddle_scope idle;
    char *small; /* of RDL_CONN_SMALL bytes, in the handler's frame */
};

/* Until rdl_conn_close(). NULL: no memory, and the stream is closed. */
struct rdl_conn *rdl_conn_open(raddle_stream *stream, char *small);

/* Reads when nothing is owed: waits as long as the server allows. *bytes points to what came, until
 * the next read. Returns the count, or 0 at the end, after too long, and when the server stops;
 * -errno. */
ssize_t rdl_conn_wait(struct rdl_conn *conn, char **bytes);

/* Reads the rest of something. -ETIMEDOUT at the deadline. */
ssize_t rdl_conn_read(struct rdl_conn *conn, char **bytes, raddle_time deadline);

/* Writes all of it. Returns 0 or -errno; -ETIMEDOUT when the peer doesn't take it. */
int rdl_conn_write(struct rdl_conn *conn, const char *bytes, size_t count);

/* Before a close with something left unread: lets the peer read what was written. A socket closed
 * with bytes unread is reset, and the reset may overtake the answer. */
void rdl_conn_linger(struct rdl_conn *conn);

void rdl_conn_close(struct rdl_conn *conn);

#endif
