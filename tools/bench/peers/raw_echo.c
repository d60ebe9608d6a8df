/*
 * peers/raw_echo.c - the echo servers by hand that `raddle bench echo` has, as peers: built once with
 * FLOOR=rdl_bench_floor_epoll and once with FLOOR=rdl_bench_floor_uring.
 */
#include "peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "tools/raddle/bench_floor.h"

static void run_echo(const char *name, long divisor)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    socklen_t length = sizeof any;

    (void)divisor;
    peer_check(listener >= 0 && bind(listener, (struct sockaddr *)&any, sizeof any) == 0 &&
                   listen(listener, 4096) == 0 &&
                   getsockname(listener, (struct sockaddr *)&any, &length) == 0,
               name);
    printf("listening on tcp:127.0.0.1:%u\n", ntohs(any.sin_port));
    fflush(stdout);
    fprintf(stderr, "%s: %s\n", name, strerror(-FLOOR(listener)));
    exit(1);
}

static const struct peer_work works[] = {{"echo", run_echo, PEER_SERVER}, {NULL, NULL, 0}};

int main(int argc, char **argv)
{
    return peer_main(argc, argv, works);
}
