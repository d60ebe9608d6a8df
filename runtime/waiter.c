/*
 * runtime/waiter.c - how tasks and plain threads wait in one line, and are called.
 *
 * The danger. A waiter is granted something, and cancelled before it wakes: if it took the cancellation for the end
 * of its wait, what it was granted would be lost, and everybody behind it would sleep for ever. The one that is
 * woken last may destroy the queue while the one that woke it is still in it.
 *
 *     state     place is in    who ends it
 *     WAITING   waiting        who grants it, or moves it to another queue; or the waiter, if it is cancelled
 *     GRANTED   granted        who calls
 *     CALLED    no line        its wake, which is on the way
 *
 * All changes are made under the queue's lock. A task that wakes without having been called looks at its state: it
 * leaves if it is WAITING and cancelled, and otherwise goes back to sleep, shielded when nothing but the call can end
 * its wait any more. Its place in line is kept all the while.
 *
 * Calling. Who grants moves places to granted under the lock; there may be many. A batch of them is taken out, the
 * lock released, their tickets fired, and so on. In between others may grant more: calling says that somebody is at
 * it, who goes on until none is left. The lock that is released with none left is the caller's last touch of the
 * queue, and until then somebody hasn't been called who still waits. So when all waits have returned, nobody who
 * ended them looks at the queue any more.
 *
 * A ticket is fired after the lock was released. Meanwhile the waiter may wake by itself, find CALLED, and go: then
 * the ticket is stale, and loses. A thread has no ticket but a word in its frame, and doesn't go before it is set;
 * it isn't touched after that (a futex is woken by its address).
 *
 * Moving. A waiter that was moved to another queue is never moved again, and waits shielded. It learns of it under
 * the lock of the queue that it joined, which whoever moves it holds; that may be before it sleeps.
 */
#define _GNU_SOURCE
#include "runtime/waiter.h"

#include <errno.h>
#include <pthread.h>

#include "runtime/task.h"
#include "sched/loop.h"
#include "sched/planted.h"
#include "sched/sys.h"

/* How many are called between two holds of the lock. In the model one, so that several batches are ordinary. */
#ifdef RDL_MODEL
enum { BATCH = 1 };
#else
enum { BATCH = 16 };
#endif

enum state { WAITING, GRANTED, CALLED };

/* Calls one waiter: one of the two. */
struct call {
    struct rdl_ticket ticket;
    rdl_atomic(uint32_t) * awake;
};

int rdl_waiter_check(struct rdl_fiber **fiber)
{
    *fiber = rdl_fiber_self();
    if (*fiber)
        return rdl_cancel_check(*fiber);
    return rdl_loop_current() ? -EPERM : 0;
}

void rdl_waiter_join(struct rdl_waiter *w, struct rdl_queue *q, struct rdl_fiber *fiber,
                     enum rdl_park how)
{
    w->fiber = fiber;
    w->joined = q;
    w->queue = q;
    w->how = how;
    w->state = WAITING;
    w->refused = NULL;
    rdl_atomic_init(&w->awake, 0u);
    w->place.ticket = fiber ? rdl_fiber_arm(fiber, how) : (struct rdl_ticket){.wait = NULL};
    rdl_line_join(&q->waiting, &w->place);
}

static void sleep_thread(struct rdl_waiter *w)
{
    /* acquire pairs with the release in fire(): what was granted is seen. */
    while (!rdl_atomic_load_acquire(&w->awake))
        rdl_sys_futex_wait(&w->awake, 0);
}

/* In a task that woke without having been called: locks the queue in which it is now. */
static struct rdl_queue *lock_queue(struct rdl_waiter *w)
{
    struct rdl_queue *joined = w->joined, *q;

    rdl_lock_acquire(&joined->lock);
    q = w->queue;
    if (q == joined)
        return q;
    rdl_lock_release(&joined->lock);
    rdl_lock_acquire(&q->lock);
    return q;
}

bool rdl_waiter_sleep(struct rdl_waiter *w, const char *what)
{
    struct rdl_queue *q;
    int rc = 0;

    if (!w->fiber) {
        sleep_thread(w);
        return true;
    }
    /* 0 is said by who calls, and by nobody else. */
    while (rdl_fiber_park(w->fiber, w->how, what, (uint64_t)(uintptr_t)w->joined) != 0) {
        if (w->how == RDL_PARK_CANCELLABLE)
            rc = w->refused && rdl_atomic_load_relaxed(w->refused) ? -EDEADLK
                                                                   : rdl_cancel_check(w->fiber);
        q = lock_queue(w);
        if (w->state == CALLED) {
            rdl_lock_release(&q->lock);
            return !RDL_PLANTED(GRANT) || rc == 0;
        }
        if (w->state == GRANTED || q != w->joined) {
            w->how = RDL_PARK_SHIELDED;
        } else if (w->how == RDL_PARK_CANCELLABLE && rc < 0) {
            rdl_line_leave(&q->waiting, &w->place);
            return false;
        }
        w->place.ticket = rdl_fiber_arm(w->fiber, w->how);
        rdl_lock_release(&q->lock);
    }
    return true;
}

bool rdl_waiter_give_up(struct rdl_waiter *w)
{
    struct rdl_queue *q = lock_queue(w);

    if (w->state == WAITING && q == w->joined) {
        rdl_line_leave(&q->waiting, &w->place);
        if (w->fiber)
            (void)rdl_fiber_disarm(w->fiber, w->how);
        return true;
    }
    rdl_lock_release(&q->lock);
    return false;
}

/* The lock held: takes the first out of line. */
static struct rdl_waiter *take_first(struct rdl_line *line)
{
    struct rdl_waiter *w = (struct rdl_waiter *)(void *)line->first;

    (void)rdl_line_call(line);
    return w;
}

void rdl_queue_grant(struct rdl_queue *q, int result)
{
    struct rdl_waiter *w = take_first(&q->waiting);

    w->result = result;
    w->state = GRANTED;
    rdl_line_join(&q->granted, &w->place);
}

void rdl_queue_move(struct rdl_queue *from, struct rdl_queue *to)
{
    struct rdl_waiter *w = take_first(&from->waiting);

    w->queue = to;
    rdl_line_join(&to->waiting, &w->place);
}

static void fire(const struct call *call)
{
    if (!call->awake) {
        (void)rdl_fiber_fire(call->ticket, 0);
        return;
    }
    rdl_atomic_store_release(call->awake, 1u);
    rdl_sys_futex_wake(call->awake);
}

/* The lock held: takes up to BATCH out of granted. */
static unsigned take_batch(struct rdl_queue *q, struct call *calls)
{
    unsigned count = 0;

    while (q->granted.first && count < BATCH) {
        struct rdl_waiter *w = take_first(&q->granted);
        w->state = CALLED;
        calls[count].ticket = w->place.ticket;
        calls[count++].awake = w->fiber ? NULL : &w->awake;
    }
    return count;
}

void rdl_queue_call(struct rdl_queue *q)
{
    struct call calls[BATCH];
    bool more = !q->calling;

    if (!more)
        rdl_lock_release(&q->lock);
    while (more) {
        unsigned count = take_batch(q, calls);
        more = q->granted.first != NULL;
        q->calling = more;
        rdl_lock_release(&q->lock);
        for (unsigned i = 0; i < count; i++)
            fire(&calls[i]);
        if (more)
            rdl_lock_acquire(&q->lock);
    }
}

/* Owners. A plain thread's list hangs on a key, whose destructor runs when it ends. */

static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static bool has_key;

static void thread_ended(void *first)
{
    struct rdl_held *held = first;

    while (held) {
        struct rdl_held *next = held->next;
        held->abandon(held, NULL);
        held = next;
    }
}

static void make_key(void)
{
    has_key = pthread_key_create(&key, thread_ended) == 0;
}

/* A call, as compilers take pthread_self() for a constant of the function: no task gets here, but so it stays. */
static __attribute__((noinline)) uintptr_t thread_id(void)
{
    uintptr_t id = (uintptr_t)pthread_self();

    __asm__ volatile("" ::: "memory");
    return id;
}

uintptr_t rdl_owner_id(const struct rdl_fiber *fiber)
{
    /* Both are addresses of aligned things. */
    return fiber ? (uintptr_t)fiber : thread_id() | 1;
}

static struct rdl_held **task_list(struct rdl_fiber *fiber)
{
    return &((struct rdl_task *)(void *)fiber)->held;
}

static void unlink_from(struct rdl_held **at, struct rdl_held *held)
{
    while (*at != held)
        at = &(*at)->next;
    *at = held->next;
}

void rdl_held_link(struct rdl_fiber *fiber, struct rdl_held *held, const char *site,
                   void (*abandon)(struct rdl_held *, const char *who))
{
    held->abandon = abandon;
    rdl_atomic_store_relaxed(&held->site, site);
    if (fiber) {
        held->next = *task_list(fiber);
        *task_list(fiber) = held;
        return;
    }
    (void)pthread_once(&key_once, make_key);
    if (!has_key)
        return; /* then nobody learns that this thread has ended */
    held->next = pthread_getspecific(key);
    (void)pthread_setspecific(key, held);
}

void rdl_held_unlink(struct rdl_fiber *fiber, struct rdl_held *held)
{
    struct rdl_held *first;

    if (fiber) {
        unlink_from(task_list(fiber), held);
    } else if (has_key) {
        first = pthread_getspecific(key);
        unlink_from(&first, held);
        (void)pthread_setspecific(key, first);
    }
}
