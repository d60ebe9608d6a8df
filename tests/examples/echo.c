#include <raddle.h>

static int serve_client(void *arg)
{
    raddle_stream *s = arg;
    char line[512];
    ssize_t n;

    while ((n = raddle_read(s, line, sizeof line)) > 0)
        if ((n = raddle_write_all(s, line, (size_t)n)) < 0)
            break;
    raddle_stream_close(s);
    return (int)n;
}

static int server(void *arg)
{
    (void)arg;
    return raddle_serve("tcp:127.0.0.1:7000", serve_client, NULL);
}

int main(void)
{
    return raddle_run(server, NULL, NULL) ? 1 : 0;
}
