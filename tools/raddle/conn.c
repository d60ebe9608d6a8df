/*
 * raddle/conn.c - a server's side of one connection.
 */
#include "tools/raddle/conn.h"

#include <errno.h>
#include <stdlib.h>

#include "tools/raddle/buffers.h"

static const int64_t busy_ns = RADDLE_S(1);   /* between two requests of a busy connection */
static const int64_t write_ns = RADDLE_S(30); /* for a peer that reads slowly */
static const int64_t linger_ns = RADDLE_S(2);

enum { LINGER_BYTES = 4 * 1024 * 1024 };

struct rdl_conn *rdl_conn_open(raddle_stream *stream, char *small)
{
    struct rdl_conn *conn = calloc(1, sizeof(*conn));

    if (!conn) {
        (void)raddle_stream_close(stream);
        return NULL;
    }
    conn->server = raddle_serve_context();
    conn->stream = stream;
    conn->small = small;
    rdl_atomic_fetch_add_relaxed(&conn->server->connections, 1u);
    rdl_atomic_fetch_add_relaxed(&conn->server->open, 1u);
    return conn;
}

void rdl_conn_close(struct rdl_conn *conn)
{
    rdl_buffer_put(conn->large);
    rdl_buffers_shed();
    (void)raddle_stream_close(conn->stream);
    rdl_atomic_fetch_sub_relaxed(&conn->server->open, 1u);
    free(conn);
}

/* One read; afterwards, if it filled the small buffer, the next one has a large one. */
static ssize_t read_some(struct rdl_conn *conn, char **bytes)
{
    char *buffer = conn->large ? conn->large : conn->small;
    size_t size = conn->large ? (size_t)RDL_BUFFER_BYTES : (size_t)RDL_CONN_SMALL;
    ssize_t n = raddle_read(conn->stream, buffer, size);

    *bytes = buffer;
    if (n == RDL_CONN_SMALL && !conn->large)
        conn->large = rdl_buffer_get(); /* without one it goes on with the small one */
    return n;
}

ssize_t rdl_conn_read(struct rdl_conn *conn, char **bytes, raddle_time deadline)
{
    struct raddle_scope limit;
    ssize_t n;

    raddle_scope_enter(&limit, deadline, 0);
    n = read_some(conn, bytes);
    return raddle_scope_leave(&limit, (int)n);
}

/* Puts conn, whose idle scope is entered, on the list. False when the server stops. */
static bool list_idle(struct rdl_conn *conn)
{
    struct rdl_server *server = conn->server;
    bool stopping;

    pthread_mutex_lock(&server->idle_lock);
    stopping = rdl_atomic_load_relaxed(&server->stopping);
    if (!stopping) {
        conn->idle_next = server->idle_first;
        conn->idle_link = &server->idle_first;
        if (server->idle_first)
            server->idle_first->idle_link = &conn->idle_next;
        server->idle_first = conn;
    }
    pthread_mutex_unlock(&server->idle_lock);
    return !stopping;
}

static void unlist_idle(struct rdl_conn *conn)
{
    pthread_mutex_lock(&conn->server->idle_lock);
    *conn->idle_link = conn->idle_next;
    if (conn->idle_next)
        conn->idle_next->idle_link = conn->idle_link;
    pthread_mutex_unlock(&conn->server->idle_lock);
}

void rdl_server_stop(struct rdl_server *server)
{
    /* Who is on the list is inside its scope, and leaves it only after it has taken itself off. */
    pthread_mutex_lock(&server->idle_lock);
    rdl_atomic_store_relaxed(&server->stopping, true);
    for (struct rdl_conn *conn = server->idle_first; conn; conn = conn->idle_next)
        raddle_scope_cancel(&conn->idle, "the server stops");
    pthread_mutex_unlock(&server->idle_lock);
}

ssize_t rdl_conn_wait(struct rdl_conn *conn, char **bytes)
{
    int64_t idle_ns = conn->server->idle_ns;
    ssize_t n;

    n = rdl_conn_read(conn, bytes, raddle_in_coarse(idle_ns < busy_ns ? idle_ns : busy_ns));
    if (n != -ETIMEDOUT)
        return n;
    rdl_buffer_put(conn->large);
    rdl_buffers_shed();
    conn->large = NULL;
    if (idle_ns <= busy_ns)
        return 0;

    raddle_scope_enter(&conn->idle, raddle_in_coarse(idle_ns - busy_ns), RADDLE_QUIET);
    n = -ECANCELED;
    if (list_idle(conn)) {
        n = read_some(conn, bytes);
        unlist_idle(conn);
    } else {
        raddle_scope_cancel(&conn->idle, "the server stops");
    }
    return raddle_scope_leave(&conn->idle, (int)n);
}

int rdl_conn_write(struct rdl_conn *conn, const char *bytes, size_t count)
{
    struct raddle_scope limit;
    ssize_t n;

    if (count == 0)
        return 0;
    raddle_scope_enter(&limit, raddle_in_coarse(write_ns), 0);
    n = raddle_write_all(conn->stream, bytes, count);
    n = raddle_scope_leave(&limit, n < 0 ? (int)n : 0);
    return (int)n;
}

void rdl_conn_linger(struct rdl_conn *conn)
{
    raddle_time deadline = raddle_in(linger_ns);
    size_t taken = 0;
    char *bytes;
    ssize_t n;

    if (raddle_shutdown_write(conn->stream))
        return;
    if (!conn->large)
        conn->large = rdl_buffer_get();
    do {
        n = rdl_conn_read(conn, &bytes, deadline);
        taken += n > 0 ? (size_t)n : 0;
    } while (n > 0 && taken < LINGER_BYTES);
}
