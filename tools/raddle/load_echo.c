/*
 * raddle/load_echo.c - `raddle load echo`: sends messages and compares what comes back.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/raddle/load.h"

/* No more than this is on its way at once: a server that sends back what it gets stops reading when
 * nobody reads from it. */
enum { WINDOW = 64 * 1024 };

struct echo_client {
    struct rdl_client client;
    uint64_t sequence;
    char *sent, *received; /* a batch each */
};

static int init(struct rdl_client *client)
{
    struct echo_client *echo = (struct echo_client *)client;
    size_t bytes = client->load->size * client->load->pipeline;
    uint64_t random = 0x9e3779b97f4a7c15 * (client->index + 1);

    echo->sent = malloc(bytes);
    echo->received = malloc(bytes);
    if (!echo->sent || !echo->received)
        return -ENOMEM;
    for (size_t i = 0; i < bytes; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        echo->sent[i] = (char)random;
    }
    return 0;
}

static void fini(struct rdl_client *client)
{
    struct echo_client *echo = (struct echo_client *)client;

    free(echo->sent);
    free(echo->received);
}

static void connected(struct rdl_client *client)
{
    (void)client;
}

static int exchange(struct rdl_client *client)
{
    struct echo_client *echo = (struct echo_client *)client;
    size_t size = client->load->size, total = size * client->load->pipeline;
    size_t sent = 0, received = 0, compared = 0;

    /* Each batch differs from the one before, in every message. */
    echo->sequence++;
    for (size_t at = 0; at < total; at += size)
        memcpy(echo->sent + at, &echo->sequence, size < 8 ? size : 8);

    while (received < total) {
        ssize_t n;

        if (sent < total && sent - received < WINDOW) {
            size_t count = WINDOW - (sent - received);

            if (count > total - sent)
                count = total - sent;
            n = rdl_client_write(client, echo->sent + sent, count);
            if (n < 0)
                return (int)n;
            sent += count;
        }
        n = rdl_client_read(client, echo->received + received, sent - received);
        if (n < 0)
            return (int)n;
        if (n == 0) {
            rdl_client_failed(client, RDL_LOAD_CLOSED);
            return -EPIPE;
        }
        received += (size_t)n;
        for (; received - compared >= size; compared += size) {
            if (memcmp(echo->sent + compared, echo->received + compared, size) != 0) {
                rdl_client_failed(client, RDL_LOAD_MISMATCH);
                return -EBADMSG;
            }
            rdl_client_answered(client, size);
        }
    }
    return 0;
}

const struct rdl_load_protocol rdl_load_echo = {
    .name = "echo",
    .client_bytes = sizeof(struct echo_client),
    .init = init,
    .connected = connected,
    .exchange = exchange,
    .fini = fini,
};
