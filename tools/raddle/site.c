/*
 * raddle/site.c - what `raddle serve http` answers: "/", "/hash" and "/stats".
 */
#include "tools/raddle/site.h"

#include <time.h>

static int64_t fixed_clock;

void rdl_site_set_clock(int64_t unix_seconds)
{
    fixed_clock = unix_seconds;
}

void rdl_site_init(struct rdl_site *site)
{
    rdl_http_init(&site->http);
    site->count = 0;
    site->last = site->closing = false;
}

static const char *reason_of(unsigned status)
{
    static const struct {
        unsigned status;
        const char *reason;
    } reasons[] = {
        {200, "OK"},
        {400, "Bad Request"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {417, "Expectation Failed"},
        {431, "Request Header Fields Too Large"},
        {503, "Service Unavailable"},
        {505, "HTTP Version Not Supported"},
    };

    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "Error";
}

static void two_digits(char *at, int value)
{
    at[0] = (char)('0' + value / 10);
    at[1] = (char)('0' + value % 10);
}

enum { DATE_LENGTH = 29 };

static void format_date(char date[DATE_LENGTH], time_t now)
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct tm tm;

    memcpy(date, "Xxx, 00 Xxx 0000 00:00:00 GMT", DATE_LENGTH);
    if (!gmtime_r(&now, &tm))
        return;
    memcpy(date, days + 3 * (size_t)tm.tm_wday, 3);
    two_digits(date + 5, tm.tm_mday);
    memcpy(date + 8, months + 3 * (size_t)tm.tm_mon, 3);
    two_digits(date + 12, (tm.tm_year + 1900) / 100);
    two_digits(date + 14, (tm.tm_year + 1900) % 100);
    two_digits(date + 17, tm.tm_hour);
    two_digits(date + 20, tm.tm_min);
    two_digits(date + 23, tm.tm_sec);
}

/*
 * The date is formatted once a second in each thread. Not inlined: a task may go on in another
 * thread after it has waited, and must not take the address of a thread's own variable along.
 */
static __attribute__((noinline)) void add_date(struct rdl_text *out)
{
    static _Thread_local struct {
        time_t second;
        char text[DATE_LENGTH];
    } cache;
    struct timespec now = {.tv_sec = (time_t)fixed_clock};

    if (!fixed_clock)
        clock_gettime(CLOCK_REALTIME_COARSE, &now);
    if (now.tv_sec != cache.second) {
        format_date(cache.text, now.tv_sec);
        cache.second = now.tv_sec;
    }
    rdl_text_add(out, cache.text, DATE_LENGTH);
}

/* The head of an answer, with the empty line behind it. */
static void add_head(struct rdl_site *site, struct rdl_text *out, unsigned status, const char *type,
                     size_t body_bytes)
{
    rdl_text_string(out, "HTTP/1.1 ");
    rdl_text_unsigned(out, status);
    rdl_text_string(out, " ");
    rdl_text_string(out, reason_of(status));
    rdl_text_string(out, "\r\nServer: raddle\r\nDate: ");
    add_date(out);
    rdl_text_string(out, "\r\nContent-Type: ");
    rdl_text_string(out, type);
    rdl_text_string(out, "\r\nContent-Length: ");
    rdl_text_unsigned(out, body_bytes);
    if (status == 405)
        rdl_text_string(out, "\r\nAllow: GET, HEAD");
    if (site->closing)
        rdl_text_string(out, "\r\nConnection: close");
    else if (site->http.http_1_0)
        rdl_text_string(out, "\r\nConnection: keep-alive");
    rdl_text_string(out, "\r\n\r\n");
}

static void add_text(struct rdl_site *site, struct rdl_text *out, unsigned status, const char *body,
                     size_t length)
{
    add_head(site, out, status, "text/plain", length);
    if (!site->http.is_head)
        rdl_text_add(out, body, length);
}

static void add_error(struct rdl_site *site, struct rdl_text *out, unsigned status)
{
    char buffer[64];
    struct rdl_text body = {buffer, sizeof buffer, 0};

    rdl_text_unsigned(&body, status);
    rdl_text_string(&body, " ");
    rdl_text_string(&body, reason_of(status));
    rdl_text_string(&body, "\n");
    add_text(site, out, status, buffer, body.used);
}

void rdl_site_refuse(struct rdl_site *site, struct rdl_text *out, unsigned status)
{
    site->closing = true;
    add_error(site, out, status);
}

/* The value of n in a query: false if there is none within bounds. No query, or one without n: the
 * default. */
static bool hash_count(const char *query, size_t length, uint64_t *count)
{
    const char *at = query, *end = query + length;

    *count = RDL_SITE_HASH_DEFAULT;
    while (query && at < end) {
        const char *next = memchr(at, '&', (size_t)(end - at));
        const char *stop = next ? next : end;

        if (stop - at >= 2 && at[0] == 'n' && at[1] == '=') {
            *count = 0;
            for (at += 2; at < stop; at++) {
                if (*at < '0' || *at > '9')
                    return false;
                *count = *count * 10 + (uint64_t)(*at - '0');
                if (*count > RDL_SITE_HASH_MAX)
                    return false;
            }
            return *count > 0;
        }
        at = next ? next + 1 : end;
    }
    return true;
}

static bool is(const char *path, size_t length, const char *name)
{
    return length == strlen(name) && memcmp(path, name, length) == 0;
}

/* Answers a complete request, or says what is needed for it. */
static enum rdl_site_next route(struct rdl_site *site, struct rdl_text *out)
{
    static const char hello[] = "Hello, World!";
    const struct rdl_http *http = &site->http;
    const char *path, *query;
    size_t path_length, query_length;
    bool whole = rdl_http_path(http, &path, &path_length, &query, &query_length);
    bool root, hash, stats;

    /* A path that was cut is longer than all that exist. */
    root = is(path, path_length, "/") && (whole || query);
    hash = is(path, path_length, "/hash") && (whole || query);
    stats = is(path, path_length, "/stats") && (whole || query);
    if (!root && !hash && !stats) {
        add_error(site, out, 404);
    } else if (!http->is_get && !http->is_head) {
        add_error(site, out, 405);
    } else if (root) {
        add_text(site, out, 200, hello, sizeof hello - 1);
    } else if (stats) {
        return RDL_SITE_STATS;
    } else if (!whole || !hash_count(query, query_length, &site->count)) {
        add_error(site, out, 400);
    } else if (http->is_head) {
        add_head(site, out, 200, "text/plain", 65);
    } else {
        return RDL_SITE_HASH;
    }
    return RDL_SITE_READ;
}

enum rdl_site_next rdl_site_take(struct rdl_site *site, const char *bytes, size_t count,
                                 size_t *used, struct rdl_text *out, uint64_t *answered)
{
    *used = 0;
    for (;;) {
        enum rdl_site_next next = RDL_SITE_READ;
        size_t taken;

        if (site->closing)
            return RDL_SITE_CLOSE;
        if (rdl_text_room(out) < RDL_SITE_ANSWER_MAX)
            return RDL_SITE_WRITE;
        switch (rdl_http_take(&site->http, bytes + *used, count - *used, &taken)) {
        case RDL_HTTP_MORE:
            *used += taken;
            return RDL_SITE_READ;
        case RDL_HTTP_CONTINUE:
            *used += taken;
            rdl_text_string(out, "HTTP/1.1 100 Continue\r\n\r\n");
            return RDL_SITE_SEND_CONTINUE;
        case RDL_HTTP_REQUEST:
            *used += taken;
            *answered += 1;
            site->closing = site->last || !site->http.keep_alive;
            next = route(site, out);
            break;
        case RDL_HTTP_BAD:
            *used += taken;
            rdl_site_refuse(site, out, site->http.status);
            return RDL_SITE_REFUSE;
        }
        if (next != RDL_SITE_READ)
            return next;
    }
}

void rdl_site_hash(struct rdl_site *site, struct rdl_text *out, int rc,
                   const unsigned char digest[32])
{
    static const char hex[] = "0123456789abcdef";
    char body[65];

    if (rc < 0) {
        add_error(site, out, 503);
        return;
    }
    for (size_t i = 0; i < 32; i++) {
        body[2 * i] = hex[digest[i] >> 4];
        body[2 * i + 1] = hex[digest[i] & 15];
    }
    body[64] = '\n';
    add_text(site, out, 200, body, sizeof body);
}

bool rdl_site_stats(struct rdl_site *site, struct rdl_text *out, size_t body_bytes)
{
    add_head(site, out, 200, "application/json", body_bytes);
    return !site->http.is_head;
}
