/*
 * tests/model/litmus.c - checks the checker: the standard litmus tests, as RC11 has them.
 *
 * Each test enumerates every combination of values that its registers could hold. Those that the model
 * forbids must never show up, and all others must, with both schedulers. Then some small programs with a
 * known fault, which must be found, each beside its sound twin, which must not be blamed.
 *
 *     litmus [SCHEDULES]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sched/atomic.h"
#include "sched/lock.h"
#include "tests/model/core.h"
#include "tests/model/litmus.h"

unsigned litmus_r[LITMUS_REGISTERS];
rdl_atomic(uint32_t) litmus_x, litmus_y;
unsigned litmus_plain;
struct rdl_lock litmus_lock;

static const struct litmus *test;

static void begin(void)
{
    rdl_atomic_init(&litmus_x, 0u);
    rdl_atomic_init(&litmus_y, 0u);
    rdl_atomic_init(&litmus_lock.held, 0u);
    litmus_plain = 0;
    memset(litmus_r, 0, sizeof litmus_r);
    for (unsigned i = 0; i < LITMUS_THREADS && test->threads[i]; i++) {
        static const char *const names[] = {"T1", "T2", "T3", "T4"};

        model_spawn(names[i], test->threads[i], NULL);
    }
}

static void end(void)
{
    if (test->end)
        test->end();
}

static const struct model_case any_case = {"litmus", begin, end};

static unsigned outcome_count(void)
{
    unsigned count = 1;

    for (unsigned i = 0; i < LITMUS_REGISTERS && test->values[i]; i++)
        count *= test->values[i];
    return count;
}

/* The registers as one number, and back. */
static unsigned encode(void)
{
    unsigned number = 0;

    for (unsigned i = 0; i < LITMUS_REGISTERS && test->values[i]; i++) {
        if (litmus_r[i] >= test->values[i]) {
            printf("FAIL litmus %s: r%u is %u\n", test->name, i, litmus_r[i]);
            exit(1);
        }
        number = number * test->values[i] + litmus_r[i];
    }
    return number;
}

static const char *decode(unsigned number)
{
    static char text[LITMUS_REGISTERS + 1];
    unsigned n = 0;

    while (n < LITMUS_REGISTERS && test->values[n])
        n++;
    text[n] = '\0';
    for (unsigned i = n; i-- > 0; number /= test->values[i]) {
        litmus_r[i] = number % test->values[i];
        text[i] = (char)('0' + litmus_r[i]);
    }
    return text;
}

static bool run_litmus(uint64_t schedules)
{
    static uint64_t seen[LITMUS_OUTCOMES];
    unsigned count = outcome_count(), allowed = 0;
    bool good = true;

    memset(seen, 0, sizeof seen);
    for (int pct = 0; pct < 2; pct++) {
        model_settings.pct = pct;
        for (uint64_t seed = 1; seed <= schedules; seed++) {
            if (!model_run(&any_case, seed)) {
                printf("FAIL litmus %s: seed %llu: %s\n", test->name, (unsigned long long)seed,
                       model_failure);
                return false;
            }
            seen[encode()]++;
        }
    }
    for (unsigned i = 0; i < count; i++) {
        const char *text = decode(i);
        bool forbidden = test->forbidden && test->forbidden();

        allowed += !forbidden;
        if (forbidden == (seen[i] > 0)) {
            printf("FAIL litmus %s: outcome %s is %s but was seen %llu times\n", test->name, text,
                   forbidden ? "forbidden" : "allowed", (unsigned long long)seen[i]);
            good = false;
        }
    }
    if (good)
        printf("litmus %-28s %2u outcomes allowed and seen, %2u forbidden and not\n", test->name,
               allowed, count - allowed);
    return good;
}

static bool run_fault(const struct litmus_fault *fault, uint64_t schedules)
{
    struct litmus as_test = {.name = fault->name};
    uint64_t found = 0;

    memcpy(as_test.threads, fault->threads, sizeof as_test.threads);
    test = &as_test;
    model_settings.pct = true;
    for (uint64_t seed = 1; seed <= schedules && !found; seed++) {
        if (model_run(&any_case, seed))
            continue;
        if (!fault->text || !strstr(model_failure, fault->text)) {
            printf("FAIL litmus %s: seed %llu: %s\n", fault->name, (unsigned long long)seed,
                   model_failure);
            return false;
        }
        found = seed;
    }
    if (fault->text && !found) {
        printf("FAIL litmus %s: not found: %s\n", fault->name, fault->text);
        return false;
    }
    printf("litmus %-28s %s\n", fault->name, fault->text ? fault->text : "not blamed");
    return true;
}

int main(int argc, char **argv)
{
    uint64_t schedules = argc > 1 ? strtoull(argv[1], NULL, 10) : 50000;
    bool good = schedules > 0;
    unsigned count = 0;

    model_settings =
        (struct model_settings){.pct = true, .depth = 3, .steps_expected = 8, .steps_max = 1000};
    for (test = litmus_tests; test->name; test++, count++)
        good &= run_litmus(schedules);
    for (const struct litmus_fault *fault = litmus_faults; fault->name; fault++, count++)
        good &= run_fault(fault, schedules);
    printf("litmus: %u tests, %s\n", count, good ? "all as RC11 says" : "FAILED");
    return good ? 0 : 1;
}
