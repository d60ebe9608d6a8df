/*
 * sched/planted.h - bugs that are planted on purpose, one to a build, to see that a gate catches them.
 *
 * -DRADDLE_PLANT=NAME gives RDL_PLANT to the one file that has the bug (tools/cmake/RaddlePlant.cmake); in every
 * other build RDL_PLANTED() is a constant 0. tests/plants.sh names the gate of each.
 */
#ifndef RDL_SCHED_PLANTED_H
#define RDL_SCHED_PLANTED_H

enum rdl_plant {
    RDL_PLANT_NONE,
    RDL_PLANT_FENCE,     /* deque.c: take without its fence */
    RDL_PLANT_WAKE,      /* rest.c: sleeps without a second look */
    RDL_PLANT_LEAK,      /* task.c: a spawn that finds no memory keeps its stack */
    RDL_PLANT_JUMP,      /* guard.c: a guard of one page, which a frame jumps over */
    RDL_PLANT_REUSE,     /* fiber.c: goes on before its operation has been reaped */
    RDL_PLANT_SHORT,     /* stream.c: takes a part that was sent for all */
    RDL_PLANT_INTERRUPT, /* op.c: hands an interruption on */
    RDL_PLANT_CLOEXEC,   /* sys.c: accepts without CLOEXEC */
    RDL_PLANT_ERRNO,     /* fiber.c: keeps the address of errno over a suspension */
    RDL_PLANT_ACCEPT,    /* op.c: a cancel that comes late drops the connection */
    RDL_PLANT_POKE,  /* wait.c: who completes leaves the wake to a cancel that a shield holds off */
    RDL_PLANT_GRANT, /* waiter.c: what is granted to one who is just being cancelled is lost */
};

#ifndef RDL_PLANT
#define RDL_PLANT NONE
#endif

#define RDL_PLANT_PASTE(name) RDL_PLANT_##name
#define RDL_PLANT_OF(name)    RDL_PLANT_PASTE(name)
#define RDL_PLANTED(name)     (RDL_PLANT_OF(RDL_PLANT) == RDL_PLANT_##name)

#endif
