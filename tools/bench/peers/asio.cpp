/*
 * peers/asio.cpp - Boost.Asio: callbacks on one io_context.
 *
 *     spawn.1        post a callback, a thousand at a time
 *     wake.loops     two io_contexts in two threads that post to each other
 *     timers.sleep   timers that fire; no task is behind them
 *     timers.many, executor.1, executor.64, echo
 *     yield          of boost::asio::spawn(), which has stacks
 */
#include "peer.h"

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include <boost/asio.hpp>
#include <boost/asio/spawn.hpp>

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

static void run_yield(const char *name, long divisor)
{
    long turns = 1000000 / divisor, taken = 0;
    asio::io_context context(1);
    auto take_turns = [&](asio::yield_context yield) {
        for (long i = 0; i < turns; i++, taken++)
            asio::post(context, yield);
    };

    asio::spawn(context, take_turns);
    asio::spawn(context, take_turns);
    peer_watch watch = peer_start();
    context.run();
    peer_stop(name, watch, 2.0 * static_cast<double>(turns));
    peer_check(taken == 2 * turns, name);
}

static void run_post(const char *name, long divisor)
{
    long batches = 5000 / divisor, ran = 0;
    asio::io_context context(1);
    peer_watch watch = peer_start();

    for (long i = 0; i < batches; i++) {
        for (int k = 0; k < 1000; k++)
            asio::post(context, [&] { ran++; });
        context.restart();
        context.run();
    }
    peer_stop(name, watch, static_cast<double>(batches) * 1000);
    peer_check(ran == batches * 1000, name);
}

static void run_wake(const char *name, long divisor)
{
    long rounds = 20000 / divisor, heard_here = 0, heard_there = 0;
    asio::io_context here(1), there(1);
    auto keep_here = asio::make_work_guard(here);
    auto keep_there = asio::make_work_guard(there);
    std::function<void()> on_here, on_there;

    on_there = [&] {
        heard_there++;
        asio::post(here, [&] { on_here(); });
    };
    on_here = [&] {
        if (++heard_here < rounds) {
            asio::post(there, [&] { on_there(); });
            return;
        }
        keep_here.reset();
        keep_there.reset();
    };
    peer_bind(0);
    peer_watch watch = peer_start();
    std::thread other([&] {
        peer_bind(1);
        there.run();
    });
    asio::post(there, [&] { on_there(); });
    here.run();
    other.join();
    peer_stop(name, watch, 2.0 * static_cast<double>(rounds));
    peer_check(heard_here == rounds && heard_there == rounds, name);
}

static void run_sleep(const char *name, long divisor)
{
    long count = 1000000 / divisor, fired = 0, early = 0;
    uint64_t seed = PEER_SEED;
    asio::io_context context(1);
    std::vector<std::unique_ptr<asio::steady_timer>> timers;

    timers.reserve(static_cast<size_t>(count));
    peer_watch watch = peer_start();
    for (long i = 0; i < count; i++) {
        std::chrono::nanoseconds length(peer_random(&seed) % static_cast<uint64_t>(count * 1000));
        auto timer = new asio::steady_timer(context, length);

        timers.emplace_back(timer);
        if (i % 1000 == 0)
            timer->async_wait([&, due = timer->expiry()](error_code) {
                early += std::chrono::steady_clock::now() < due;
                fired++;
            });
        else
            timer->async_wait([&](error_code) { fired++; });
    }
    context.run();
    peer_stop(name, watch, static_cast<double>(count));
    peer_check(fired == count && early == 0, name);
    _exit(0);
}

static void run_many_timers(const char *name, long divisor)
{
    long count = 1000000 / divisor, cancelled = 0;
    uint64_t seed = PEER_SEED;
    asio::io_context context(1);
    std::vector<asio::steady_timer> timers;

    timers.reserve(static_cast<size_t>(count));
    for (long i = 0; i < count; i++)
        timers.emplace_back(context);
    peer_watch watch = peer_start();
    for (auto &timer : timers) {
        timer.expires_after(std::chrono::milliseconds(1000 + peer_random(&seed) % 60000));
        timer.async_wait(
            [&](error_code error) { cancelled += error == asio::error::operation_aborted; });
    }
    for (auto &timer : timers)
        timer.cancel();
    context.run();
    peer_stop(name, watch, static_cast<double>(count));
    peer_check(cancelled == count, name);
}

static void run_jobs(const char *name, long at_once, long jobs)
{
    asio::io_context context(1);
    asio::thread_pool pool(4);
    auto keep = asio::make_work_guard(context);
    std::atomic<long> done{0};
    long left = jobs, back = 0;
    std::function<void()> submit = [&] {
        if (left-- <= 0)
            return;
        asio::post(pool, [&] {
            done.fetch_add(1, std::memory_order_relaxed);
            asio::post(context, [&] {
                if (++back == jobs)
                    keep.reset();
                else
                    submit();
            });
        });
    };

    peer_watch watch = peer_start();
    for (long i = 0; i < at_once; i++)
        submit();
    context.run();
    peer_stop(name, watch, static_cast<double>(jobs));
    pool.join();
    peer_check(done == jobs && back == jobs, name);
}

static void run_one_job(const char *name, long divisor)
{
    run_jobs(name, 1, 20000 / divisor);
}

static void run_many_jobs(const char *name, long divisor)
{
    run_jobs(name, 64, 200000 / divisor);
}

struct session : std::enable_shared_from_this<session> {
    tcp::socket socket;
    std::vector<char> buffer;

    session(tcp::socket from, size_t bytes) : socket(std::move(from)), buffer(bytes)
    {
    }

    void read()
    {
        socket.async_read_some(asio::buffer(buffer),
                               [self = shared_from_this()](error_code error, size_t count) {
                                   if (!error)
                                       self->write(count);
                               });
    }

    void write(size_t count)
    {
        asio::async_write(socket, asio::buffer(buffer.data(), count),
                          [self = shared_from_this()](error_code error, size_t) {
                              if (!error)
                                  self->read();
                          });
    }
};

static void accept_next(tcp::acceptor &acceptor, size_t bytes)
{
    acceptor.async_accept([&acceptor, bytes](error_code error, tcp::socket socket) {
        if (!error) {
            socket.set_option(tcp::no_delay(true));
            std::make_shared<session>(std::move(socket), bytes)->read();
        }
        accept_next(acceptor, bytes);
    });
}

static void run_echo(const char *, long bytes)
{
    asio::io_context context(1);
    tcp::acceptor acceptor(context, tcp::endpoint(asio::ip::address_v4::loopback(), 0));

    acceptor.listen(4096);
    printf("listening on tcp:127.0.0.1:%u\n", acceptor.local_endpoint().port());
    fflush(stdout);
    accept_next(acceptor, bytes > 1 ? static_cast<size_t>(bytes) : 16 * 1024);
    context.run();
}

static const peer_work works[] = {{"yield", run_yield, PEER_WARM},
                                  {"spawn.1", run_post, PEER_WARM},
                                  {"wake.loops", run_wake, PEER_WARM},
                                  {"timers.sleep", run_sleep, PEER_COLD},
                                  {"timers.many", run_many_timers, PEER_WARM},
                                  {"executor.1", run_one_job, PEER_WARM},
                                  {"executor.64", run_many_jobs, PEER_WARM},
                                  {"echo", run_echo, PEER_SERVER},
                                  {nullptr, nullptr, 0}};

int main(int argc, char **argv)
{
    return peer_main(argc, argv, works);
}
