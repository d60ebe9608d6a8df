/*
 * tests/soak/soak_server.c - the server of the soak: checks what comes up, sends what is asked for down, both at the
 * same time, and says at the end how much came.
 */
#include "tests/soak/soak.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct down {
    raddle_stream *stream;
    const struct soak_header *header;
    struct soak_record *record;
};

static int send_down(void *arg)
{
    struct down *d = arg;

    return soak_send(d->stream, d->header->id, true, d->header->down, &d->record->down_sent);
}

/* Both ways. 0, or how it broke: then whichever way still works is cut, too. */
static int exchange(raddle_stream *stream, const struct soak_header *header,
                    struct soak_record *record)
{
    struct down down = {stream, header, record};
    struct raddle_group g;
    int rc = raddle_group_open(&g, NULL);

    if (rc == 0)
        rc = raddle_spawn(&g, NULL, send_down, &down, NULL);
    if (rc == 0)
        rc = (int)soak_receive(stream, header->id, false, UINT32_MAX, &record->up_received);
    rc = raddle_group_close(&g, rc);
    return rc < 0 ? rc : 0;
}

static int read_header(raddle_stream *stream, struct soak_header *header)
{
    struct raddle_scope limit;
    int rc;

    raddle_scope_enter(&limit, raddle_in(RADDLE_S(SOAK_HEADER_S)), 0);
    rc = raddle_scope_leave(&limit, soak_read(stream, header, sizeof(*header)));
    if (rc == 0 && (header->magic != SOAK_MAGIC || header->id >= SOAK_RECORDS))
        rc = -EPROTO;
    EXPECT(rc != -EPROTO);
    return rc;
}

static void serve_one(raddle_stream *stream)
{
    struct soak_header header;
    struct soak_trailer trailer = {.magic = SOAK_MAGIC};
    struct soak_record *record;
    int rc = read_header(stream, &header);

    if (rc < 0)
        return; /* it has no record: the client says who was late */
    record = &soak_board->records[header.id];
    rc = exchange(stream, &header, record);
    trailer.id = header.id;
    trailer.received = record->up_received;
    if (rc == 0 && raddle_write_all(stream, &trailer, sizeof(trailer)) < 0)
        rc = -EPIPE;
    record->server =
        (uint8_t)(rc == 0 && record->up_received == header.up ? SOAK_WHOLE : SOAK_BROKEN);
}

static int handle(void *arg)
{
    soak_keep_alive(arg);
    serve_one(arg);
    (void)raddle_stream_close(arg);
    soak_count(&soak_board->served, 1);
    return 0;
}

static void on_listening(const char *address, void *context)
{
    (void)context;
    (void)snprintf(soak_board->address, sizeof(soak_board->address), "%s", address);
    rdl_atomic_store_release(&soak_board->listening, 1u);
}

static int serve(void *address)
{
    return raddle_serve(address, handle,
                        &(struct raddle_serve_options){.on_listening = on_listening});
}

/* Being out of descriptors is reported, and wanted here. */
static void on_report(const char *line, void *arg)
{
    (void)arg;
    if (!strstr(line, "Too many open files"))
        fprintf(stderr, "server: %s\n", line);
    soak_count(&soak_board->reports, 1);
}

int soak_server(const char *address)
{
    struct raddle_run_options options = {.loops = soak_loops, .flags = RADDLE_RUN_SIGQUIT};
    struct test_footprint before;
    char copy[64];

    (void)snprintf(copy, sizeof(copy), "%s", address);
    raddle_on_report(on_report, NULL);
    if (test_run_on(1, test_nothing, NULL) != 0)
        return 1;
    before = test_footprint();
    EXPECT_EQ(raddle_run(serve, copy, &options), -ECANCELED);
    test_same_footprint(&before);
    return test_result();
}
