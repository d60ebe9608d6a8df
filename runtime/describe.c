/*
 * runtime/describe.c - who a task or a thread is, in words, for reports.
 */
#define _GNU_SOURCE
#include "runtime/describe.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "runtime/task.h"
#include "sched/sys.h"

enum { PATH_BYTES = 64 };

const char *rdl_describe_task(const struct rdl_task *task, char *text)
{
    const struct raddle_spawn_site *site = task->site;
    const char *file;
    size_t length;

    if (!site || !site->line) {
        snprintf(text, RDL_WHO_BYTES, "task \"%s\"", task->name);
        return text;
    }
    file = site->file;
    length = strlen(file);
    if (length > PATH_BYTES)
        file += length - PATH_BYTES;
    snprintf(text, RDL_WHO_BYTES, "task \"%s\" (%s:%d)", task->name, file, site->line);
    return text;
}

const char *rdl_describe_thread(char *text)
{
    char name[16] = "?";

    (void)pthread_getname_np(pthread_self(), name, sizeof(name));
    snprintf(text, RDL_WHO_BYTES, "thread \"%s\" (%d)", name, rdl_sys_thread_id());
    return text;
}

const char *rdl_describe_caller(char *text)
{
    const struct rdl_task *self = rdl_task_self();

    return self ? rdl_describe_task(self, text) : rdl_describe_thread(text);
}

const char *rdl_describe_code(const void *address, char *text)
{
    Dl_info info;
    const char *file;
    size_t offset;

    if (!dladdr(address, &info) || !info.dli_fname) {
        snprintf(text, RDL_WHO_BYTES, "%p", address);
        return text;
    }
    if (info.dli_sname) {
        offset = (size_t)((const char *)address - (const char *)info.dli_saddr);
        file = info.dli_sname;
    } else {
        offset = (size_t)((const char *)address - (const char *)info.dli_fbase);
        file = strrchr(info.dli_fname, '/') ? strrchr(info.dli_fname, '/') + 1 : info.dli_fname;
    }
    if (offset)
        snprintf(text, RDL_WHO_BYTES, "%.100s+0x%zx", file, offset);
    else
        snprintf(text, RDL_WHO_BYTES, "%.100s", file);
    return text;
}

const char *rdl_describe_site(const char *site)
{
    return site ? site : "an unknown place";
}
