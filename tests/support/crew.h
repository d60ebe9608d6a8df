/*
 * tests/support/crew.h - a few tasks that wait for the same thing, each added when the one before it waits.
 *
 * What a member came to is in its rc when the crew has closed, and in order the numbers of those that
 * got what they waited for, as they got it.
 */
#ifndef TESTS_SUPPORT_CREW_H
#define TESTS_SUPPORT_CREW_H

#include <string.h>

#include "tests/support/runtime.h"

enum { CREW_MAX = 64 };

struct crew;

struct member {
    struct crew *crew;
    raddle_task *task;
    int (*body)(struct member *);
    unsigned number;
    size_t wants;
    int rc; /* what body returned; 1000 before */
};

struct crew {
    void *thing;      /* what they wait for */
    const char *what; /* what a dump calls that */
    struct raddle_group group;
    struct member members[CREW_MAX];
    unsigned count;
    rdl_atomic(unsigned) served;
    unsigned order[CREW_MAX];
    rdl_atomic(unsigned) go; /* for bodies that are to be told when to go on */
};

static inline void crew_open(struct crew *crew, void *thing, const char *what)
{
    memset(crew, 0, sizeof(*crew));
    crew->thing = thing;
    crew->what = what;
    EXPECT_EQ(
        raddle_group_open(&crew->group, &(struct raddle_group_options){.mode = RADDLE_COLLECT}), 0);
}

/* By a member that has got it. */
static inline void crew_note(struct member *member)
{
    unsigned at = rdl_atomic_fetch_add_acq_rel(&member->crew->served, 1u);

    member->crew->order[at] = member->number;
}

static inline int crew_member(void *arg)
{
    struct member *member = arg;

    return member->rc = member->body(member);
}

/* Starts one more. waits: until it waits for the thing. */
static inline struct member *crew_add(struct crew *crew, int (*body)(struct member *), size_t wants,
                                      bool waits)
{
    struct member *member = &crew->members[crew->count];

    *member = (struct member){
        .crew = crew, .body = body, .number = crew->count++, .wants = wants, .rc = 1000};
    EXPECT_EQ(raddle_spawn(&crew->group, &member->task, crew_member, member, NULL), 0);
    if (waits)
        test_let_park_for(member->task, crew->what);
    return member;
}

static inline void crew_cancel(struct member *member)
{
    EXPECT_EQ(raddle_task_cancel(member->task, "no more"), 0);
}

/* Waits for it alone, and tells what it came to. */
static inline int crew_join(struct member *member)
{
    EXPECT_EQ(raddle_join(member->task, NULL), 0);
    return member->rc;
}

static inline void crew_close(struct crew *crew)
{
    (void)!raddle_group_close(&crew->group, 0);
    for (unsigned i = 0; i < crew->count; i++)
        raddle_task_unref(crew->members[i].task);
}

#endif
