/*
 * raddle/load_http.c - `raddle load http`: GET requests, many at once if asked to.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <llhttp.h>

#include "tools/raddle/load.h"

enum { READ_BYTES = 16 * 1024, REQUEST_MAX = 16 * 1024 };

struct http_client {
    struct rdl_client client;
    char *requests; /* a batch */
    size_t request_bytes;
    char *buffer;
    llhttp_t parser;
    size_t body_bytes;
    bool last; /* the server closes after this answer */
};

static int on_body(llhttp_t *parser, const char *at, size_t length)
{
    struct http_client *http = parser->data;

    (void)at;
    http->body_bytes += length;
    return 0;
}

static int on_message_complete(llhttp_t *parser)
{
    struct http_client *http = parser->data;
    struct rdl_client *client = &http->client;

    if (parser->status_code < 200)
        return 0;
    http->last = !llhttp_should_keep_alive(parser);
    /* More answers than requests. */
    if (client->answered == client->load->pipeline)
        return HPE_USER;
    rdl_client_answered(client, http->body_bytes);
    http->body_bytes = 0;
    if (parser->status_code > 299)
        rdl_client_failed(client, RDL_LOAD_STATUS);
    return http->last ? HPE_PAUSED : 0;
}

static const llhttp_settings_t settings = {
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

static int init(struct rdl_client *client)
{
    struct http_client *http = (struct http_client *)client;
    const struct rdl_load *load = client->load;
    char request[REQUEST_MAX];
    int length = snprintf(request, sizeof request,
                          "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: raddle\r\n\r\n", load->path,
                          load->host);

    if (length < 0 || length >= (int)sizeof request)
        return -ENAMETOOLONG;
    http->request_bytes = (size_t)length * load->pipeline;
    http->requests = malloc(http->request_bytes);
    http->buffer = malloc(READ_BYTES);
    if (!http->requests || !http->buffer)
        return -ENOMEM;
    for (size_t i = 0; i < load->pipeline; i++)
        memcpy(http->requests + i * (size_t)length, request, (size_t)length);
    return 0;
}

static void fini(struct rdl_client *client)
{
    struct http_client *http = (struct http_client *)client;

    free(http->requests);
    free(http->buffer);
}

static void connected(struct rdl_client *client)
{
    struct http_client *http = (struct http_client *)client;

    llhttp_init(&http->parser, HTTP_RESPONSE, &settings);
    http->parser.data = http;
    http->body_bytes = 0;
    http->last = false;
}

static int exchange(struct rdl_client *client)
{
    struct http_client *http = (struct http_client *)client;
    int rc = rdl_client_write(client, http->requests, http->request_bytes);

    while (rc == 0 && !http->last && client->answered < client->load->pipeline) {
        ssize_t n = rdl_client_read(client, http->buffer, READ_BYTES);
        llhttp_errno_t error;

        if (n < 0)
            return (int)n;
        /* The end of the stream may be the end of an answer. */
        error = n ? llhttp_execute(&http->parser, http->buffer, (size_t)n)
                  : llhttp_finish(&http->parser);
        if (n == 0 && !http->last) {
            rdl_client_failed(client, RDL_LOAD_CLOSED);
            return -EPIPE;
        }
        if (error != HPE_OK && !(error == HPE_PAUSED && http->last)) {
            rdl_client_failed(client, RDL_LOAD_PROTOCOL);
            return -EBADMSG;
        }
    }
    if (rc < 0)
        return rc;
    return http->last ? 1 : 0;
}

const struct rdl_load_protocol rdl_load_http = {
    .name = "http",
    .client_bytes = sizeof(struct http_client),
    .init = init,
    .connected = connected,
    .exchange = exchange,
    .fini = fini,
};
