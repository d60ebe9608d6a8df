/*
 * runtime/future.h - futures, for those who wait for several things at once.
 */
#ifndef RDL_RUNTIME_FUTURE_H
#define RDL_RUNTIME_FUTURE_H

#include <raddle/future.h>

#include "sched/turn.h"

/* In line with a choice, or false: it is done. And out of the line, if it is in it. */
bool rdl_future_join_choice(raddle_future *future, struct rdl_turn *turn, struct rdl_ticket ticket,
                            struct rdl_choice *choice);
void rdl_future_leave(raddle_future *future, struct rdl_turn *turn);

#endif
