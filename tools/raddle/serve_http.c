/*
 * raddle/serve_http.c - `raddle serve http`: one connection, from its first byte to its close.
 *
 * Answers to pipelined requests are collected and written together. A request has 10 s for its head
 * from its first byte on, then 30 s for its body; in between the connection may rest.
 */
#include <errno.h>
#include <stdlib.h>

#include "tools/raddle/buffers.h"
#include "tools/raddle/conn.h"
#include "tools/raddle/hash.h"
#include "tools/raddle/site.h"

static const int64_t head_ns = RADDLE_S(10);
static const int64_t body_ns = RADDLE_S(30);

struct hash_job {
    uint64_t count;
    unsigned char digest[32];
};

static int run_hash(void *arg)
{
    struct hash_job *job = arg;

    rdl_hash(job->count, job->digest);
    return 0;
}

static int flush(struct rdl_conn *conn, struct rdl_text *out)
{
    int rc = rdl_conn_write(conn, out->buffer, out->used);

    out->used = 0;
    return rc;
}

static int answer_hash(struct rdl_conn *conn, struct rdl_site *site, struct rdl_text *out)
{
    struct hash_job job = {.count = site->count};
    int rc = flush(conn, out);

    if (rc < 0)
        return rc;
    rc = raddle_run_in_executor(NULL, run_hash, &job, NULL);
    if (rc == -ECANCELED)
        return rc;
    rdl_site_hash(site, out, rc, job.digest);
    return 0;
}

static int answer_stats(struct rdl_conn *conn, struct rdl_site *site, struct rdl_text *out)
{
    size_t size = 4096 + 512 * (size_t)conn->server->loops;
    char *body = malloc(size);
    int64_t length = body ? rdl_server_stats(conn->server, body, size) : -1;
    int rc = 0;

    if (length < 0) {
        free(body);
        rdl_site_hash(site, out, -ENOMEM, NULL);
        return 0;
    }
    if (rdl_site_stats(site, out, (size_t)length)) {
        if ((size_t)length <= rdl_text_room(out)) {
            rdl_text_add(out, body, (size_t)length);
        } else {
            rc = flush(conn, out);
            if (rc == 0)
                rc = rdl_conn_write(conn, body, (size_t)length);
        }
    }
    free(body);
    return rc;
}

/* Answers what is in bytes. 0 to go on, 1 to close, 2 to close when the peer has read, or
 * -errno. */
static int answer(struct rdl_conn *conn, struct rdl_site *site, struct rdl_text *out,
                  const char *bytes, size_t count, uint64_t *answered)
{
    for (;;) {
        size_t used;
        enum rdl_site_next next = rdl_site_take(site, bytes, count, &used, out, answered);
        int rc = 0;

        bytes += used;
        count -= used;
        switch (next) {
        case RDL_SITE_READ:
            return flush(conn, out);
        case RDL_SITE_WRITE:
        case RDL_SITE_SEND_CONTINUE:
            rc = flush(conn, out);
            break;
        case RDL_SITE_HASH:
            rc = answer_hash(conn, site, out);
            break;
        case RDL_SITE_STATS:
            rc = answer_stats(conn, site, out);
            break;
        case RDL_SITE_CLOSE:
            rc = flush(conn, out);
            return rc < 0 ? rc : count ? 2 : 1;
        case RDL_SITE_REFUSE:
            rdl_atomic_fetch_add_relaxed(&conn->server->refused, 1u);
            rc = flush(conn, out);
            return rc < 0 ? rc : 2;
        }
        if (rc < 0)
            return rc;
    }
}

/* With a buffer for the answers, which is borrowed for that long only. Returns as answer(). */
static __attribute__((noinline)) int answer_all(struct rdl_conn *conn, struct rdl_site *site,
                                                const char *bytes, size_t count, uint64_t *answered)
{
    struct rdl_text out = {rdl_buffer_get(), RDL_BUFFER_BYTES, 0};
    int rc;

    if (!out.buffer)
        return -ENOMEM;
    site->last = rdl_atomic_load_relaxed(&conn->server->stopping);
    rc = answer(conn, site, &out, bytes, count, answered);
    rdl_buffer_put(out.buffer);
    rdl_atomic_fetch_add_relaxed(&conn->server->requests, *answered);
    return rc;
}

/* The peer took too long. */
static __attribute__((noinline)) void answer_timeout(struct rdl_conn *conn, struct rdl_site *site)
{
    struct rdl_text out = {rdl_buffer_get(), RDL_BUFFER_BYTES, 0};

    if (!out.buffer)
        return;
    rdl_site_refuse(site, &out, 408);
    rdl_atomic_fetch_add_relaxed(&conn->server->refused, 1u);
    if (flush(conn, &out) == 0)
        rdl_conn_linger(conn);
    rdl_buffer_put(out.buffer);
}

int rdl_serve_http(void *arg)
{
    char small[RDL_CONN_SMALL], *bytes;
    struct rdl_conn *conn = rdl_conn_open(arg, small);
    struct rdl_site site;
    raddle_time deadline = RADDLE_NEVER;
    int rc = 0;

    if (!conn)
        return -ENOMEM;
    rdl_site_init(&site);
    while (rc == 0) {
        enum rdl_http_phase before = rdl_http_phase(&site.http), after;
        uint64_t answered = 0;
        ssize_t n;

        n = before == RDL_HTTP_IDLE ? rdl_conn_wait(conn, &bytes)
                                    : rdl_conn_read(conn, &bytes, deadline);
        if (n == -ETIMEDOUT)
            answer_timeout(conn, &site);
        if (n <= 0)
            break;
        rc = answer_all(conn, &site, bytes, (size_t)n, &answered);
        after = rdl_http_phase(&site.http);
        if (after != before || answered)
            deadline = raddle_in_coarse(after == RDL_HTTP_BODY ? body_ns : head_ns);
    }
    if (rc == 2)
        rdl_conn_linger(conn);
    rdl_conn_close(conn);
    return 0;
}
