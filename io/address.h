/*
 * io/address.h - addresses as text: "tcp:127.0.0.1:7000", "tcp:[::1]:7000", "unix:/run/app.sock".
 *
 * Numeric only. "tcp:*:7000" and "tcp::7000" mean every address of the machine, IPv6 and IPv4;
 * "unix:@name" is in Linux's abstract namespace. An IPv6 address may have a zone:
 * "tcp:[fe80::1%eth0]:80".
 */
#ifndef RDL_IO_ADDRESS_H
#define RDL_IO_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { RDL_ADDRESS_TEXT = 160 }; /* room for every address as text, its end included */

struct rdl_address {
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    } at;
    socklen_t length;
    bool everywhere; /* all addresses; at is that of IPv6 */
};

/*
 * 0, or
 *     -EINVAL        not an address
 *     -EAFNOSUPPORT  of a kind that isn't known ("udp:...")
 *     -ENAMETOOLONG  a unix path of more than 107 bytes, or name of more than 107
 *     -ENODEV        no such zone
 */
int rdl_address_parse(const char *text, struct rdl_address *out);

/* Writes address as text that rdl_address_parse() takes, cut off if size is too small for it
 * (RDL_ADDRESS_TEXT never is). Returns out. */
const char *rdl_address_format(const struct rdl_address *address, char *out, size_t size);

/* 0 for unix. */
unsigned rdl_address_port(const struct rdl_address *address);
void rdl_address_set_port(struct rdl_address *address, unsigned port);

/* Turns every address of IPv6 and IPv4 into that of IPv4 alone: for a machine without IPv6. */
void rdl_address_narrow(struct rdl_address *address);

#endif
