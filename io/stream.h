/*
 * io/stream.h - what our own files know of a raddle_stream beyond <raddle/stream.h>.
 */
#ifndef RDL_IO_STREAM_H
#define RDL_IO_STREAM_H

#include <raddle/stream.h>

/* A stream of a connection that a listener has just accepted, which is known to be good. 0 or
 * -ENOMEM, with fd still the caller's. Any thread. */
int rdl_stream_accepted(int fd, raddle_stream **out);

#endif
