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

/* Some that nobody has borrowed go back to the system, if there are many. For a connection that has become idle or is
 * closed. */
void rdl_buffers_shed(void);

/* Frees those that nobody has borrowed. */
void rdl_buffers_trim(void);

#endif
