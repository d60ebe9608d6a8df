/*
 * raddle/doctor.h - what `raddle doctor` found: lines for people, numbers for programs.
 */
#ifndef RDL_TOOLS_DOCTOR_H
#define RDL_TOOLS_DOCTOR_H

#include <stdint.h>

enum rdl_finding_state { RDL_FINDING_OK, RDL_FINDING_NOTE, RDL_FINDING_WARNING };

struct rdl_finding {
    const char *name;
    enum rdl_finding_state state;
    char value[320];
    char advice[320]; /* what to do; empty: nothing */
};

struct rdl_fact {
    const char *name;
    int64_t value;
};

enum { RDL_FINDINGS_MAX = 32, RDL_FACTS_MAX = 64 };

struct rdl_doctor {
    unsigned findings, facts;
    struct rdl_finding finding[RDL_FINDINGS_MAX];
    struct rdl_fact fact[RDL_FACTS_MAX];
    const char *driver; /* what a loop gets */
    unsigned loops;     /* of a run without --loops */
};

/* Looks at everything. */
void rdl_doctor_examine(struct rdl_doctor *doctor);

#endif
