/*
 * tests/model/litmus_tests.c - the litmus tests, by their usual names.
 *
 * x and y are 0 at first. W and R are a store and a load; what follows says how: rlx, acq, rel, sc.
 */
#include "tests/model/litmus.h"

#define W(var, v, how) rdl_atomic_store_##how(&litmus_##var, (v))
#define R(var, how)    rdl_atomic_load_##how(&litmus_##var)
#define FENCE()        rdl_atomic_fence_seq_cst()

#define r litmus_r

/* One thread of a test. */
#define THREAD(name, ...)                                                                          \
    static void name(void *arg)                                                                    \
    {                                                                                              \
        (void)arg;                                                                                 \
        __VA_ARGS__;                                                                               \
    }

#define FORBIDDEN(name, condition)                                                                 \
    static bool name(void)                                                                         \
    {                                                                                              \
        return condition;                                                                          \
    }

/* SB, store buffering: W x, R y | W y, R x. */
THREAD(sb_x_rlx, W(x, 1, relaxed); r[0] = R(y, relaxed))
THREAD(sb_y_rlx, W(y, 1, relaxed); r[1] = R(x, relaxed))
THREAD(sb_x_ra, W(x, 1, release); r[0] = R(y, acquire))
THREAD(sb_y_ra, W(y, 1, release); r[1] = R(x, acquire))
THREAD(sb_x_sc, W(x, 1, seq_cst); r[0] = R(y, seq_cst))
THREAD(sb_y_sc, W(y, 1, seq_cst); r[1] = R(x, seq_cst))
THREAD(sb_x_fence, W(x, 1, relaxed); FENCE(); r[0] = R(y, relaxed))
THREAD(sb_y_fence, W(y, 1, relaxed); FENCE(); r[1] = R(x, relaxed))
THREAD(sb_x_sc_rlx, W(x, 1, seq_cst); r[0] = R(y, relaxed))
THREAD(sb_y_sc_rlx, W(y, 1, seq_cst); r[1] = R(x, relaxed))
THREAD(sb_x_rmw, (void)rdl_atomic_exchange_seq_cst(&litmus_x, 1u); r[0] = R(y, seq_cst))
THREAD(sb_y_rmw, (void)rdl_atomic_exchange_seq_cst(&litmus_y, 1u); r[1] = R(x, seq_cst))
THREAD(sb_x_rmw_ra, (void)rdl_atomic_exchange_acq_rel(&litmus_x, 1u); r[0] = R(y, acquire))
THREAD(sb_y_rmw_ra, (void)rdl_atomic_exchange_acq_rel(&litmus_y, 1u); r[1] = R(x, acquire))
FORBIDDEN(both_zero, r[0] == 0 && r[1] == 0)

/* MP, message passing: W x, W y | R y, R x. */
THREAD(mp_w_rlx, W(x, 1, relaxed); W(y, 1, relaxed))
THREAD(mp_w_rel, W(x, 1, relaxed); W(y, 1, release))
THREAD(mp_w_fence, W(x, 1, relaxed); FENCE(); W(y, 1, relaxed))
THREAD(mp_r_rlx, r[0] = R(y, relaxed); r[1] = R(x, relaxed))
THREAD(mp_r_acq, r[0] = R(y, acquire); r[1] = R(x, relaxed))
THREAD(mp_r_fence, r[0] = R(y, relaxed); FENCE(); r[1] = R(x, relaxed))
FORBIDDEN(flag_without_data, r[0] == 1 && r[1] == 0)

/* Release sequences. The first thread releases y = 2; another adds 1, or stores. */
THREAD(rs_w, W(x, 1, relaxed); W(y, 2, release))
THREAD(rs_rmw, (void)rdl_atomic_fetch_add_relaxed(&litmus_y, 1u))
THREAD(rs_store, W(y, 1, relaxed))
THREAD(rs_w_twice, W(x, 1, relaxed); W(y, 1, release); W(y, 2, relaxed))
THREAD(rs_r, r[0] = R(y, acquire); r[1] = R(x, relaxed))
FORBIDDEN(rs_broken, r[0] >= 2 && r[1] == 0)
/* What the second store told, in C11 and in RC11 as published; C++20 took it back. */
FORBIDDEN(rs_twice, r[0] == 1 && r[1] == 0)
FORBIDDEN(rs_foreign, r[0] == 2 && r[1] == 0)

/* WRC: W x | R x, W y | R y, R x. What was read is passed on by a release. */
THREAD(w_x_rlx, W(x, 1, relaxed))
THREAD(w_y_rlx, W(y, 1, relaxed))
THREAD(w_x_rel, W(x, 1, release))
THREAD(w_y_rel, W(y, 1, release))
THREAD(w_x_sc, W(x, 1, seq_cst))
THREAD(w_y_sc, W(y, 1, seq_cst))
THREAD(wrc_rel, r[0] = R(x, relaxed); W(y, 1, release))
THREAD(wrc_rlx, r[0] = R(x, relaxed); W(y, 1, relaxed))
THREAD(wrc_r, r[1] = R(y, acquire); r[2] = R(x, relaxed))
FORBIDDEN(wrc_broken, r[0] == 1 && r[1] == 1 && r[2] == 0)

/* IRIW: W x | W y | R x, R y | R y, R x. */
THREAD(iriw_xy_acq, r[0] = R(x, acquire); r[1] = R(y, acquire))
THREAD(iriw_yx_acq, r[2] = R(y, acquire); r[3] = R(x, acquire))
THREAD(iriw_xy_sc, r[0] = R(x, seq_cst); r[1] = R(y, seq_cst))
THREAD(iriw_yx_sc, r[2] = R(y, seq_cst); r[3] = R(x, seq_cst))
THREAD(iriw_xy_fence, r[0] = R(x, relaxed); FENCE(); r[1] = R(y, relaxed))
THREAD(iriw_yx_fence, r[2] = R(y, relaxed); FENCE(); r[3] = R(x, relaxed))
FORBIDDEN(iriw_disagree, r[0] == 1 && r[1] == 0 && r[2] == 1 && r[3] == 0)

/* RWC: W x | R x, R y | W y, R x. */
THREAD(rwc_r_fence, r[0] = R(x, relaxed); FENCE(); r[1] = R(y, relaxed))
THREAD(rwc_w_fence, W(y, 1, relaxed); FENCE(); r[2] = R(x, relaxed))
THREAD(rwc_w_rlx, W(y, 1, relaxed); r[2] = R(x, relaxed))
FORBIDDEN(rwc_broken, r[0] == 1 && r[1] == 0 && r[2] == 0)

/* 2+2W: W x 1, W y 2 | W y 1, W x 2; what remains. */
THREAD(ww_xy_rlx, W(x, 1, relaxed); W(y, 2, relaxed))
THREAD(ww_yx_rlx, W(y, 1, relaxed); W(x, 2, relaxed))
THREAD(ww_xy_rel, W(x, 1, release); W(y, 2, release))
THREAD(ww_yx_rel, W(y, 1, release); W(x, 2, release))
THREAD(ww_xy_sc, W(x, 1, seq_cst); W(y, 2, seq_cst))
THREAD(ww_yx_sc, W(y, 1, seq_cst); W(x, 2, seq_cst))
THREAD(ww_xy_fence, W(x, 1, relaxed); FENCE(); W(y, 2, relaxed))
THREAD(ww_yx_fence, W(y, 1, relaxed); FENCE(); W(x, 2, relaxed))
/* Registers hold the values less 1. */
static void ww_end(void)
{
    r[0] = R(x, relaxed) - 1;
    r[1] = R(y, relaxed) - 1;
}
FORBIDDEN(ww_both_first, r[0] == 0 && r[1] == 0)

/* R: W x 1, W y 1 | W y 2, R x; what remains in y. */
THREAD(r_w_rlx, W(x, 1, relaxed); W(y, 1, relaxed))
THREAD(r_r_rlx, W(y, 2, relaxed); r[0] = R(x, relaxed))
THREAD(r_w_fence, W(x, 1, relaxed); FENCE(); W(y, 1, relaxed))
THREAD(r_r_fence, W(y, 2, relaxed); FENCE(); r[0] = R(x, relaxed))
THREAD(r_w_sc, W(x, 1, seq_cst); W(y, 1, seq_cst))
THREAD(r_r_sc, W(y, 2, seq_cst); r[0] = R(x, seq_cst))
static void r_end(void)
{
    r[1] = R(y, relaxed) - 1;
}
FORBIDDEN(r_broken, r[0] == 0 && r[1] == 1)

/* S: W x 2, W y 1 | R y, W x 1; what remains in x. */
THREAD(s_w_rlx, W(x, 2, relaxed); W(y, 1, relaxed))
THREAD(s_w_rel, W(x, 2, relaxed); W(y, 1, release))
THREAD(s_r_rlx, r[0] = R(y, relaxed); W(x, 1, relaxed))
THREAD(s_r_acq, r[0] = R(y, acquire); W(x, 1, relaxed))
static void s_end(void)
{
    r[1] = R(x, relaxed) - 1;
}
FORBIDDEN(s_broken, r[0] == 1 && r[1] == 1)

/* Coherence: two reads agree on the order of writes; a thread's own order is kept. */
THREAD(co_w, W(x, 1, relaxed); W(x, 2, relaxed))
THREAD(co_w1, W(x, 1, relaxed))
THREAD(co_w2, W(x, 2, relaxed))
THREAD(co_r01, r[0] = R(x, relaxed); r[1] = R(x, relaxed))
THREAD(co_r23, r[2] = R(x, relaxed); r[3] = R(x, relaxed))
THREAD(co_rw, r[0] = R(x, relaxed); W(x, 1, relaxed))
THREAD(co_wr, W(x, 1, relaxed); r[0] = R(x, relaxed))
static void co_end(void)
{
    r[1] = R(x, relaxed);
}
FORBIDDEN(corr_back, r[0] > r[1])
static bool corr_disagree(void)
{
    /* A value that was read never turns 0 again, and 1 and 2 follow in one order only. */
    bool back = (r[0] && !r[1]) || (r[2] && !r[3]);
    bool one_two = (r[0] == 1 && r[1] == 2) || (r[2] == 1 && r[3] == 2);
    bool two_one = (r[0] == 2 && r[1] == 1) || (r[2] == 2 && r[3] == 1);

    return back || (one_two && two_one);
}
FORBIDDEN(corw_broken, r[0] == 1 || r[1] == 0 || (r[0] == 2 && r[1] == 2))
FORBIDDEN(cowr_broken, r[0] == 0 || r[1] == 0 || (r[0] == 2 && r[1] == 1))

/* Atomicity of read-modify-writes. */
THREAD(add_0, r[0] = rdl_atomic_fetch_add_relaxed(&litmus_x, 1u))
THREAD(add_1, r[1] = rdl_atomic_fetch_add_relaxed(&litmus_x, 1u))
THREAD(cas_0, uint32_t zero = 0; r[0] = rdl_atomic_cas_relaxed(&litmus_x, &zero, 1u))
THREAD(cas_1, uint32_t zero = 0; r[1] = rdl_atomic_cas_relaxed(&litmus_x, &zero, 1u))
THREAD(swap_2, r[0] = rdl_atomic_exchange_relaxed(&litmus_x, 2u))
FORBIDDEN(add_lost, r[0] == r[1])
FORBIDDEN(cas_not_one, r[0] + r[1] != 1)
/* Either the store comes first and is read, or it comes last and remains. */
FORBIDDEN(swap_lost, !(r[0] == 1 && r[1] == 2) && !(r[0] == 0 && r[1] == 1))

/* LB, load buffering: R x, W y | R y, W x. Allowed, and out of our reach. */
THREAD(lb_x, r[0] = R(x, relaxed); W(y, 1, relaxed))
THREAD(lb_y, r[1] = R(y, relaxed); W(x, 1, relaxed))
FORBIDDEN(lb_gap, r[0] == 1 && r[1] == 1)

const char *const model_unwatched_names[] = {NULL};

/* clang-format off */
const struct litmus litmus_tests[] = {
    {"SB relaxed", {sb_x_rlx, sb_y_rlx}, NULL, {2, 2}, NULL},
    {"SB release/acquire", {sb_x_ra, sb_y_ra}, NULL, {2, 2}, NULL},
    {"SB seq_cst", {sb_x_sc, sb_y_sc}, NULL, {2, 2}, both_zero},
    {"SB fences", {sb_x_fence, sb_y_fence}, NULL, {2, 2}, both_zero},
    {"SB one fence", {sb_x_fence, sb_y_rlx}, NULL, {2, 2}, NULL},
    {"SB seq_cst stores only", {sb_x_sc_rlx, sb_y_sc_rlx}, NULL, {2, 2}, NULL},
    {"SB seq_cst and fence", {sb_x_sc, sb_y_fence}, NULL, {2, 2}, both_zero},
    {"SB rmw seq_cst", {sb_x_rmw, sb_y_rmw}, NULL, {2, 2}, both_zero},
    {"SB rmw acq_rel", {sb_x_rmw_ra, sb_y_rmw_ra}, NULL, {2, 2}, NULL},
    {"MP relaxed", {mp_w_rlx, mp_r_rlx}, NULL, {2, 2}, NULL},
    {"MP release/acquire", {mp_w_rel, mp_r_acq}, NULL, {2, 2}, flag_without_data},
    {"MP release only", {mp_w_rel, mp_r_rlx}, NULL, {2, 2}, NULL},
    {"MP acquire only", {mp_w_rlx, mp_r_acq}, NULL, {2, 2}, NULL},
    {"MP fences", {mp_w_fence, mp_r_fence}, NULL, {2, 2}, flag_without_data},
    {"MP fence and acquire", {mp_w_fence, mp_r_acq}, NULL, {2, 2}, flag_without_data},
    {"MP release and fence", {mp_w_rel, mp_r_fence}, NULL, {2, 2}, flag_without_data},
    {"MP one fence", {mp_w_rlx, mp_r_fence}, NULL, {2, 2}, NULL},
    {"release sequence: rmw", {rs_w, rs_rmw, rs_r}, NULL, {4, 2}, rs_broken},
    {"release sequence: own store", {rs_w_twice, rs_r}, NULL, {3, 2}, rs_twice},
    {"release sequence: foreign", {rs_w, rs_store, rs_r}, NULL, {3, 2}, rs_foreign},
    {"WRC release", {w_x_rlx, wrc_rel, wrc_r}, NULL, {2, 2, 2}, wrc_broken},
    {"WRC relaxed", {w_x_rlx, wrc_rlx, wrc_r}, NULL, {2, 2, 2}, NULL},
    {"IRIW acquire", {w_x_rel, w_y_rel, iriw_xy_acq, iriw_yx_acq}, NULL, {2, 2, 2, 2}, NULL},
    {"IRIW seq_cst", {w_x_sc, w_y_sc, iriw_xy_sc, iriw_yx_sc}, NULL, {2, 2, 2, 2}, iriw_disagree},
    {"IRIW seq_cst reads only", {w_x_rlx, w_y_rlx, iriw_xy_sc, iriw_yx_sc}, NULL, {2, 2, 2, 2}, NULL},
    {"IRIW fences", {w_x_rlx, w_y_rlx, iriw_xy_fence, iriw_yx_fence}, NULL, {2, 2, 2, 2}, iriw_disagree},
    {"RWC fences", {w_x_rlx, rwc_r_fence, rwc_w_fence}, NULL, {2, 2, 2}, rwc_broken},
    {"RWC one fence", {w_x_rlx, rwc_r_fence, rwc_w_rlx}, NULL, {2, 2, 2}, NULL},
    {"2+2W relaxed", {ww_xy_rlx, ww_yx_rlx}, ww_end, {2, 2}, NULL},
    {"2+2W release", {ww_xy_rel, ww_yx_rel}, ww_end, {2, 2}, NULL},
    {"2+2W seq_cst", {ww_xy_sc, ww_yx_sc}, ww_end, {2, 2}, ww_both_first},
    {"2+2W fences", {ww_xy_fence, ww_yx_fence}, ww_end, {2, 2}, ww_both_first},
    {"R relaxed", {r_w_rlx, r_r_rlx}, r_end, {2, 2}, NULL},
    {"R fences", {r_w_fence, r_r_fence}, r_end, {2, 2}, r_broken},
    {"R seq_cst", {r_w_sc, r_r_sc}, r_end, {2, 2}, r_broken},
    {"S relaxed", {s_w_rlx, s_r_rlx}, s_end, {2, 2}, NULL},
    {"S release/acquire", {s_w_rel, s_r_acq}, s_end, {2, 2}, s_broken},
    {"CoRR", {co_w, co_r01}, NULL, {3, 3}, corr_back},
    {"CoRR two readers", {co_w1, co_w2, co_r01, co_r23}, NULL, {3, 3, 3, 3}, corr_disagree},
    {"CoRW", {co_rw, co_w2}, co_end, {3, 3}, corw_broken},
    {"CoWR", {co_wr, co_w2}, co_end, {3, 3}, cowr_broken},
    {"RMW add", {add_0, add_1}, NULL, {2, 2}, add_lost},
    {"RMW cas", {cas_0, cas_1}, NULL, {2, 2}, cas_not_one},
    {"RMW exchange and store", {swap_2, co_w1}, co_end, {3, 3}, swap_lost},
    {"LB relaxed (not reached)", {lb_x, lb_y}, NULL, {2, 2}, lb_gap},
    {0},
};
/* clang-format on */

/* Known faults, and their sound twins. */

THREAD(plain_w, litmus_plain = 1; W(y, 1, relaxed))
THREAD(plain_w_rel, litmus_plain = 1; W(y, 1, release))
THREAD(plain_r, if (R(y, acquire)) r[0] = litmus_plain)
THREAD(locked, rdl_lock_acquire(&litmus_lock); litmus_plain++; rdl_lock_release(&litmus_lock))
THREAD(half_locked, rdl_lock_acquire(&litmus_lock); rdl_lock_release(&litmus_lock); litmus_plain++)
THREAD(
    try_locked, if (rdl_lock_try(&litmus_lock)) {
        litmus_plain++;
        rdl_lock_release(&litmus_lock);
    })
THREAD(waker, W(x, 1, relaxed))
THREAD(sleeper, model_sleep_while(&litmus_x, 0))
THREAD(poller, while (!R(x, relaxed)) model_yield())
/* Looks, then clears, then sleeps: a wake between the look and the clearing is lost. */
THREAD(
    loser, if (!R(x, relaxed)) {
        W(x, 0, relaxed);
        model_sleep_while(&litmus_x, 0);
    })
THREAD(spinner, while (!R(x, relaxed))(void) rdl_atomic_fetch_add_relaxed(&litmus_y, 1u))
THREAD(giver, litmus_plain = 1; model_poison(&litmus_plain, sizeof litmus_plain); W(y, 1, release))
THREAD(asserter, model_check(rdl_atomic_fetch_add_relaxed(&litmus_x, 1u) == 0))

const struct litmus_fault litmus_faults[] = {
    {"plain: relaxed flag", {plain_w, plain_r}, "data race"},
    {"plain: released flag", {plain_w_rel, plain_r}, NULL},
    {"plain: beside the lock", {locked, half_locked}, "data race"},
    {"plain: under the lock", {locked, locked, try_locked}, NULL},
    {"memory that was given back", {giver, plain_r}, "given back"},
    {"sleep: never woken", {sleeper}, "deadlock or lost wake"},
    {"sleep: wake lost", {waker, loser}, "deadlock or lost wake"},
    {"sleep: woken", {waker, sleeper, poller}, NULL},
    {"poll: for ever", {poller}, "deadlock or lost wake"},
    {"spin: for ever", {spinner}, "livelock"},
    {"check: true for one only", {asserter, asserter}, "not true"},
    {"check: true", {asserter}, NULL},
    {0},
};
