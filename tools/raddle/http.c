/*
 * raddle/http.c - reads HTTP/1.x requests from bytes.
 *
 * llhttp is stopped twice per request, after the head and after the body, so that every decision is
 * taken here and in the order of the bytes. In the head it is never given more than the limits
 * leave: a mistake behind a limit is never seen, wherever the pieces were cut.
 *
 * What llhttp 8.1 lets through even when it is built strict, and is refused here:
 *
 *     - a CR that no LF follows, inside a field (CVE-2023-30589), and a field continued on the next
 *       line: another server on the way may have seen other fields;
 *     - Transfer-Encoding in HTTP/1.0, where a body ends differently for those who don't know it;
 *     - a field without a name;
 *     - no Host in HTTP/1.1, or more than one.
 */
#include "tools/raddle/http.h"

#include <string.h>
#include <strings.h>

enum { IN_LINE, AFTER_CR, AFTER_LINE };

/* Ends the parse with a status of our own. */
static int refuse(struct rdl_http *http, uint16_t status)
{
    if (http->status == 0)
        http->status = status;
    return HPE_USER;
}

static struct rdl_http *of(llhttp_t *parser)
{
    return parser->data;
}

static int on_url(llhttp_t *parser, const char *at, size_t length)
{
    struct rdl_http *http = of(parser);

    if (http->target_length < sizeof http->target) {
        size_t room = sizeof http->target - http->target_length;
        memcpy(http->target + http->target_length, at, length < room ? length : room);
    }
    http->target_length += (uint32_t)length;
    return 0;
}

static int on_version_complete(llhttp_t *parser)
{
    struct rdl_http *http = of(parser);

    if (parser->http_major != 1 || parser->http_minor > 1)
        return refuse(http, 505);
    http->line_done = true;
    return 0;
}

static int on_field(llhttp_t *parser, const char *at, size_t length)
{
    struct rdl_http *http = of(parser);
    size_t room = sizeof http->name - http->name_length;

    if (length > room)
        length = room;
    memcpy(http->name + http->name_length, at, length);
    http->name_length = (uint8_t)(http->name_length + length);
    return 0;
}

static bool named(const struct rdl_http *http, const char *name)
{
    return http->name_length == strlen(name) &&
           strncasecmp(http->name, name, http->name_length) == 0;
}

static int on_field_complete(llhttp_t *parser)
{
    struct rdl_http *http = of(parser);

    if (http->name_length == 0)
        return refuse(http, 400);
    if (http->phase != RDL_HTTP_BODY && named(http, "host") && http->hosts < 2)
        http->hosts++;
    return 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t length)
{
    struct rdl_http *http = of(parser);

    if (http->phase != RDL_HTTP_BODY && named(http, "expect")) {
        size_t room = sizeof http->expect - http->expect_length;
        if (length > room)
            length = room;
        memcpy(http->expect + http->expect_length, at, length);
        http->expect_length = (uint8_t)(http->expect_length + length);
    }
    return 0;
}

static int on_value_complete(llhttp_t *parser)
{
    of(parser)->name_length = 0;
    return 0;
}

static int on_headers_complete(llhttp_t *parser)
{
    /* No protocol but this one is spoken here: an offer to change it is not taken up. */
    if (parser->method != HTTP_CONNECT)
        parser->upgrade = 0;
    of(parser)->headers_paused = true;
    return HPE_PAUSED;
}

static int on_body(llhttp_t *parser, const char *at, size_t length)
{
    struct rdl_http *http = of(parser);

    (void)at;
    if (length > RDL_HTTP_BODY_MAX - http->body_bytes)
        return refuse(http, 413);
    http->body_bytes += (uint32_t)length;
    return 0;
}

static int on_chunk_header(llhttp_t *parser)
{
    struct rdl_http *http = of(parser);

    return parser->content_length > RDL_HTTP_BODY_MAX - http->body_bytes ? refuse(http, 413) : 0;
}

static int on_message_complete(llhttp_t *parser)
{
    struct rdl_http *http = of(parser);

    http->keep_alive = llhttp_should_keep_alive(parser) && parser->method != HTTP_CONNECT;
    http->message_paused = true;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_version_complete = on_version_complete,
    .on_header_field = on_field,
    .on_header_field_complete = on_field_complete,
    .on_header_value = on_value,
    .on_header_value_complete = on_value_complete,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_chunk_header = on_chunk_header,
    .on_message_complete = on_message_complete,
};

static void begin_request(struct rdl_http *http)
{
    http->head_bytes = http->wire_bytes = http->body_bytes = http->target_length = 0;
    http->phase = RDL_HTTP_IDLE;
    http->name_length = http->hosts = http->expect_length = 0;
    http->line = IN_LINE;
    http->line_done = false;
    http->asked_continue = http->headers_paused = http->message_paused = false;
}

void rdl_http_init(struct rdl_http *http)
{
    memset(http, 0, sizeof *http - sizeof http->target);
    llhttp_init(&http->parser, HTTP_REQUEST, &settings);
    http->parser.data = http;
    begin_request(http);
}

/*
 * Whether all lines of a piece of the head end in CR LF and none is continued by the next. Where in
 * a line the piece ends is carried over to the next one.
 */
static bool lines_are_plain(struct rdl_http *http, const char *bytes, size_t count)
{
    const char *at = bytes, *end = bytes + count;

    while (at < end) {
        switch (http->line) {
        case IN_LINE:
            at = memchr(at, '\r', (size_t)(end - at));
            if (!at)
                return true;
            at++;
            http->line = AFTER_CR;
            break;
        case AFTER_CR:
            if (*at++ != '\n')
                return false;
            http->line = AFTER_LINE;
            break;
        default:
            if (*at == ' ' || *at == '\t')
                return false;
            http->line = IN_LINE;
        }
    }
    return true;
}

/* The status of a request that llhttp did not understand. */
static uint16_t status_of(const struct rdl_http *http, llhttp_errno_t error)
{
    if (http->status)
        return http->status;
    /* The second is HTTP/2's way to begin. */
    if (error == HPE_INVALID_VERSION || error == HPE_PAUSED_H2_UPGRADE)
        return 505;
    return 400;
}

static enum rdl_http_event bad(struct rdl_http *http, uint16_t status)
{
    http->status = status;
    http->keep_alive = false;
    http->is_head = http->parser.method == HTTP_HEAD && http->line_done;
    return RDL_HTTP_BAD;
}

/* The head is complete. Returns the status of a refusal, or 0. */
static uint16_t judge_head(struct rdl_http *http)
{
    const llhttp_t *parser = &http->parser;

    http->http_1_0 = parser->http_minor == 0;
    http->is_head = parser->method == HTTP_HEAD;
    http->is_get = parser->method == HTTP_GET;

    if (http->hosts > 1 || (http->hosts == 0 && !http->http_1_0))
        return 400;
    if (http->http_1_0 && (parser->flags & F_TRANSFER_ENCODING))
        return 400;
    if ((parser->flags & F_TRANSFER_ENCODING) && !(parser->flags & F_CHUNKED))
        return 400;
    if ((parser->flags & F_CONTENT_LENGTH) && parser->content_length > RDL_HTTP_BODY_MAX)
        return 413;
    if (http->expect_length && !http->http_1_0) {
        if (http->expect_length != 12 || strncasecmp(http->expect, "100-continue", 12) != 0)
            return 417;
        http->asked_continue = (parser->flags & F_CHUNKED) || parser->content_length > 0;
    }
    return 0;
}

/* One piece of a head. Sets *used. */
static enum rdl_http_event take_head(struct rdl_http *http, const char *bytes, size_t count,
                                     size_t *used)
{
    size_t room = (http->line_done ? RDL_HTTP_HEAD_MAX : RDL_HTTP_LINE_MAX) - http->head_bytes;
    size_t taken = count < room ? count : room;
    llhttp_errno_t error = llhttp_execute(&http->parser, bytes, taken);
    uint16_t status;

    if (error != HPE_OK)
        taken = (size_t)(llhttp_get_error_pos(&http->parser) - bytes);
    *used = taken;
    http->phase = RDL_HTTP_HEAD;
    http->head_bytes += (uint32_t)taken;
    /* First what came first: a bad line before the byte that llhttp refused. */
    if (!lines_are_plain(http, bytes, taken))
        return bad(http, 400);
    if (error != HPE_OK && !(error == HPE_PAUSED && http->headers_paused))
        return bad(http, status_of(http, error));
    if (error == HPE_PAUSED) {
        status = judge_head(http);
        if (status)
            return bad(http, status);
        llhttp_resume(&http->parser);
        http->phase = RDL_HTTP_BODY;
        http->name_length = 0;
        return http->asked_continue ? RDL_HTTP_CONTINUE : RDL_HTTP_MORE;
    }
    if (!http->line_done && http->head_bytes >= RDL_HTTP_LINE_MAX)
        return bad(http, 414);
    if (http->head_bytes >= RDL_HTTP_HEAD_MAX)
        return bad(http, 431);
    return RDL_HTTP_MORE;
}

/* What comes after a head, which may be nothing: llhttp completes the message when asked to go
 * on. */
static enum rdl_http_event take_body(struct rdl_http *http, const char *bytes, size_t count,
                                     size_t *used)
{
    size_t room = RDL_HTTP_WIRE_MAX - http->wire_bytes;
    size_t taken = count < room ? count : room;
    llhttp_errno_t error = llhttp_execute(&http->parser, bytes, taken);

    if (error == HPE_PAUSED)
        taken = (size_t)(llhttp_get_error_pos(&http->parser) - bytes);
    *used = taken;
    if (http->message_paused) {
        if (error == HPE_PAUSED)
            llhttp_resume(&http->parser);
        return RDL_HTTP_REQUEST;
    }
    if (error != HPE_OK)
        return bad(http, status_of(http, error));
    http->wire_bytes += (uint32_t)taken;
    return http->wire_bytes >= RDL_HTTP_WIRE_MAX ? bad(http, 413) : RDL_HTTP_MORE;
}

enum rdl_http_event rdl_http_take(struct rdl_http *http, const char *bytes, size_t count,
                                  size_t *used)
{
    enum rdl_http_event event = RDL_HTTP_MORE;
    size_t at = 0, taken;

    if (http->message_paused)
        begin_request(http);
    /* A request without a body is complete when its head is, with no byte left to show for it. */
    while (event == RDL_HTTP_MORE && (at < count || http->headers_paused)) {
        if (http->phase == RDL_HTTP_BODY) {
            http->headers_paused = false;
            event = take_body(http, bytes + at, count - at, &taken);
        } else {
            event = take_head(http, bytes + at, count - at, &taken);
        }
        at += taken;
    }
    *used = at;
    return event;
}

bool rdl_http_path(const struct rdl_http *http, const char **path, size_t *path_length,
                   const char **query, size_t *query_length)
{
    bool whole = http->target_length <= sizeof http->target;
    const char *at = http->target;
    const char *end = at + (whole ? http->target_length : sizeof http->target);
    const char *mark;

    /* http://host:port/path: the form for proxies, which servers must take as well. */
    if (end - at > 7 && strncasecmp(at, "http://", 7) == 0) {
        at += 7;
        while (at < end && *at != '/' && *at != '?')
            at++;
    }
    mark = memchr(at, '?', (size_t)(end - at));
    *path = at;
    *path_length = (size_t)((mark ? mark : end) - at);
    *query = mark ? mark + 1 : NULL;
    *query_length = mark ? (size_t)(end - mark - 1) : 0;
    if (*path_length == 0 && http->target_length) {
        *path = "/";
        *path_length = 1;
    }
    return whole;
}
