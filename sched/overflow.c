/*
 * sched/overflow.c - the handler of SIGSEGV and SIGBUS that recognizes a stack's guard.
 *
 * A fault is an overflow if its address, or the stack pointer, lies in the guard of a stack.
 * Everything else, and a signal that somebody sent, goes to the previous handler at once, with its
 * own arguments.
 *
 * After a report the previous action is put back and the handler returns: the instruction faults
 * again, and the process ends as it would have, in the previous handler or with a core of the right
 * thread.
 *
 * What is certain comes first, and the backtrace last: unwinding may meet a broken frame and fault,
 * which ends the process at once, since the signal is blocked. The unwinder allocates and takes
 * locks when it is used for the first time; rdl_overflow_install() is the first time.
 */
#define _GNU_SOURCE
#include "sched/overflow.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>

#include "sched/lock.h"
#include "sched/sys.h"

enum {
    SIGNAL_STACK_BYTES = 64 * 1024 * (int)RDL_STACK_SCALE,
    SIGNAL_GUARD_BYTES = 64 * 1024,
    SIGNAL_STACK_LEAST = 32 * 1024, /* an existing one that is smaller is replaced */
    FRAMES_FIRST = 24,              /* shown of a backtrace */
    FRAMES_LAST = 8,
    FRAMES_MAX = 200000, /* counted */
};

static struct rdl_lock lock; /* installing */
static bool installed;
static struct sigaction previous_segv; /* written once, before the handler is there */
static struct sigaction previous_bus;
static rdl_atomic(rdl_overflow_describe_fn *) describer;
static rdl_atomic(bool) reporting;

/* --- text, without stdio --- */

struct text {
    char bytes[256];
    size_t length;
};

static void add(struct text *text, const char *string)
{
    while (*string && text->length < sizeof text->bytes)
        text->bytes[text->length++] = *string++;
}

static void add_number(struct text *text, uintptr_t value, unsigned base)
{
    char digits[24];
    size_t i = sizeof digits - 1;

    digits[i] = '\0';
    do {
        digits[--i] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    add(text, &digits[i]);
}

static void add_pointer(struct text *text, uintptr_t value)
{
    add(text, "0x");
    add_number(text, value, 16);
}

static void put(struct text *text)
{
    size_t done = 0;

    while (done < text->length) {
        ssize_t n = write(STDERR_FILENO, text->bytes + done, text->length - done);

        if (n < 0 && errno != EINTR)
            break;
        done += n > 0 ? (size_t)n : 0;
    }
    text->length = 0;
}

/* --- the backtrace --- */

struct walk {
    const struct rdl_stack *stack;
    bool on_stack; /* past the handler's own frames */
    size_t count;
    uintptr_t first[FRAMES_FIRST];
    uintptr_t last[FRAMES_LAST]; /* a ring */
};

static _Unwind_Reason_Code visit(struct _Unwind_Context *context, void *arg)
{
    struct walk *walk = arg;
    uintptr_t frame = _Unwind_GetCFA(context);
    uintptr_t pc = _Unwind_GetIP(context);

    /* The frame that overflowed may have its end in the guard. */
    if (!walk->on_stack)
        walk->on_stack = frame >= (uintptr_t)walk->stack->low - RDL_STACK_GUARD_BYTES &&
                         frame <= (uintptr_t)walk->stack->top;
    if (!walk->on_stack)
        return _URC_NO_REASON;
    if (!pc)
        return _URC_END_OF_STACK;
    if (walk->count < FRAMES_FIRST)
        walk->first[walk->count] = pc;
    else
        walk->last[walk->count % FRAMES_LAST] = pc;
    walk->count++;
    return walk->count < FRAMES_MAX ? _URC_NO_REASON : _URC_END_OF_STACK;
}

static void put_frame(size_t i, uintptr_t pc)
{
    struct text text = {.length = 0};
    Dl_info info;

    add(&text, "    #");
    add_number(&text, i, 10);
    add(&text, " ");
    add_pointer(&text, pc);
    /* An address that is returned to may be the first of the next function. */
    if (dladdr((void *)(pc - 1), &info) && info.dli_fname) {
        if (info.dli_sname) {
            add(&text, " ");
            add(&text, info.dli_sname);
        }
        add(&text, " (");
        add(&text, info.dli_fname);
        add(&text, "+");
        add_pointer(&text, pc - (uintptr_t)info.dli_fbase);
        add(&text, ")");
    }
    add(&text, "\n");
    put(&text);
}

static void put_backtrace(const struct rdl_stack *stack)
{
    struct walk walk = {.stack = stack};
    struct text text = {.length = 0};
    size_t i;

    _Unwind_Backtrace(visit, &walk);
    for (i = 0; i < walk.count && i < FRAMES_FIRST; i++)
        put_frame(i, walk.first[i]);
    if (walk.count > FRAMES_FIRST + FRAMES_LAST) {
        i = walk.count - FRAMES_LAST;
        add(&text, "    ... ");
        add_number(&text, i - FRAMES_FIRST, 10);
        add(&text, " more\n");
        put(&text);
    }
    for (; i < walk.count; i++)
        put_frame(i, walk.last[i % FRAMES_LAST]);
    add(&text, "    ");
    add_number(&text, walk.count, 10);
    add(&text, walk.count == FRAMES_MAX ? " frames or more\n" : " frames\n");
    put(&text);
}

/* --- the handler --- */

static uintptr_t stack_pointer_of(const ucontext_t *context)
{
#if defined(__x86_64__)
    return (uintptr_t)context->uc_mcontext.gregs[REG_RSP];
#elif defined(__aarch64__)
    return (uintptr_t)context->uc_mcontext.sp;
#endif
}

static void report(const struct rdl_stack *stack, uintptr_t address, uintptr_t sp)
{
    rdl_overflow_describe_fn *describe = rdl_atomic_load_acquire(&describer);
    struct text text = {.length = 0};

    add(&text, "raddle: stack overflow\n");
    put(&text);
    if (describe)
        describe(STDERR_FILENO, stack);
    add(&text, "  stack ");
    add_number(&text, stack->id, 10);
    add(&text, ": ");
    add_number(&text, rdl_stack_class_bytes(stack->size_class) / 1024, 10);
    add(&text, " KiB, ");
    add_pointer(&text, (uintptr_t)stack->low);
    add(&text, " to ");
    add_pointer(&text, (uintptr_t)stack->top);
    add(&text, "\n  access to ");
    add_pointer(&text, address);
    add(&text, ", stack pointer ");
    add_pointer(&text, sp);
    if (sp <= (uintptr_t)stack->top && (uintptr_t)stack->top - sp < RDL_STACK_MAX_BYTES * 8u) {
        add(&text, ", ");
        add_number(&text, (uintptr_t)stack->top - sp, 10);
        add(&text, " bytes deep");
    }
    add(&text, "\n");
    put(&text);
    put_backtrace(stack);
}

/* What would have happened without us, except for a fault that is going to happen again. */
static void hand_on(const struct sigaction *previous, int sig, siginfo_t *info, void *context)
{
    if (previous->sa_flags & SA_SIGINFO) {
        previous->sa_sigaction(sig, info, context);
    } else if (previous->sa_handler == SIG_IGN && info->si_code <= 0) {
        return; /* sent by somebody, and not wanted */
    } else if (previous->sa_handler != SIG_DFL && previous->sa_handler != SIG_IGN) {
        previous->sa_handler(sig);
    } else {
        struct sigaction action = {.sa_handler = SIG_DFL};

        sigaction(sig, &action, NULL);
        /* A fault happens again at once; what was sent must be sent again. It is blocked until we
         * return. */
        if (info->si_code <= 0)
            raise(sig);
    }
}

static void handle(int sig, siginfo_t *info, void *context)
{
    const struct sigaction *previous = sig == SIGBUS ? &previous_bus : &previous_segv;
    struct rdl_stack *stack = NULL;
    uintptr_t sp = stack_pointer_of(context);
    bool in_guard = false;
    int saved = errno;

    if (info->si_code > 0) { /* a fault, not kill() */
        stack = rdl_stack_find(info->si_addr, &in_guard);
        if (!in_guard)
            stack = rdl_stack_find((const void *)sp, &in_guard);
    }
    if (!stack || !in_guard) {
        errno = saved;
        hand_on(previous, sig, info, context);
        errno = saved;
        return;
    }
    /* Two threads at once: the second waits for the first to end the process, but not for ever. */
    if (rdl_atomic_exchange_acquire(&reporting, true))
        nanosleep(&(struct timespec){.tv_sec = 5}, NULL);
    report(stack, (uintptr_t)info->si_addr, sp);
    sigaction(sig, previous, NULL);
    errno = saved;
}

static _Unwind_Reason_Code visit_one(struct _Unwind_Context *context, void *arg)
{
    (void)context;
    (void)arg;
    return _URC_END_OF_STACK;
}

int rdl_overflow_install(void)
{
    struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    Dl_info info;
    int rc = 0;

    rdl_lock_acquire(&lock);
    if (!installed) {
        installed = true;
        _Unwind_Backtrace(visit_one, NULL);
        dladdr((void *)(uintptr_t)&rdl_overflow_install, &info);
        sigemptyset(&action.sa_mask);
        /* Read first: the handler may run before sigaction() has returned what it replaced. */
        rc = rdl_sys_sigaction(SIGSEGV, NULL, &previous_segv);
        if (rc == 0)
            rc = rdl_sys_sigaction(SIGBUS, NULL, &previous_bus);
        if (rc == 0)
            rc = rdl_sys_sigaction(SIGSEGV, &action, NULL);
        if (rc == 0) {
            rc = rdl_sys_sigaction(SIGBUS, &action, NULL);
            /* Else the next try would find our own handler, and make it its own successor. */
            if (rc < 0)
                (void)rdl_sys_sigaction(SIGSEGV, &previous_segv, NULL);
        }
        installed = rc == 0;
    }
    rdl_lock_release(&lock);
    return rc;
}

void rdl_overflow_set_describe(rdl_overflow_describe_fn *describe)
{
    /* release pairs with the acquire in report(): what it describes with is prepared. */
    rdl_atomic_store_release(&describer, describe);
}

int rdl_overflow_thread_init(struct rdl_overflow_thread *thread)
{
    stack_t now;
    stack_t ours = {.ss_size = SIGNAL_STACK_BYTES};
    void *mapping;
    int rc;

    memset(thread, 0, sizeof *thread);
    if (sigaltstack(NULL, &now) < 0)
        return -errno;
    if (!(now.ss_flags & SS_DISABLE) && now.ss_size >= SIGNAL_STACK_LEAST)
        return 0;
    rc = rdl_sys_mmap(SIGNAL_GUARD_BYTES + SIGNAL_STACK_BYTES, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, &mapping);
    if (rc < 0)
        return rc;
    rc = rdl_sys_mprotect(mapping, SIGNAL_GUARD_BYTES, PROT_NONE);
    if (rc < 0)
        goto unmap;
    ours.ss_sp = (char *)mapping + SIGNAL_GUARD_BYTES;
    if (sigaltstack(&ours, NULL) < 0) {
        rc = -errno;
        goto unmap;
    }
    thread->mapping = mapping;
    thread->bytes = SIGNAL_GUARD_BYTES + SIGNAL_STACK_BYTES;
    if (!(now.ss_flags & SS_DISABLE)) {
        thread->previous_low = now.ss_sp;
        thread->previous_bytes = now.ss_size;
    }
    return 0;
unmap:
    rdl_sys_munmap(mapping, SIGNAL_GUARD_BYTES + SIGNAL_STACK_BYTES);
    return rc;
}

void rdl_overflow_thread_fini(struct rdl_overflow_thread *thread)
{
    stack_t previous = {.ss_flags = SS_DISABLE};

    if (!thread || !thread->mapping)
        return;
    if (thread->previous_low) {
        previous.ss_flags = 0;
        previous.ss_sp = thread->previous_low;
        previous.ss_size = thread->previous_bytes;
    }
    /* It fails only on the signal stack itself, which nobody may call this on. */
    (void)sigaltstack(&previous, NULL);
    rdl_sys_munmap(thread->mapping, thread->bytes);
    memset(thread, 0, sizeof *thread);
}
