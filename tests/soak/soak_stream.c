/*
 * tests/soak/soak_stream.c - stamped bytes through a stream, counted.
 */
#include "tests/soak/soak.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

void soak_keep_alive(raddle_stream *stream)
{
    static const struct {
        int level, name, value;
    } options[] = {{IPPROTO_TCP, TCP_KEEPIDLE, 10},
                   {IPPROTO_TCP, TCP_KEEPINTVL, 5},
                   {IPPROTO_TCP, TCP_KEEPCNT, 6},
                   {SOL_SOCKET, SO_KEEPALIVE, 1}};

    for (unsigned i = 0; i < sizeof(options) / sizeof(options[0]); i++)
        EXPECT_EQ(setsockopt(raddle_stream_fd(stream), options[i].level, options[i].name,
                             &options[i].value, sizeof(options[i].value)),
                  0);
}

int soak_send(raddle_stream *stream, uint32_t id, bool down, uint32_t bytes, uint32_t *sent)
{
    uint8_t chunk[SOAK_CHUNK];
    uint32_t done = 0;
    ssize_t n = 0;

    while (done < bytes && n >= 0) {
        uint32_t wanted = bytes - done < SOAK_CHUNK ? bytes - done : SOAK_CHUNK;

        for (uint32_t i = 0; i < wanted; i++)
            chunk[i] = soak_byte(id, down, *sent + i);
        *sent += wanted; /* a write that fails may have sent a part */
        done += wanted;
        n = raddle_write_all(stream, chunk, wanted);
    }
    return n < 0 ? (int)n : 0;
}

ssize_t soak_receive(raddle_stream *stream, uint32_t id, bool down, uint32_t bytes,
                     uint32_t *received)
{
    uint8_t chunk[SOAK_CHUNK];
    uint32_t done = 0;
    ssize_t n = 1;

    while (done < bytes && n > 0) {
        n = raddle_read(stream, chunk, bytes - done < SOAK_CHUNK ? bytes - done : SOAK_CHUNK);
        for (ssize_t i = 0; i < n; i++) {
            if (chunk[i] == soak_byte(id, down, *received + (size_t)i))
                continue;
            fprintf(stderr, "connection %u, %s: byte %u is wrong\n", id, down ? "down" : "up",
                    *received + (uint32_t)i);
            _Exit(1);
        }
        if (n > 0) {
            *received += (uint32_t)n;
            done += (uint32_t)n;
            soak_count(&soak_board->bytes, (uint64_t)n);
        }
    }
    return n < 0 ? n : (ssize_t)done;
}

int soak_read(raddle_stream *stream, void *buffer, size_t bytes)
{
    size_t done = 0;

    while (done < bytes) {
        ssize_t n = raddle_read(stream, (char *)buffer + done, bytes - done);

        if (n <= 0)
            return n < 0 ? (int)n : -EPIPE;
        done += (size_t)n;
    }
    return 0;
}
