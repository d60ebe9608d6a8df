/*
 * raddle/run_options.h - the options of commands that run loops, and how they are run with them.
 */
#ifndef RDL_TOOLS_RUN_OPTIONS_H
#define RDL_TOOLS_RUN_OPTIONS_H

#include <argp.h>
#include <stdint.h>

#include <raddle.h>

struct rdl_run_options {
    unsigned loops;     /* 0: one per CPU that is allowed */
    const char *driver; /* NULL: what RADDLE_POLICY says and the kernel allows */
    enum raddle_mobility mobility;
    unsigned threads; /* of the executor; 0: its default */
    int nice;
    int64_t slow_ns;
};

/* Two children for argp: loops and policy only; all of it. Their input is a struct
 * rdl_run_options. */
extern const struct argp rdl_run_argp_short;
extern const struct argp rdl_run_argp;

/*
 * Runs fn(arg) as the main task. flags: of enum raddle_run_flags. Returns the command's exit
 * status: 0 when fn returned 0 or more; otherwise 1, and says why unless fn ran (then saying it is
 * fn's affair).
 */
int rdl_run(const struct rdl_run_options *options, unsigned flags, raddle_task_fn *fn, void *arg);

/* Allows as many descriptors as the hard limit does. */
void rdl_raise_descriptors(void);

#endif
