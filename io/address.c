/*
 * io/address.c - addresses as text.
 */
#define _GNU_SOURCE
#include "io/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum {
    HOST_ROOM = INET6_ADDRSTRLEN + 1 + IF_NAMESIZE, /* address, '%', zone */
};

/* A decimal number without sign, of all of text. */
static bool parse_number(const char *text, unsigned long max, unsigned long *out)
{
    unsigned long value = 0;

    if (!*text)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        value = value * 10 + (unsigned long)(*text - '0');
        if (value > max)
            return false;
    }
    *out = value;
    return true;
}

static int parse_in6(char *host, struct rdl_address *out)
{
    char *zone = strchr(host, '%');
    unsigned long number;

    if (zone)
        *zone++ = '\0';
    out->at.in6.sin6_family = AF_INET6;
    out->length = sizeof(out->at.in6);
    if (inet_pton(AF_INET6, host, &out->at.in6.sin6_addr) != 1)
        return -EINVAL;
    if (!zone)
        return 0;
    if (parse_number(zone, UINT32_MAX, &number)) {
        out->at.in6.sin6_scope_id = (uint32_t)number;
        return 0;
    }
    out->at.in6.sin6_scope_id = *zone ? if_nametoindex(zone) : 0;
    return out->at.in6.sin6_scope_id ? 0 : *zone ? -ENODEV : -EINVAL;
}

static int parse_in(const char *host, struct rdl_address *out)
{
    if (!*host || strcmp(host, "*") == 0) {
        out->everywhere = true;
        out->at.in6.sin6_family = AF_INET6; /* in6addr_any is all zeroes */
        out->length = sizeof(out->at.in6);
        return 0;
    }
    out->at.in.sin_family = AF_INET;
    out->length = sizeof(out->at.in);
    return inet_pton(AF_INET, host, &out->at.in.sin_addr) == 1 ? 0 : -EINVAL;
}

static int parse_tcp(const char *text, struct rdl_address *out)
{
    const char *colon = strrchr(text, ':');
    bool bracketed = *text == '[';
    char host[HOST_ROOM];
    unsigned long port;
    size_t length;
    int rc;

    if (!colon || !parse_number(colon + 1, UINT16_MAX, &port))
        return -EINVAL;
    length = (size_t)(colon - text);
    if (bracketed) {
        if (length < 2 || colon[-1] != ']')
            return -EINVAL;
        text++;
        length -= 2;
    }
    if (length >= sizeof(host))
        return -EINVAL;
    memcpy(host, text, length);
    host[length] = '\0';
    rc = bracketed ? parse_in6(host, out) : parse_in(host, out);
    if (rc == 0)
        rdl_address_set_port(out, (unsigned)port);
    return rc;
}

static int parse_unix(const char *path, struct rdl_address *out)
{
    const size_t start = offsetof(struct sockaddr_un, sun_path);
    size_t length = strlen(path);
    bool abstract = *path == '@';

    if (length <= abstract)
        return -EINVAL;
    /* A path ends with a zero byte, an abstract name begins with one, in the place of its '@'. */
    if (length > sizeof(out->at.un.sun_path) - !abstract)
        return -ENAMETOOLONG;
    out->at.un.sun_family = AF_UNIX;
    memcpy(out->at.un.sun_path, path, length);
    if (abstract)
        out->at.un.sun_path[0] = '\0';
    out->length = (socklen_t)(start + length + !abstract);
    return 0;
}

static bool has_scheme(const char *text)
{
    size_t letters = strspn(text, "abcdefghijklmnopqrstuvwxyz");

    return letters && text[letters] == ':';
}

int rdl_address_parse(const char *text, struct rdl_address *out)
{
    struct rdl_address address = {0};
    int rc;

    if (!text)
        return -EINVAL;
    if (strncmp(text, "tcp:", 4) == 0)
        rc = parse_tcp(text + 4, &address);
    else if (strncmp(text, "unix:", 5) == 0)
        rc = parse_unix(text + 5, &address);
    else
        rc = has_scheme(text) ? -EAFNOSUPPORT : -EINVAL;
    if (rc == 0)
        *out = address;
    return rc;
}

static void format_unix(const struct rdl_address *address, char *out, size_t size)
{
    const size_t start = offsetof(struct sockaddr_un, sun_path);
    const char *path = address->at.un.sun_path;
    size_t length = address->length > start ? address->length - start : 0;
    const char *prefix = "unix:";

    if (length && *path == '\0') {
        prefix = "unix:@";
        path++;
        length--;
    } else {
        length = strnlen(path, length);
    }
    snprintf(out, size, "%s%.*s", prefix, (int)length, path);
}

const char *rdl_address_format(const struct rdl_address *address, char *out, size_t size)
{
    unsigned port = rdl_address_port(address);
    char host[INET6_ADDRSTRLEN] = "";

    switch (address->at.any.sa_family) {
    case AF_INET:
        inet_ntop(AF_INET, &address->at.in.sin_addr, host, sizeof(host));
        snprintf(out, size, "tcp:%s:%u", address->everywhere ? "*" : host, port);
        break;
    case AF_INET6:
        inet_ntop(AF_INET6, &address->at.in6.sin6_addr, host, sizeof(host));
        if (address->everywhere)
            snprintf(out, size, "tcp:*:%u", port);
        else if (address->at.in6.sin6_scope_id)
            snprintf(out, size, "tcp:[%s%%%u]:%u", host, (unsigned)address->at.in6.sin6_scope_id,
                     port);
        else
            snprintf(out, size, "tcp:[%s]:%u", host, port);
        break;
    case AF_UNIX:
        format_unix(address, out, size);
        break;
    default:
        snprintf(out, size, "?");
        break;
    }
    return out;
}

unsigned rdl_address_port(const struct rdl_address *address)
{
    switch (address->at.any.sa_family) {
    case AF_INET:
        return ntohs(address->at.in.sin_port);
    case AF_INET6:
        return ntohs(address->at.in6.sin6_port);
    default:
        return 0;
    }
}

void rdl_address_set_port(struct rdl_address *address, unsigned port)
{
    if (address->at.any.sa_family == AF_INET)
        address->at.in.sin_port = htons((uint16_t)port);
    else if (address->at.any.sa_family == AF_INET6)
        address->at.in6.sin6_port = htons((uint16_t)port);
}

void rdl_address_narrow(struct rdl_address *address)
{
    unsigned port = rdl_address_port(address);

    if (!address->everywhere || address->at.any.sa_family == AF_INET)
        return;
    memset(&address->at, 0, sizeof(address->at));
    address->at.in.sin_family = AF_INET; /* INADDR_ANY is zero */
    address->length = sizeof(address->at.in);
    rdl_address_set_port(address, port);
}
