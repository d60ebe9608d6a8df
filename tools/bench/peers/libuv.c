/*
 * peers/libuv.c - libuv: callbacks on one loop.
 *
 *     wake.loops     two loops in two threads that send each other uv_async_send()
 *     timers.sleep   timers that fire; no task is behind them
 *     timers.one, timers.many, executor.1, executor.64, echo
 */
#include "peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <uv.h>

/* Two loops. */

static uv_async_t here, there;
static long rounds, heard_here, heard_there;

static void on_there(uv_async_t *async)
{
    heard_there++;
    uv_async_send(&here);
    if (heard_there == rounds)
        uv_close((uv_handle_t *)async, NULL);
}

static void on_here(uv_async_t *async)
{
    heard_here++;
    if (heard_here == rounds)
        uv_close((uv_handle_t *)async, NULL);
    else
        uv_async_send(&there);
}

static void other_thread(void *arg)
{
    peer_bind(1);
    uv_run(arg, UV_RUN_DEFAULT);
}

static void run_wake(const char *name, long divisor)
{
    uv_loop_t first, second;
    struct peer_watch watch;
    uv_thread_t thread;

    rounds = 20000 / divisor;
    heard_here = heard_there = 0;
    peer_bind(0);
    uv_loop_init(&first);
    uv_loop_init(&second);
    uv_async_init(&first, &here, on_here);
    uv_async_init(&second, &there, on_there);
    uv_thread_create(&thread, other_thread, &second);
    watch = peer_start();
    uv_async_send(&there);
    uv_run(&first, UV_RUN_DEFAULT);
    uv_thread_join(&thread);
    peer_stop(name, watch, 2.0 * (double)rounds);
    peer_check(heard_here == rounds && heard_there == rounds, name);
    uv_loop_close(&first);
    uv_loop_close(&second);
}

/* Timers. Deadlines are milliseconds here. */

static long fired;

static void on_timer(uv_timer_t *timer)
{
    (void)timer;
    fired++;
}

static void run_sleep(const char *name, long divisor)
{
    long count = 1000000 / divisor;
    uv_loop_t *loop = uv_default_loop();
    uv_timer_t *timers = malloc((size_t)count * sizeof *timers);
    uint64_t seed = PEER_SEED;
    struct peer_watch watch = peer_start();

    fired = 0;
    for (long i = 0; i < count; i++) {
        if (i % 1000 == 0)
            uv_update_time(loop);
        uv_timer_init(loop, &timers[i]);
        uv_timer_start(&timers[i], on_timer, peer_random(&seed) % (uint64_t)count / 1000 + 1, 0);
    }
    uv_run(loop, UV_RUN_DEFAULT);
    peer_stop(name, watch, (double)count);
    peer_check(fired == count, name);
}

static void arm_and_stop(const char *name, long count, long repeats)
{
    uv_loop_t *loop = uv_default_loop();
    uv_timer_t *timers = malloc((size_t)count * sizeof *timers);
    uint64_t seed = PEER_SEED;
    struct peer_watch watch;

    fired = 0;
    for (long i = 0; i < count; i++)
        uv_timer_init(loop, &timers[i]);
    watch = peer_start();
    for (long repeat = 0; repeat < repeats; repeat++) {
        for (long i = 0; i < count; i++)
            uv_timer_start(&timers[i], on_timer, 1000 + peer_random(&seed) % 60000, 0);
        for (long i = 0; i < count; i++)
            uv_timer_stop(&timers[i]);
    }
    peer_stop(name, watch, (double)count * (double)repeats);
    peer_check(fired == 0, name);
}

static void run_one_timer(const char *name, long divisor)
{
    arm_and_stop(name, 1, 10000000 / divisor);
}

static void run_many_timers(const char *name, long divisor)
{
    arm_and_stop(name, 1000000 / divisor, 1);
}

/* Its pool has four threads unless UV_THREADPOOL_SIZE says otherwise. */

static uv_work_t requests[64];
static long jobs_left, jobs_back;
static long jobs_done;

static void job(uv_work_t *request)
{
    (void)request;
    __atomic_fetch_add(&jobs_done, 1, __ATOMIC_RELAXED);
}

static void after_job(uv_work_t *request, int status)
{
    (void)status;
    jobs_back++;
    if (jobs_left-- > 0)
        uv_queue_work(uv_default_loop(), request, job, after_job);
}

static void queue_jobs(const char *name, long at_once, long jobs)
{
    struct peer_watch watch = peer_start();

    jobs_left = jobs - at_once;
    jobs_back = jobs_done = 0;
    for (long i = 0; i < at_once; i++)
        uv_queue_work(uv_default_loop(), &requests[i], job, after_job);
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    peer_stop(name, watch, (double)jobs);
    peer_check(jobs_back == jobs && jobs_done == jobs, name);
}

static void run_one_job(const char *name, long divisor)
{
    queue_jobs(name, 1, 20000 / divisor);
}

static void run_many_jobs(const char *name, long divisor)
{
    queue_jobs(name, 64, 200000 / divisor);
}

/* An echo server: what can be written at once is, and the rest is kept. */

static char buffer[16 * 1024];

struct writing {
    uv_write_t request;
    char bytes[];
};

static void on_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    (void)handle;
    (void)suggested;
    *out = uv_buf_init(buffer, sizeof buffer);
}

static void on_closed(uv_handle_t *handle)
{
    free(handle);
}

static void on_written(uv_write_t *request, int status)
{
    (void)status;
    free(request);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *read)
{
    uv_buf_t rest = uv_buf_init(read->base, (unsigned)(count > 0 ? count : 0));
    struct writing *writing;
    int n;

    if (count < 0)
        uv_close((uv_handle_t *)stream, on_closed);
    if (count <= 0)
        return;
    n = uv_try_write(stream, &rest, 1);
    if (n == count)
        return;
    n = n < 0 ? 0 : n;
    writing = malloc(sizeof *writing + (size_t)(count - n));
    memcpy(writing->bytes, read->base + n, (size_t)(count - n));
    rest = uv_buf_init(writing->bytes, (unsigned)(count - n));
    uv_write(&writing->request, stream, &rest, 1, on_written);
}

static void on_connection(uv_stream_t *listener, int status)
{
    uv_tcp_t *conn = malloc(sizeof *conn);

    (void)status;
    uv_tcp_init(uv_default_loop(), conn);
    if (uv_accept(listener, (uv_stream_t *)conn)) {
        uv_close((uv_handle_t *)conn, on_closed);
        return;
    }
    uv_tcp_nodelay(conn, 1);
    uv_read_start((uv_stream_t *)conn, on_buffer, on_read);
}

static void run_echo(const char *name, long divisor)
{
    struct sockaddr_in address = {0};
    int length = sizeof address;
    uv_tcp_t listener;

    (void)divisor;
    uv_tcp_init(uv_default_loop(), &listener);
    uv_ip4_addr("127.0.0.1", 0, &address);
    peer_check(uv_tcp_bind(&listener, (struct sockaddr *)&address, 0) == 0 &&
                   uv_listen((uv_stream_t *)&listener, 4096, on_connection) == 0 &&
                   uv_tcp_getsockname(&listener, (struct sockaddr *)&address, &length) == 0,
               name);
    printf("listening on tcp:127.0.0.1:%u\n", ntohs(address.sin_port));
    fflush(stdout);
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}

static const struct peer_work works[] = {
    {"wake.loops", run_wake, PEER_WARM},      {"timers.sleep", run_sleep, PEER_COLD},
    {"timers.one", run_one_timer, PEER_WARM}, {"timers.many", run_many_timers, PEER_WARM},
    {"executor.1", run_one_job, PEER_WARM},   {"executor.64", run_many_jobs, PEER_WARM},
    {"echo", run_echo, PEER_SERVER},          {NULL, NULL, 0}};

int main(int argc, char **argv)
{
    return peer_main(argc, argv, works);
}
