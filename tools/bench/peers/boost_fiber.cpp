/*
 * peers/boost_fiber.cpp - Boost.Fiber: fibers on one thread, or on two that steal from each other.
 *
 * Stacks are pooled, of 16 KiB, as large as skynet's breadth allows; on two threads, where the pool may
 * not be used, each is allocated. What the executor does is its documented way: threads fed by a channel,
 * and a promise for each job.
 */
#include "peer.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <boost/context/fixedsize_stack.hpp>
#include <boost/context/pooled_fixedsize_stack.hpp>
#include <boost/fiber/all.hpp>

namespace fibers = boost::fibers;
namespace context = boost::context;

static const size_t stack_bytes = 16 * 1024;
static bool two_threads;

template <class Function> static fibers::fiber spawn(Function &&function)
{
    static thread_local context::pooled_fixedsize_stack *pool =
        new context::pooled_fixedsize_stack(stack_bytes);

    if (two_threads)
        return fibers::fiber(fibers::launch::post, std::allocator_arg,
                             context::fixedsize_stack(stack_bytes),
                             std::forward<Function>(function));
    return fibers::fiber(fibers::launch::post, std::allocator_arg, *pool,
                         std::forward<Function>(function));
}

/* Runs function in a fiber's world of two threads. Once per process: the schedulers wait for each other. */
template <class Function> static void on_two_threads(Function function)
{
    fibers::mutex lock;
    fibers::condition_variable_any ended;
    bool over = false;

    two_threads = true;
    std::thread other([&] {
        fibers::use_scheduling_algorithm<fibers::algo::work_stealing>(2);
        std::unique_lock<fibers::mutex> locked(lock);
        ended.wait(locked, [&] { return over; });
    });
    fibers::use_scheduling_algorithm<fibers::algo::work_stealing>(2);
    function();
    {
        std::unique_lock<fibers::mutex> locked(lock);
        over = true;
    }
    ended.notify_all();
    other.join();
}

static void run_yield(const char *name, long divisor)
{
    long turns = 2000000 / divisor;
    auto take_turns = [turns] {
        for (long i = 0; i < turns; i++)
            boost::this_fiber::yield();
    };
    peer_watch watch = peer_start();
    fibers::fiber first = spawn(take_turns), second = spawn(take_turns);

    first.join();
    second.join();
    peer_stop(name, watch, 2.0 * static_cast<double>(turns));
}

static std::atomic<long> ran;

static void spawn_all(const char *name, long divisor)
{
    long batches = 1000 / divisor;
    std::vector<fibers::fiber> alive(1000);

    ran = 0;
    peer_watch watch = peer_start();
    for (long i = 0; i < batches; i++) {
        for (auto &fiber : alive)
            fiber = spawn([] { ran.fetch_add(1, std::memory_order_relaxed); });
        for (auto &fiber : alive)
            fiber.join();
    }
    peer_stop(name, watch, static_cast<double>(batches) * 1000);
    peer_check(ran == batches * 1000, name);
}

static void run_spawn_on_two(const char *name, long divisor)
{
    on_two_threads([=] { spawn_all(name, divisor); });
}

static void run_channel(const char *name, long divisor)
{
    long count = 1000000 / divisor, sum = 0;
    fibers::unbuffered_channel<long> there, back;
    peer_watch watch = peer_start();
    fibers::fiber answers = spawn([&] {
        long number;
        while (there.pop(number) == fibers::channel_op_status::success) {
            sum += number;
            back.push(number);
        }
    });
    fibers::fiber asks = spawn([&] {
        for (long i = 0; i < count; i++) {
            there.push(i);
            peer_check(back.value_pop() == i, name);
        }
        there.close();
    });

    asks.join();
    answers.join();
    peer_stop(name, watch, 2.0 * static_cast<double>(count));
    peer_check(sum == count * (count - 1) / 2, name);
}

static void run_wake(const char *name, long divisor)
{
    long count = 20000 / divisor, sum = 0;
    fibers::unbuffered_channel<long> there, back;

    peer_bind(0);
    peer_watch watch = peer_start();
    std::thread other([&] {
        long number;
        peer_bind(1);
        while (there.pop(number) == fibers::channel_op_status::success) {
            sum += number;
            back.push(number);
        }
    });
    for (long i = 0; i < count; i++) {
        there.push(i);
        peer_check(back.value_pop() == i, name);
    }
    there.close();
    other.join();
    peer_stop(name, watch, 2.0 * static_cast<double>(count));
    peer_check(sum == count * (count - 1) / 2, name);
}

static long skynet(long number, long leaves)
{
    long part[10], sum = 0;
    fibers::fiber branch[10];

    if (leaves == 1)
        return number;
    for (int i = 0; i < 10; i++) {
        long first = number + i * (leaves / 10), share = leaves / 10, *out = &part[i];
        branch[i] = spawn([=] { *out = skynet(first, share); });
    }
    for (int i = 0; i < 10; i++) {
        branch[i].join();
        sum += part[i];
    }
    return sum;
}

static void grow(const char *name, long divisor)
{
    long leaves = 1000000 / divisor;
    peer_watch watch = peer_start();
    long sum = skynet(0, leaves);

    peer_stop(name, watch, static_cast<double>(leaves));
    peer_check(sum == leaves * (leaves - 1) / 2, name);
    /* To take a million stacks apart takes longer than to grow them. */
    _exit(0);
}

static void run_skynet_on_two(const char *name, long divisor)
{
    on_two_threads([=] { grow(name, divisor); });
}

static long fib(int n)
{
    long before = 0, sum;

    if (n < 2)
        return n;
    fibers::fiber fork = spawn([&before, n] { before = fib(n - 1); });
    sum = fib(n - 2);
    fork.join();
    return before + sum;
}

/* Breadth first: of 32 there would be millions of stacks at once. */
static void fork_and_join(const char *name, long divisor)
{
    int n = divisor > 1 ? 22 : 26;
    double forks = n == 22 ? 28656 : 196417;
    peer_watch watch = peer_start();
    long sum = fib(n);

    peer_stop(name, watch, forks);
    peer_check(sum == (n == 22 ? 17711 : 121393), name);
    _exit(0);
}

static void run_fib_on_two(const char *name, long divisor)
{
    on_two_threads([=] { fork_and_join(name, divisor); });
}

static void run_sleep(const char *name, long divisor)
{
    long count = 1000000 / divisor;
    uint64_t seed = PEER_SEED;
    static long slept, early;

    peer_watch watch = peer_start();
    for (long i = 0; i < count; i++) {
        std::chrono::nanoseconds length(peer_random(&seed) % static_cast<uint64_t>(count * 1000));
        bool look = i % 1000 == 0;

        spawn([=] {
            auto start = std::chrono::steady_clock::now();
            boost::this_fiber::sleep_for(length);
            if (look && std::chrono::steady_clock::now() - start < length)
                early++;
            slept++;
        }).detach();
        if (i % 1000 == 999)
            boost::this_fiber::yield();
    }
    while (slept != count)
        boost::this_fiber::sleep_for(std::chrono::milliseconds(1));
    peer_stop(name, watch, static_cast<double>(count));
    peer_check(early == 0, name);
    _exit(0);
}

static void run_jobs(const char *name, long at_once, long jobs)
{
    using job = std::function<void()>;
    fibers::buffered_channel<job> queue(256);
    std::vector<std::thread> threads;
    std::vector<fibers::fiber> askers;
    std::atomic<long> done{0};
    long each = jobs / at_once;

    for (int i = 0; i < 4; i++)
        threads.emplace_back([&] {
            job next;
            while (queue.pop(next) == fibers::channel_op_status::success)
                next();
        });
    peer_watch watch = peer_start();
    for (long i = 0; i < at_once; i++)
        askers.push_back(spawn([&] {
            for (long k = 0; k < each; k++) {
                fibers::promise<void> promise;
                auto future = promise.get_future();
                queue.push([&] {
                    done.fetch_add(1, std::memory_order_relaxed);
                    promise.set_value();
                });
                future.wait();
            }
        }));
    for (auto &asker : askers)
        asker.join();
    peer_stop(name, watch, static_cast<double>(each * at_once));
    peer_check(done == each * at_once, name);
    queue.close();
    for (auto &thread : threads)
        thread.join();
}

static void run_one_job(const char *name, long divisor)
{
    run_jobs(name, 1, 20000 / divisor);
}

static void run_many_jobs(const char *name, long divisor)
{
    run_jobs(name, 64, 200000 / divisor);
}

static void run_parked(const char *name, long divisor)
{
    long count = 100000 / divisor;
    static long arrived, left;
    static fibers::mutex lock;
    static fibers::condition_variable go;
    static bool may_go;
    double resident = peer_resident();

    peer_watch watch = peer_start();
    for (long i = 0; i < count; i++)
        spawn([] {
            std::unique_lock<fibers::mutex> locked(lock);
            arrived++;
            go.wait(locked, [] { return may_go; });
            left++;
        }).detach();
    while (arrived != count)
        boost::this_fiber::yield();
    peer_stop(name, watch, static_cast<double>(count));
    peer_value(name, "rss", (peer_resident() - resident) / static_cast<double>(count), "bytes");
    watch = peer_start();
    {
        std::unique_lock<fibers::mutex> locked(lock);
        may_go = true;
    }
    go.notify_all();
    while (left != count)
        boost::this_fiber::yield();
    peer_stop("parked.wake", watch, static_cast<double>(count));
    _exit(0);
}

static const peer_work works[] = {{"yield", run_yield, PEER_WARM},
                                  {"spawn.1", spawn_all, PEER_WARM},
                                  {"spawn.2", run_spawn_on_two, PEER_COLD},
                                  {"wake.loops", run_wake, PEER_WARM},
                                  {"channel.1", run_channel, PEER_WARM},
                                  {"skynet.1", grow, PEER_COLD},
                                  {"skynet.2", run_skynet_on_two, PEER_COLD},
                                  {"fib.1", fork_and_join, PEER_COLD},
                                  {"fib.2", run_fib_on_two, PEER_COLD},
                                  {"timers.sleep", run_sleep, PEER_COLD},
                                  {"executor.1", run_one_job, PEER_WARM},
                                  {"executor.64", run_many_jobs, PEER_WARM},
                                  {"parked", run_parked, PEER_COLD},
                                  {nullptr, nullptr, 0}};

int main(int argc, char **argv)
{
    return peer_main(argc, argv, works);
}
