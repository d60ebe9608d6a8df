/*
 * io/uring_none.c - what stands in for io/uring.c and io/uring_probe.c in a build without liburing.
 */
#include <errno.h>

#include "io/driver.h"

int rdl_uring_create(struct rdl_driver **out)
{
    (void)out;
    return -ENOSYS;
}

int rdl_uring_probe(struct rdl_uring_facts *out)
{
    if (out)
        *out = (struct rdl_uring_facts){.error = -ENOSYS, .denied = "built without liburing"};
    return -ENOSYS;
}
