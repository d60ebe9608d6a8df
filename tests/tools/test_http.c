/* What `raddle serve http` answers, without a socket: bytes in, bytes out. */
#include "tools/raddle/site.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/raddle/hash.h"

#define HOST "Host: a\r\n"
#define HEAD_200                                                                                   \
    "HTTP/1.1 200 OK\r\nServer: raddle\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"                 \
    "Content-Type: text/plain\r\nContent-Length: 13\r\n"
#define HELLO HEAD_200 "\r\nHello, World!"

TestSuite(http, .timeout = 60);

struct answers {
    char *bytes;
    size_t used, size;
    uint64_t requests;
    bool closed;
};

static void keep(struct answers *answers, struct rdl_text *out)
{
    if (answers->size - answers->used < out->used + 1) {
        answers->size = 2 * (answers->size + out->used + 1);
        answers->bytes = realloc(answers->bytes, answers->size);
    }
    memcpy(answers->bytes + answers->used, out->buffer, out->used);
    answers->used += out->used;
    answers->bytes[answers->used] = '\0';
    out->used = 0;
}

/* Feeds one piece; hashes are computed and statistics are two letters. */
static void feed(struct rdl_site *site, struct answers *answers, const char *bytes, size_t count)
{
    char buffer[1024];
    struct rdl_text out = {buffer, sizeof buffer, 0};
    unsigned char digest[32];
    size_t used;

    while (!answers->closed) {
        enum rdl_site_next next =
            rdl_site_take(site, bytes, count, &used, &out, &answers->requests);
        bytes += used;
        count -= used;
        if (next == RDL_SITE_HASH) {
            keep(answers, &out);
            rdl_hash(site->count, digest);
            rdl_site_hash(site, &out, 0, digest);
        } else if (next == RDL_SITE_STATS) {
            keep(answers, &out);
            if (rdl_site_stats(site, &out, 2))
                rdl_text_string(&out, "{}");
        }
        answers->closed = next == RDL_SITE_CLOSE || next == RDL_SITE_REFUSE;
        keep(answers, &out);
        if (next == RDL_SITE_READ)
            return;
    }
}

enum { ALL_AT_ONCE = 0, RANDOM = -1 };

/* Feeds all of it in pieces of that size. */
static struct answers answer(const char *bytes, size_t count, int piece)
{
    struct answers answers = {0};
    struct rdl_site site;

    rdl_site_set_clock(784111777);
    rdl_site_init(&site);
    for (size_t at = 0; at < count && !answers.closed;) {
        size_t n = piece > 0 ? (size_t)piece : piece == RANDOM ? 1 + (size_t)rand() % 40 : count;
        if (n > count - at)
            n = count - at;
        /* An own copy of each piece: reading beyond it is an error that AddressSanitizer sees. */
        char *copy = malloc(n);
        memcpy(copy, bytes + at, n);
        feed(&site, &answers, copy, n);
        free(copy);
        at += n;
    }
    if (!answers.bytes)
        answers.bytes = calloc(1, 1);
    return answers;
}

static void expect(const char *request, const char *wanted, bool closed)
{
    struct answers answers = answer(request, strlen(request), ALL_AT_ONCE);

    cr_expect_str_eq(answers.bytes, wanted, "to %s", request);
    cr_expect_eq(answers.closed, closed, "to %s", request);
    free(answers.bytes);
}

static int status_of(const char *request, size_t count, int piece)
{
    struct answers answers = answer(request, count, piece);
    int status = 0;

    if (strncmp(answers.bytes, "HTTP/1.1 ", 9) == 0)
        status = atoi(answers.bytes + 9);
    free(answers.bytes);
    return status;
}

#define expect_status(request, status)                                                             \
    cr_expect_eq(status_of(request, strlen(request), ALL_AT_ONCE), status, "%d to %s",             \
                 status_of(request, strlen(request), ALL_AT_ONCE), request)

Test(http, a_request_is_answered)
{
    expect("GET / HTTP/1.1\r\n" HOST "\r\n", HELLO, false);
    expect("\r\nGET / HTTP/1.1\r\n" HOST "\r\n", HELLO, false);
    expect("GET http://a:80/?x=1 HTTP/1.1\r\n" HOST "\r\n", HELLO, false);
    expect("GET http://a HTTP/1.1\r\n" HOST "\r\n", HELLO, false);
}

Test(http, half_a_request_is_not)
{
    expect("GET / HTTP/1.1\r\n" HOST "\r", "", false);
    expect("", "", false);
}

Test(http, pipelined_requests_are_answered_in_order)
{
    expect("GET / HTTP/1.1\r\n" HOST "\r\nGET /stats HTTP/1.1\r\n" HOST
           "\r\nGET / HTTP/1.1\r\n" HOST "\r\n",
           HELLO "HTTP/1.1 200 OK\r\nServer: raddle\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                 "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}" HELLO,
           false);
}

Test(http, head_gets_the_head_only)
{
    expect("HEAD / HTTP/1.1\r\n" HOST "\r\n", HEAD_200 "\r\n", false);
    expect("HEAD /nothing HTTP/1.1\r\n" HOST "\r\nGET / HTTP/1.1\r\n" HOST "\r\n",
           "HTTP/1.1 404 Not Found\r\nServer: raddle\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
           "Content-Type: text/plain\r\nContent-Length: 14\r\n\r\n" HELLO,
           false);
}

Test(http, the_client_decides_whether_the_connection_stays)
{
    expect("GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n",
           HEAD_200 "Connection: close\r\n\r\nHello, World!", true);
    expect("GET / HTTP/1.0\r\n\r\n", HEAD_200 "Connection: close\r\n\r\nHello, World!", true);
    expect("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
           HEAD_200 "Connection: keep-alive\r\n\r\nHello, World!", false);
}

Test(http, a_stopping_server_ends_the_connection_with_the_answer)
{
    static const char request[] = "GET / HTTP/1.1\r\n" HOST "\r\n";
    struct answers answers = {0};
    struct rdl_site site;

    rdl_site_set_clock(784111777);
    rdl_site_init(&site);
    site.last = true;
    feed(&site, &answers, request, sizeof request - 1);
    cr_expect_str_eq(answers.bytes, HEAD_200 "Connection: close\r\n\r\nHello, World!");
    cr_expect(answers.closed);
    free(answers.bytes);
}

Test(http, a_hash_is_computed)
{
    static const char request[] = "GET /hash?x&n=2 HTTP/1.1\r\n" HOST "\r\n";
    struct answers answers = answer(request, sizeof request - 1, ALL_AT_ONCE);

    cr_expect(strstr(answers.bytes,
                     "\r\n\r\n623ba83dafbc20da8f04f0a8f896e4c1ca4d666e038ab4644cb687e74"
                     "fe64233\n"));
    free(answers.bytes);
    expect_status("HEAD /hash HTTP/1.1\r\n" HOST "\r\n", 200);
    expect_status("GET /hash?n=0 HTTP/1.1\r\n" HOST "\r\n", 400);
    expect_status("GET /hash?n= HTTP/1.1\r\n" HOST "\r\n", 400);
    expect_status("GET /hash?n=-1 HTTP/1.1\r\n" HOST "\r\n", 400);
    expect_status("GET /hash?n=10000001 HTTP/1.1\r\n" HOST "\r\n", 400);
    expect_status("GET /hash?n=99999999999999999999999999 HTTP/1.1\r\n" HOST "\r\n", 400);
}

Test(http, what_is_not_there_is_404_and_the_wrong_method_405)
{
    expect_status("GET /no HTTP/1.1\r\n" HOST "\r\n", 404);
    expect_status("GET /hashes HTTP/1.1\r\n" HOST "\r\n", 404);
    expect_status("GET // HTTP/1.1\r\n" HOST "\r\n", 404);
    expect_status("POST / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", 405);
    expect_status("OPTIONS / HTTP/1.1\r\n" HOST "\r\n", 405);
    expect_status("CONNECT / HTTP/1.1\r\n" HOST "\r\n", 405);
}

Test(http, bodies_are_taken_and_ignored)
{
    expect("GET / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\n" HOST "\r\n",
           HELLO HELLO, false);
    expect("GET / HTTP/1.1\r\n" HOST
           "Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: v\r\n"
           "\r\nGET / HTTP/1.1\r\n" HOST "\r\n",
           HELLO HELLO, false);
}

Test(http, a_client_that_waits_to_send_its_body_is_told_to_go_on)
{
    expect("GET / HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n",
           "HTTP/1.1 100 Continue\r\n\r\n", false);
    expect("GET / HTTP/1.1\r\n" HOST "Expect: 100-Continue\r\nContent-Length: 2\r\n\r\nab",
           "HTTP/1.1 100 Continue\r\n\r\n" HELLO, false);
    expect("GET / HTTP/1.1\r\n" HOST "Expect: 100-continue\r\n\r\n", HELLO, false);
    expect_status("GET / HTTP/1.1\r\n" HOST "Expect: tea\r\n\r\n", 417);
    expect_status(
        "GET / HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 1048577\r\n\r\n", 413);
}

Test(http, garbage_is_400)
{
    expect_status("hello\r\n\r\n", 400);
    expect_status("get / HTTP/1.1\r\n" HOST "\r\n", 400);
    expect_status("GET / HTTP/1.1\r\nHost\r\n\r\n", 400);
    expect_status("GET / HTTP/1.1\r\n: x\r\n" HOST "\r\n", 400);
    expect_status("GET / HTTP/1.1\r\nX y: z\r\n" HOST "\r\n", 400);
    expect_status("GET / HTTP/1.1\r\nX : z\r\n" HOST "\r\n", 400);
    expect_status("GET / HTTP/1.1\r\n" HOST "X: a\001b\r\n\r\n", 400);
    expect_status("GET /\377 HTTP/1.1\r\n" HOST "\r\n", 400);
    expect_status("\x16\x03\x01\x02", 400);
    cr_expect_eq(status_of("GET / HTTP/1.1\r\nX: a\0b\r\n" HOST "\r\n", 36, ALL_AT_ONCE), 400);
}

Test(http, host_must_be_there_once)
{
    expect_status("GET / HTTP/1.1\r\n\r\n", 400);
    expect_status("GET / HTTP/1.1\r\n" HOST HOST "\r\n", 400);
    expect_status("GET / HTTP/1.1\r\nhOST:\r\n\r\n", 200);
}

Test(http, other_versions_are_505)
{
    expect_status("GET / HTTP/2.0\r\n" HOST "\r\n", 505);
    expect_status("GET / HTTP/1.2\r\n" HOST "\r\n", 505);
    expect_status("GET / HTTP/0.9\r\n" HOST "\r\n", 505);
    expect_status("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505);
}

Test(http, what_two_servers_might_read_differently_is_400)
{
    static const char *const heads[] = {
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        "Content-Length: 4\r\nContent-Length: 4\r\n",
        "Content-Length: 4, 4\r\n",
        "Content-Length: +4\r\n",
        "Content-Length: 0x4\r\n",
        "Content-Length: 4 4\r\n",
        "Content-Length: \r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "X: a\rContent-Length: 4\r\n",
        "X:\rContent-Length: 4\r\n",
        "X: a\nContent-Length: 4\r\n",
        "X: a\r\n Content-Length: 4\r\n",
        "X: a\r\n\tb\r\n",
        "Transfer-Encoding:\r\n chunked\r\n",
    };
    static const char *const bodies[] = {
        "4\nabcd\r\n0\r\n\r\n",    "4\r\nabcdX0\r\n\r\n",      "4 \r\nabcd\r\n0\r\n\r\n",
        "-4\r\nabcd\r\n0\r\n\r\n", "0x4\r\nabcd\r\n0\r\n\r\n", "FFFFFFFFFFFFFFFFF\r\nabcd",
    };
    char request[512];

    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        snprintf(request, sizeof request, "POST / HTTP/1.1\r\n" HOST "%s\r\n", heads[i]);
        expect_status(request, 400);
    }
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        snprintf(request, sizeof request,
                 "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n%s", bodies[i]);
        expect_status(request, 400);
    }
    expect_status("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400);
}

/* A request with a part of that many bytes. */
static char *long_request(const char *before, size_t filler, const char *after, size_t *count)
{
    char *request = malloc(strlen(before) + filler + strlen(after) + 1);

    memcpy(request, before, strlen(before) + 1);
    memset(request + strlen(before), 'x', filler);
    memcpy(request + strlen(before) + filler, after, strlen(after) + 1);
    *count = strlen(request);
    return request;
}

static void expect_long(const char *before, size_t filler, const char *after, int status)
{
    static const int pieces[] = {ALL_AT_ONCE, 1, 7, 512, 16384};
    size_t count;
    char *request = long_request(before, filler, after, &count);

    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++)
        cr_expect_eq(status_of(request, count, pieces[i]), status,
                     "%d for %zu bytes by %d, wanted %d", status_of(request, count, pieces[i]),
                     filler, pieces[i], status);
    free(request);
}

Test(http, too_long_has_a_status_for_each_part)
{
    expect_long("GET /?", 8000, " HTTP/1.1\r\n" HOST "\r\n", 200);
    expect_long("GET /", 8000, " HTTP/1.1\r\n" HOST "\r\n", 404);
    expect_long("GET /", 9000, " HTTP/1.1\r\n" HOST "\r\n", 414);
    expect_long("GET /", 70000, " HTTP/1.1\r\n" HOST "\r\n", 414);
    expect_long("GET / HTTP/1.1\r\n" HOST "X: ", 32000, "\r\n\r\n", 200);
    expect_long("GET / HTTP/1.1\r\n" HOST "X: ", 32768, "\r\n\r\n", 431);
    expect_long("GET / HTTP/1.1\r\n" HOST "X: ", 200000, "\r\n\r\n", 431);
    expect_long("GET / HTTP/1.1\r\n" HOST, 100000, "", 431);
    expect_long("POST / HTTP/1.1\r\n" HOST "Content-Length: 1048576\r\n\r\n", 1048576, "", 405);
    expect_long("POST / HTTP/1.1\r\n" HOST "Content-Length: 1048577\r\n\r\n", 0, "", 413);
    expect_long("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n100000\r\n", 1048576,
                "\r\n0\r\n\r\n", 405);
    expect_long("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n100000\r\n", 1048576,
                "\r\n1\r\n", 413);
    expect_long("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1;", 9000000, "",
                413);
}

Test(http, how_the_bytes_are_cut_makes_no_difference)
{
    static const char *const requests[] = {
        "GET / HTTP/1.1\r\n" HOST "\r\n",
        "HEAD /stats HTTP/1.1\r\n" HOST "\r\nGET /stats?x HTTP/1.1\r\n" HOST "\r\n",
        "\r\n\r\nGET /hash?n=3 HTTP/1.1\r\n" HOST "Accept: */*\r\n\r\n",
        "POST /x HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello",
        "POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" HOST
        "\r\n5;a=b\r\nhello\r\n1\r\n.\r\n0\r\nA: b\r\n\r\n",
        "PUT / HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
        "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
        "GET / HTTP/1.1\r\n" HOST "Connection: upgrade\r\nUpgrade: x\r\n\r\n",
        "GET http://a/ HTTP/1.1\r\n" HOST "\r\n",
        /* Those below end the connection. */
        "GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n",
        "GET / HTTP/1.1\r\n" HOST "X:\rY: b\r\n\r\n",
        "GET / HTTP/1.1\r\n" HOST "X: a\r\n b\r\n\r\n",
        "GET / HTTP/1.1\r\n" HOST "X: a\nY: b\r\n\r\n",
        "\rGET / HTTP/3.0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/2.0\r\n\r\n",
        "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        "POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\n" HOST "Content-Length: 9999999\r\n\r\nabc",
        "CONNECT a:80 HTTP/1.1\r\n" HOST "\r\nabc",
        "GARBAGE\r\n\r\n",
    };
    size_t kinds = sizeof requests / sizeof requests[0];
    char stream[4096];

    srand(1);
    for (int round = 0; round < 2000; round++) {
        struct answers whole, cut;
        size_t count = 0;

        for (int i = 0, n = 1 + rand() % 6; i < n; i++) {
            const char *request = requests[(size_t)rand() % kinds];
            memcpy(stream + count, request, strlen(request));
            count += strlen(request);
        }
        /* Some have a byte that is wrong. */
        if (round % 3 == 0 && count)
            stream[(size_t)rand() % count] = (char)rand();
        stream[count] = '\0';
        whole = answer(stream, count, ALL_AT_ONCE);
        for (int piece = -1; piece < 8; piece++) {
            cut = answer(stream, count, piece);
            cr_expect(cut.used == whole.used && memcmp(cut.bytes, whole.bytes, cut.used) == 0,
                      "by %d: <%s>\n gave <%s>\n instead of <%s>", piece, stream, cut.bytes,
                      whole.bytes);
            cr_expect_eq(cut.closed, whole.closed);
            cr_expect_eq(cut.requests, whole.requests);
            free(cut.bytes);
        }
        free(whole.bytes);
    }
}
