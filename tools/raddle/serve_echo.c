/*
 * raddle/serve_echo.c - `raddle serve echo`: sends back what it gets.
 */
#include "tools/raddle/conn.h"

#include <errno.h>

int rdl_serve_echo(void *arg)
{
    char small[RDL_CONN_SMALL], *bytes;
    struct rdl_conn *conn = rdl_conn_open(arg, small);
    ssize_t n;

    if (!conn)
        return -ENOMEM;
    while ((n = rdl_conn_wait(conn, &bytes)) > 0) {
        n = rdl_conn_write(conn, bytes, (size_t)n);
        if (n < 0)
            break;
        rdl_atomic_fetch_add_relaxed(&conn->server->requests, 1u);
    }
    rdl_conn_close(conn);
    return 0;
}
