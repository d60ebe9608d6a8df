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
    struct rdl_place *next, *prev; /* valid while in_line */
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
    place->prev = line->last;
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
    place->prev = NULL;
    place->in_line = true;
    if (line->first)
        line->first->prev = place;
    else
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
    if (line->first)
        line->first->prev = NULL;
    else
        line->last = NULL;
    place->in_line = false;
    return place->ticket;
}

/* Does nothing for who is not in line. The same work wherever the place is: a search would make a hundred thousand
 * tasks that are cancelled at once, the last one first, look at five billion frames. */
static inline void rdl_line_leave(struct rdl_line *line, struct rdl_place *place)
{
    if (!place->in_line)
        return;
    if (place->prev)
        place->prev->next = place->next;
    else
        line->first = place->next;
    if (place->next)
        place->next->prev = place->prev;
    else
        line->last = place->prev;
    place->in_line = false;
}

#endif
