/*
 * peers/boost_context.cpp - Boost.Context: stackful contexts without a scheduler.
 *
 *     switch         jump_fcontext() between two, with eight places each to come back to
 *     spawn.1        make a context on a pooled stack, resume it, let it end
 */
#include "peer.h"

#include <utility>

#include <boost/context/detail/fcontext.hpp>
#include <boost/context/fiber.hpp>
#include <boost/context/pooled_fixedsize_stack.hpp>

namespace context = boost::context;
using context::detail::fcontext_t;
using context::detail::jump_fcontext;
using context::detail::transfer_t;

#define EIGHT(x) x x x x x x x x

static long arrivals;

static void other_side(transfer_t from)
{
    for (;;) {
        EIGHT(arrivals++; from = jump_fcontext(from.fctx, nullptr);)
    }
}

static void run_switch(const char *name, long divisor)
{
    const size_t bytes = 64 * 1024;
    char *stack = static_cast<char *>(malloc(bytes));
    long rounds = 2000000 / divisor;
    fcontext_t other = context::detail::make_fcontext(stack + bytes, bytes, other_side);

    arrivals = 0;
    peer_watch watch = peer_start();
    for (long i = 0; i < rounds; i++) {
        EIGHT(other = jump_fcontext(other, nullptr).fctx;)
    }
    peer_stop(name, watch, 16.0 * static_cast<double>(rounds));
    peer_check(arrivals == 8 * rounds, name);
    free(stack);
}

static void run_spawn(const char *name, long divisor)
{
    long count = 3000000 / divisor, ran = 0;
    context::pooled_fixedsize_stack pool(16 * 1024);

    peer_watch watch = peer_start();
    for (long i = 0; i < count; i++) {
        context::fiber fiber(std::allocator_arg, pool, [&](context::fiber &&main) {
            ran++;
            return std::move(main);
        });
        fiber = std::move(fiber).resume();
    }
    peer_stop(name, watch, static_cast<double>(count));
    peer_check(ran == count, name);
}

static const peer_work works[] = {
    {"switch", run_switch, PEER_WARM}, {"spawn.1", run_spawn, PEER_WARM}, {nullptr, nullptr, 0}};

int main(int argc, char **argv)
{
    return peer_main(argc, argv, works);
}
