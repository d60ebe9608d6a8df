/*
 * raddle/buffers.h - buffers of 16 KiB that connections borrow while they have something to do.
 */
#ifndef RDL_TOOLS_BUFFERS_H
#define RDL_TOOLS_BUFFERS_H

enum { RDL_BUFFER_BYTES = 16 * 1024 };

/* NULL when there is no memory. Any thread. */
char *rdl_buffer_get(void);

/* Takes NULL. */
void rdl_buffer_put(char *buffer);

/* Frees those that nobody has borrowed. */
void rdl_buffers_trim(void);

#endif
