/*
 * raddle/process.h - what a process has used: CPU, memory, descriptors.
 */
#ifndef RDL_TOOLS_PROCESS_H
#define RDL_TOOLS_PROCESS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* CPU time of this process, user and system, in nanoseconds. */
int64_t rdl_process_cpu(void);

/* The same of another process, or -errno. */
int64_t rdl_process_cpu_of(pid_t pid);

/* Resident memory in bytes; 0 when unknown. */
uint64_t rdl_process_resident(void);
uint64_t rdl_process_resident_of(pid_t pid);

/* Memory of its page tables in bytes; 0 when unknown. */
uint64_t rdl_process_page_tables(void);
uint64_t rdl_process_page_tables_of(pid_t pid);

/* Open descriptors; 0 when unknown. */
uint64_t rdl_process_descriptors(void);

/* Reads a file of at most size - 1 bytes, and ends it with a zero. Returns the length or -errno. */
ssize_t rdl_read_file(const char *path, char *buffer, size_t size);

/* The number behind a key at the start of a line ("VmPTE:"), or fallback. */
int64_t rdl_find_number(const char *text, const char *key, int64_t fallback);

#endif
