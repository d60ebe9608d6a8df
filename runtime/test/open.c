/*
 * runtime/test/open.c - which descriptors are open, and what each of them is.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "runtime/test/part.h"

struct entry {
    int fd;
    char target[160]; /* what /proc/self/fd says: a path, "socket:[1234]", "pipe:[1235]" */
};

enum { NAMED = 20 }; /* of descriptors that were left open */

struct rdl_test_open {
    size_t count, room;
    struct entry *entries;
};

static bool add(struct rdl_test_open *list, int fd, const char *target)
{
    if (list->count == list->room) {
        size_t room = list->room ? list->room * 2 : 32;
        struct entry *entries = realloc(list->entries, room * sizeof(*entries));

        if (!entries)
            return false;
        list->entries = entries;
        list->room = room;
    }
    list->entries[list->count].fd = fd;
    snprintf(list->entries[list->count].target, sizeof(list->entries->target), "%s", target);
    list->count++;
    return true;
}

struct rdl_test_open *rdl_test_open_list(void)
{
    struct rdl_test_open *list = calloc(1, sizeof(*list));
    DIR *dir = list ? opendir("/proc/self/fd") : NULL;
    const struct dirent *d;
    bool good = dir != NULL;

    while (good && (d = readdir(dir))) {
        char target[sizeof(list->entries->target)];
        ssize_t n = readlinkat(dirfd(dir), d->d_name, target, sizeof(target) - 1);
        int fd = atoi(d->d_name);

        if (n < 0 || fd == dirfd(dir))
            continue;
        target[n] = 0;
        good = add(list, fd, target);
    }
    if (dir)
        closedir(dir);
    if (good)
        return list;
    rdl_test_open_free(list);
    return NULL;
}

void rdl_test_open_free(struct rdl_test_open *list)
{
    if (list)
        free(list->entries);
    free(list);
}

typedef int name_fn(int fd, struct sockaddr *address, socklen_t *length);

/* " WORD ADDRESS", or nothing. */
static void write_address(char *text, size_t bytes, const char *word, name_fn *name, int fd)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof(address);
    char host[INET6_ADDRSTRLEN];

    text[0] = 0;
    memset(&address, 0, sizeof(address));
    if (name(fd, (struct sockaddr *)&address, &length) < 0)
        return;
    if (address.ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)&address;

        inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
        snprintf(text, bytes, " %s %s:%u", word, host, ntohs(in->sin_port));
    } else if (address.ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)&address;

        inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
        snprintf(text, bytes, " %s [%s]:%u", word, host, ntohs(in6->sin6_port));
    } else if (address.ss_family == AF_UNIX && length > sizeof(sa_family_t)) {
        const struct sockaddr_un *un = (const struct sockaddr_un *)(const void *)&address;

        if (un->sun_path[0])
            snprintf(text, bytes, " %s %s", word, un->sun_path);
    }
}

static void complain(const struct entry *entry)
{
    int listens = 0;
    socklen_t length = sizeof(listens);
    char here[160], there[160];

    write_address(here, sizeof(here), "at", getsockname, entry->fd);
    write_address(there, sizeof(there), "with", getpeername, entry->fd);
    (void)getsockopt(entry->fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length);
    rdl_test_fail("descriptor %d was left open: %s%s%s%s", entry->fd, entry->target,
                  listens ? ", listening" : "", here, there);
}

void rdl_test_open_compare(const struct rdl_test_open *before)
{
    struct rdl_test_open *after = rdl_test_open_list();
    unsigned left = 0;

    if (!before || !after)
        rdl_test_fail("what descriptors are open can't be listed");
    for (size_t i = 0; before && after && i < after->count; i++) {
        bool known = false;

        for (size_t k = 0; !known && k < before->count; k++)
            known = before->entries[k].fd == after->entries[i].fd &&
                    strcmp(before->entries[k].target, after->entries[i].target) == 0;
        if (!known && ++left <= NAMED)
            complain(&after->entries[i]);
    }
    if (left > NAMED)
        rdl_test_fail("and %u more descriptors", left - NAMED);
    rdl_test_open_free(after);
}
