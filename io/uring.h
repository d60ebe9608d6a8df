/*
 * io/uring.h - making a ring as this kernel allows it: between the probe and the driver.
 */
#ifndef RDL_IO_URING_H
#define RDL_IO_URING_H

#include <liburing.h>

#include "io/driver.h"

/*
 * Makes a ring, disabled, with the flags that facts names and the sizes that memory allows: facts'
 * or smaller, which are put in facts. Its memory is not inherited by a fork. 0 or -errno.
 */
int rdl_uring_open(struct rdl_uring_facts *facts, struct io_uring *ring);

/* Makes it usable, by the calling thread alone if the flags say so. 0 or -errno. */
int rdl_uring_enable(struct io_uring *ring);

#endif
