/*
 * io/sim_options.h - what a world is made with, and how that is written.
 */
#ifndef RDL_IO_SIM_OPTIONS_H
#define RDL_IO_SIM_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rdl_sim_options {
    uint64_t seed;
    bool seeded;        /* the name said which */
    int64_t latency_ns; /* of the network, at most */
    unsigned shorts;    /* percent of reads and writes that move less than they could */
    unsigned losses;    /* percent of what is sent that has to be sent again, and comes late */
    unsigned resets;    /* percent of connections that are reset some time */
};

enum { RDL_SIM_NAME = 128 }; /* room for a name */

/* Is this the name of a simulated driver, good or bad? "sim", or "sim:" with options. */
bool rdl_sim_is_name(const char *name);

/* "sim", or "sim:" and a list of KEY=VALUE with commas between. 0, or -EINVAL. */
int rdl_sim_parse(const char *name, struct rdl_sim_options *out);

/* The name of these options, which tells all that isn't the default. */
void rdl_sim_format(const struct rdl_sim_options *options, char *out, size_t size);

#endif
