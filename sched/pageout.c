/*
 * sched/pageout.c - copies stacks aside and back.
 *
 * A copy is a bitmap with one bit for each word from the stack pointer to the top, and the words that are not zero:
 * about half of them are, in frames that wait.
 */
#define _GNU_SOURCE
#include "sched/pageout.h"

#include <assert.h>
#include <string.h>

#include "sched/annotate.h"
#include "sched/fiber.h"
#include "sched/loop.h"
#include "sched/stack.h"
#include "sched/sys.h"

enum {
    AT_ONCE = 128, /* each takes some microseconds */
    WORD_BITS = 64,
    MOST_WORDS = 256 * (int)RDL_STACK_SCALE,      /* a copy with more of them isn't worth it */
    MOST_LOOKED_AT = 2048 * (int)RDL_STACK_SCALE, /* words: what lies deeper stays */
};

int64_t rdl_paging_after_ns = INT64_C(1000000000);

struct rdl_saved_stack {
    size_t count;     /* of words on the stack */
    size_t bytes;     /* of all of this */
    uint64_t words[]; /* first the bitmap */
};

static size_t bitmap_words(size_t count)
{
    return (count + WORD_BITS - 1) / WORD_BITS;
}

/* What of a stack is in use, as words. */
struct used {
    uint64_t *words;
    size_t count;
    size_t hole, hole_end; /* words that are not needed */
};

/* count 0: it doesn't stand on its stack. */
static struct used used_of(const struct rdl_paging *paging)
{
    const struct rdl_fiber *fiber = paging->fiber;
    uintptr_t sp = (uintptr_t)fiber->co.sp, top = (uintptr_t)fiber->stack->top;
    uintptr_t hole = (uintptr_t)paging->hole, hole_end = (uintptr_t)paging->hole_end;
    struct used u = {.words = fiber->co.sp};

    if (sp < (uintptr_t)fiber->stack->low || sp >= top || sp % sizeof(uint64_t))
        return u;
    u.count = (top - sp) / sizeof(uint64_t);
    if (hole >= sp && hole <= hole_end && hole_end <= top) {
        u.hole = (hole - sp + sizeof(uint64_t) - 1) / sizeof(uint64_t);
        u.hole_end = (hole_end - sp) / sizeof(uint64_t);
    }
    return u;
}

/* How many words are not zero, at most one more than limit; and with saved these words, if they are no more. Frames are
 * read and written as they are, whatever a sanitizer knows of them. */
static RDL_RAW size_t copy_out(const struct used *u, size_t limit, struct rdl_saved_stack *saved)
{
    uint64_t *words = saved ? saved->words + bitmap_words(u->count) : NULL;
    size_t full = 0;

    for (size_t i = 0; i < u->count && full <= limit; i++) {
        uint64_t word;

        if (i == u->hole && u->hole < u->hole_end) {
            i = u->hole_end - 1;
            continue;
        }
        word = u->words[i];
        if (!word)
            continue;
        if (saved && full < limit) {
            saved->words[i / WORD_BITS] |= UINT64_C(1) << i % WORD_BITS;
            words[full] = word;
        }
        full++;
    }
    return full;
}

static RDL_RAW void copy_in(const struct used *u, const struct rdl_saved_stack *saved)
{
    size_t from = bitmap_words(saved->count);

    for (size_t block = 0; block < bitmap_words(saved->count); block++)
        for (uint64_t bits = saved->words[block]; bits; bits &= bits - 1) {
            size_t i = block * WORD_BITS + (size_t)__builtin_ctzll(bits);
            u->words[i] = saved->words[from++];
        }
}

/* What was on a stack isn't left on the heap. */
static void free_saved(struct rdl_saved_stack *saved)
{
    explicit_bzero(saved, saved->bytes);
    rdl_sys_free(saved);
}

static void leave_line(struct rdl_pager *pager, struct rdl_paging *paging)
{
    if (paging->prev)
        paging->prev->next = paging->next;
    else
        pager->first = paging->next;
    if (paging->next)
        paging->next->prev = paging->prev;
    else
        pager->last = paging->prev;
    paging->in_line = false;
}

static void set_due(struct rdl_pager *pager)
{
    pager->due_ns = pager->first ? pager->first->since_ns + rdl_paging_after_ns : INT64_MAX;
}

/* Not when it is to be woken soon after its stack would go. */
void rdl_paging_wait(struct rdl_loop *loop, struct rdl_paging *paging)
{
    struct rdl_pager *pager = &loop->pager;
    int64_t now_ns = rdl_loop_now(loop);

    assert(!paging->in_line && !paging->saved);
    if (paging->refused || paging->fiber->nearest_ns - now_ns < 2 * rdl_paging_after_ns)
        return;
    paging->since_ns = now_ns;
    paging->in_line = true;
    paging->next = NULL;
    paging->prev = pager->last;
    if (pager->last)
        pager->last->next = paging;
    else
        pager->first = paging;
    pager->last = paging;
    if (!paging->prev)
        set_due(pager);
}

void rdl_paging_end(struct rdl_loop *loop, struct rdl_paging *paging)
{
    struct rdl_stack *stack = paging->fiber->stack;
    struct used u;

    if (paging->in_line) { /* due_ns stays: it is looked at then */
        leave_line(&loop->pager, paging);
        return;
    }
    if (!paging->saved)
        return;
    u = used_of(paging);
    stack->touched = true;
    stack->dirty = true;
    copy_in(&u, paging->saved);
    free_saved(paging->saved);
    paging->saved = NULL;
    (void)rdl_atomic_fetch_add_acq_rel(&paging->phase, 1u);
    rdl_atomic_store_relaxed(&loop->counters.paged_out,
                             rdl_atomic_load_relaxed(&loop->counters.paged_out) - 1);
}

/* A copy, or NULL: there is too much of it, or no memory. */
static struct rdl_saved_stack *save(const struct used *u)
{
    struct rdl_saved_stack *saved;
    size_t full, bytes;

    if (!u->count || u->count - (u->hole_end - u->hole) > MOST_LOOKED_AT)
        return NULL;
    RDL_MEM_WRITTEN(u->words, u->count * sizeof(uint64_t));
    full = copy_out(u, MOST_WORDS, NULL);
    if (full > MOST_WORDS)
        return NULL;
    bytes = sizeof(*saved) + (bitmap_words(u->count) + full) * sizeof(uint64_t);
    saved = rdl_sys_calloc(1, bytes);
    if (!saved)
        return NULL;
    saved->count = u->count;
    saved->bytes = bytes;
    if (copy_out(u, full, saved) == full)
        return saved;
    free_saved(saved); /* somebody writes to it who shouldn't */
    return NULL;
}

static void page_out(struct rdl_loop *loop, struct rdl_paging *paging)
{
    struct used u = used_of(paging);
    struct rdl_saved_stack *saved = save(&u);

    if (!saved)
        return;
    (void)rdl_atomic_fetch_add_acq_rel(&paging->phase, 1u);
    if (!rdl_stack_give_back(paging->fiber->stack)) { /* locked memory */
        (void)rdl_atomic_fetch_add_acq_rel(&paging->phase, 1u);
        paging->refused = true;
        free_saved(saved);
        return;
    }
    paging->saved = saved;
    rdl_atomic_store_relaxed(&loop->counters.paged_out,
                             rdl_atomic_load_relaxed(&loop->counters.paged_out) + 1);
    rdl_count(&loop->counters.page_outs);
}

bool rdl_paging_is_in(const struct rdl_paging *paging, uint32_t *phase)
{
    *phase = rdl_atomic_load_acquire(&paging->phase);
    return *phase % 2 == 0;
}

/* As rdl_wait_still_is(): the release keeps what was read before it. */
bool rdl_paging_still_in(struct rdl_paging *paging, uint32_t phase)
{
    return rdl_atomic_cas_acq_rel(&paging->phase, &phase, phase);
}

void rdl_pager_work(struct rdl_loop *loop)
{
    struct rdl_pager *pager = &loop->pager;
    int64_t since_ns = loop->now_ns - rdl_paging_after_ns;

    for (int i = 0; i < AT_ONCE && pager->first && pager->first->since_ns <= since_ns; i++) {
        struct rdl_paging *paging = pager->first;

        leave_line(pager, paging);
        page_out(loop, paging);
    }
    set_due(pager);
}
