/*
 * tests/soak/soak_stream.c - stamped bytes through a stream, counted.
 */
#include "tests/soak/soak.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

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
