/*
 * raddle/http.h - reads HTTP/1.x requests from bytes, without a socket.
 *
 * llhttp does the grammar. This adds what a server has to decide itself: limits, a Host header,
 * what counts as an attempt to smuggle a request, which of them get which status. How the bytes
 * were cut into pieces makes no difference to what comes out.
 */
#ifndef RDL_TOOLS_HTTP_H
#define RDL_TOOLS_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <llhttp.h>

enum {
    RDL_HTTP_LINE_MAX = 8 * 1024,    /* request line: 414 */
    RDL_HTTP_HEAD_MAX = 32 * 1024,   /* request line and header fields: 431 */
    RDL_HTTP_BODY_MAX = 1024 * 1024, /* 413 */
    RDL_HTTP_WIRE_MAX =
        8 * 1024 * 1024,        /* a body with its chunk sizes, extensions, trailers: 413 */
    RDL_HTTP_TARGET_KEPT = 128, /* how much of the request target is remembered */
};

/* Where in a request the bytes stop that have been seen. */
enum rdl_http_phase { RDL_HTTP_IDLE, RDL_HTTP_HEAD, RDL_HTTP_BODY };

enum rdl_http_event {
    RDL_HTTP_MORE,     /* all bytes are used up */
    RDL_HTTP_CONTINUE, /* the client waits for "100 Continue" before it sends the body */
    RDL_HTTP_REQUEST,  /* a request is complete */
    RDL_HTTP_BAD,      /* refuse with ->status and close: what follows can't be understood */
};

struct rdl_http {
    llhttp_t parser;
    uint32_t head_bytes; /* of the current request, line included */
    uint32_t wire_bytes; /* of the current request, after its head */
    uint32_t body_bytes;
    uint32_t target_length;
    uint16_t status;     /* of a refusal; 0 while there is none */
    uint8_t phase;       /* enum rdl_http_phase */
    uint8_t name_length; /* of the header field at hand, saturating */
    uint8_t hosts;       /* Host fields, saturating */
    uint8_t expect_length;
    uint8_t line;   /* of the head: whether the last byte was a CR, or a CR LF */
    bool line_done; /* the request line is */
    bool asked_continue, headers_paused, message_paused;
    char name[8];
    char expect[16];

    /* Of a complete request, until the next call. */
    bool keep_alive, http_1_0, is_head, is_get;

    char target[RDL_HTTP_TARGET_KEPT]; /* last; as sent, not terminated, cut at its size */
};

void rdl_http_init(struct rdl_http *http);

/*
 * Takes bytes until something has to be done, and tells what. *used says how many were taken; the
 * rest is to be given to the next call. After RDL_HTTP_BAD there is no next call.
 */
enum rdl_http_event rdl_http_take(struct rdl_http *http, const char *bytes, size_t count,
                                  size_t *used);

static inline enum rdl_http_phase rdl_http_phase(const struct rdl_http *http)
{
    return (enum rdl_http_phase)http->phase;
}

/*
 * The path of a complete request, without a query, a scheme or an authority; *query is what
 * followed "?", NULL if there was none. False: the target was longer than is kept, and is cut.
 */
bool rdl_http_path(const struct rdl_http *http, const char **path, size_t *path_length,
                   const char **query, size_t *query_length);

#endif
