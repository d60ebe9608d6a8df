/*
 * sched/guard.c - guards by MADV_GUARD_INSTALL, or by mprotect and counted.
 *
 * MADV_GUARD_INSTALL (Linux 6.13) marks the page table and leaves a slab one memory area, so that a
 * million guarded stacks fit the default vm.max_map_count. Older kernels refuse it, and every
 * kernel does on locked memory (mlockall). mprotect splits a slab into two areas for each stack;
 * these are counted, and end while the process still has areas left for everything else. Over the
 * budget there is no stack.
 *
 * Some emulators answer 0 to any advice, so the probe looks whether the guard guards.
 */
#define _GNU_SOURCE
#include "sched/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sched/annotate.h"
#include "sched/planted.h"
#include "sched/sys.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

enum {
    AREAS_PER_GUARD = 2,
    AREAS_DEFAULT = 65530, /* the kernel's vm.max_map_count, for where there is no /proc */
};

static rdl_atomic(size_t) areas_used;
static rdl_atomic(size_t) areas_budget;        /* 0: not known yet */
static rdl_atomic(size_t) areas_budget_forced; /* 0: not forced */
static rdl_atomic(int) guard_kind;             /* enum rdl_stack_guard */
static rdl_atomic(bool) mprotect_forced;

static bool guard_regions_work(void)
{
    size_t bytes = RDL_GUARD_PAGE_BYTES_MAX;
    bool works = false;
    void *page;

#if RDL_VALGRIND
    /* It doesn't know of such regions, reads what system calls are given, and dies of it. */
    if (RUNNING_ON_VALGRIND)
        return false;
#endif
    if (rdl_sys_mmap(bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, &page) < 0)
        return false;
    /* A system call that is to read a path there fails with EFAULT if it is a guard, and else with
     * ENOENT because the path is empty. */
    if (rdl_sys_madvise(page, bytes, MADV_GUARD_INSTALL) == 0) {
        int saved = errno;

        works = access((const char *)page, F_OK) != 0 && errno == EFAULT;
        errno = saved;
    }
    rdl_sys_munmap(page, bytes);
    return works;
}

enum rdl_stack_guard rdl_stack_guard_kind(void)
{
    int kind = rdl_atomic_load_relaxed(&guard_kind);

    if (rdl_atomic_load_relaxed(&mprotect_forced))
        return RDL_STACK_GUARD_MPROTECT;
    if (kind == RDL_STACK_GUARD_UNKNOWN) {
        /* Racing threads find out the same. */
        kind = guard_regions_work() ? RDL_STACK_GUARD_REGIONS : RDL_STACK_GUARD_MPROTECT;
        rdl_atomic_store_relaxed(&guard_kind, kind);
    }
    return (enum rdl_stack_guard)kind;
}

void rdl_stack_force_mprotect(bool on)
{
    rdl_atomic_store_relaxed(&mprotect_forced, on);
}

void rdl_stack_set_areas_budget(size_t areas)
{
    rdl_atomic_store_relaxed(&areas_budget_forced, areas);
}

static size_t read_max_map_count(void)
{
    char text[32];
    ssize_t n = -1;
    size_t count = 0;
    int saved = errno;
    int fd = open("/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC);

    if (fd >= 0) {
        n = read(fd, text, sizeof text - 1);
        close(fd);
    }
    if (n > 0) {
        text[n] = '\0';
        count = strtoul(text, NULL, 10);
    }
    errno = saved;
    return count ? count : AREAS_DEFAULT;
}

/* Seven eighths of what the process may have: libraries, files and the allocator need some, too. */
static size_t find_budget(void)
{
    size_t budget = rdl_atomic_load_relaxed(&areas_budget_forced);

    if (budget)
        return budget;
    budget = rdl_atomic_load_relaxed(&areas_budget);
    if (!budget) {
        budget = read_max_map_count();
        budget -= budget / 8;
        rdl_atomic_store_relaxed(&areas_budget, budget);
    }
    return budget;
}

int rdl_guard_install(char *low, size_t bytes)
{
    int rc = -EINVAL;

    if (RDL_PLANTED(JUMP)) {
        low += bytes - 4096;
        bytes = 4096;
    }
    if (rdl_stack_guard_kind() == RDL_STACK_GUARD_REGIONS)
        rc = rdl_sys_madvise(low, bytes, MADV_GUARD_INSTALL);
    if (rc == 0)
        return 0;
    /* Guards work, but not here: the memory is locked. Any other error is one. */
    if (rc != -EINVAL)
        return -ENOMEM;
    if (rdl_atomic_fetch_add_relaxed(&areas_used, (size_t)AREAS_PER_GUARD) + AREAS_PER_GUARD >
        find_budget())
        goto give_back;
    if (rdl_sys_mprotect(low, bytes, PROT_NONE) < 0)
        goto give_back;
    return AREAS_PER_GUARD;
give_back:
    rdl_guard_release(AREAS_PER_GUARD);
    return -ENOMEM;
}

void rdl_guard_release(size_t areas)
{
    rdl_atomic_fetch_sub_relaxed(&areas_used, areas);
}

void rdl_guard_stats(struct rdl_stack_stats *out)
{
    out->guard = rdl_atomic_load_relaxed(&mprotect_forced)
                     ? RDL_STACK_GUARD_MPROTECT
                     : (enum rdl_stack_guard)rdl_atomic_load_relaxed(&guard_kind);
    out->areas = rdl_atomic_load_relaxed(&areas_used);
    out->areas_budget = find_budget();
}
