/*
 * raddle/site.h - what `raddle serve http` answers: bytes of requests in, bytes of responses out.
 *
 * Without sockets, so that a test can feed it. Work that takes long is handed back to the caller,
 * who knows how to wait.
 */
#ifndef RDL_TOOLS_SITE_H
#define RDL_TOOLS_SITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/raddle/http.h"
#include "tools/raddle/text.h"

enum {
    RDL_SITE_HASH_DEFAULT = 80 * 1000, /* about 20 ms */
    RDL_SITE_HASH_MAX = 10 * 1000 * 1000,
    RDL_SITE_ANSWER_MAX = 768, /* no answer but that of /stats is longer */
};

/* Why rdl_site_take() came back. */
enum rdl_site_next {
    RDL_SITE_READ,          /* all bytes are used up: write what there is to write, then read */
    RDL_SITE_WRITE,         /* less room than the longest answer: write, then go on */
    RDL_SITE_SEND_CONTINUE, /* as RDL_SITE_WRITE: the client waits for it */
    RDL_SITE_HASH,          /* write, compute rdl_hash(count), give it to rdl_site_hash(), go on */
    RDL_SITE_STATS,         /* write, answer with the statistics, go on */
    RDL_SITE_CLOSE,         /* write, close */
    RDL_SITE_REFUSE,        /* write, close in a way that lets the client read the answer */
};

struct rdl_site {
    struct rdl_http http;
    uint64_t count; /* of RDL_SITE_HASH */
    bool last;      /* set by the caller: the server stops, every answer ends its connection */
    bool closing;   /* no request after this one */
};

void rdl_site_init(struct rdl_site *site);

/* Takes requests from bytes and appends answers. *used: how many bytes were taken. *answered grows
 * by the number of requests that were complete. */
enum rdl_site_next rdl_site_take(struct rdl_site *site, const char *bytes, size_t count,
                                 size_t *used, struct rdl_text *out, uint64_t *answered);

/* After RDL_SITE_HASH: the answer, or a refusal when it could not be computed (rc is negative). */
void rdl_site_hash(struct rdl_site *site, struct rdl_text *out, int rc,
                   const unsigned char digest[32]);

/* After RDL_SITE_STATS: the head of the answer; the body, of the length given, is the caller's.
 * True if the body is to be sent. */
bool rdl_site_stats(struct rdl_site *site, struct rdl_text *out, size_t body_bytes);

/* An answer without a request: 408 and the like. The connection is closed after it. */
void rdl_site_refuse(struct rdl_site *site, struct rdl_text *out, unsigned status);

/* Tests only: the time in Date, instead of the clock's; 0: the clock. */
void rdl_site_set_clock(int64_t unix_seconds);

#endif
