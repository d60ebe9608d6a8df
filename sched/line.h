/*
 * sched/line.h - tasks that stand in line for something: first come, first served.
 *
 * The place in line lies in the waiting task's frame, and the line in whatever it waits for, under that
 * thing's lock. Who serves takes the first out under the lock, copies its ticket, releases the lock, and then
 * fires: once it is out of the line its frame may go away. Who gives up takes itself out under the same lock,
 * if it still is in line.
 */
#ifndef RDL_SCHED_LINE_H
#define RDL_SCHED_LINE_H

#include <stdbool.h>
#include <stddef.h>

#include "sched/wait.h"

struct rdl_place {
    struct rdl_place *next;
    struct rdl_ticket ticket;
    bool in_line;
};

/* Zeroed is empty. */
struct rdl_line {
    struct rdl_place *first, *last;
};

static inline void rdl_line_join(struct rdl_line *line, struct rdl_place *place)
{
    place->next = NULL;
    place->in_line = true;
    if (line->first)
        line->last->next = place;
    else
        line->first = place;
    line->last = place;
}

/* Before all others: for who was called, and found that somebody had been quicker. */
static inline void rdl_line_join_first(struct rdl_line *line, struct rdl_place *place)
{
    place->next = line->first;
    place->in_line = true;
    if (!line->first)
        line->last = place;
    line->first = place;
}

/* The ticket of the first, who is out of the line now; its wait is NULL when there is nobody. */
static inline struct rdl_ticket rdl_line_call(struct rdl_line *line)
{
    struct rdl_place *place = line->first;

    if (!place)
        return (struct rdl_ticket){.wait = NULL};
    line->first = place->next;
    place->in_line = false;
    return place->ticket;
}

/* Does nothing for who is not in line. */
static inline void rdl_line_leave(struct rdl_line *line, struct rdl_place *place)
{
    struct rdl_place *before = NULL, *p;

    if (!place->in_line)
        return;
    for (p = line->first; p != place; p = p->next)
        before = p;
    if (before)
        before->next = place->next;
    else
        line->first = place->next;
    if (!place->next)
        line->last = before;
    place->in_line = false;
}

#endif
