/*
 * raddle/stats.c - the figures behind /stats.
 */
#include "tools/raddle/json.h"
#include "tools/raddle/process.h"
#include "tools/raddle/server.h"

/* tasks only in the sum: a loop where stolen tasks ended counts below zero. */
static void add_loop(struct rdl_json *json, const struct raddle_loop_stats *loop)
{
    rdl_json_unsigned(json, "switches", loop->switches);
    rdl_json_unsigned(json, "spawns", loop->spawns);
    rdl_json_unsigned(json, "steals", loop->steals);
    rdl_json_unsigned(json, "wakes", loop->wakes_sent);
    rdl_json_unsigned(json, "parks", loop->parks);
    rdl_json_unsigned(json, "polls", loop->polls);
    rdl_json_unsigned(json, "completions", loop->completions);
    rdl_json_unsigned(json, "timers", loop->timers);
    rdl_json_signed(json, "paged_out", loop->paged_out);
}

static void add_loops(struct rdl_json *json)
{
    struct raddle_loop_stats sum = {0}, loop;
    unsigned count = raddle_loop_count();

    rdl_json_open(json, "loops", '[');
    for (unsigned i = 0; i < count && raddle_get_loop_stats(i, &loop) == 0; i++) {
        rdl_json_open(json, NULL, '{');
        rdl_json_unsigned(json, "loop", i);
        add_loop(json, &loop);
        rdl_json_close(json, '}');
        sum.switches += loop.switches;
        sum.spawns += loop.spawns;
        sum.steals += loop.steals;
        sum.wakes_sent += loop.wakes_sent;
        sum.parks += loop.parks;
        sum.polls += loop.polls;
        sum.completions += loop.completions;
        sum.timers += loop.timers;
        sum.tasks += loop.tasks;
    }
    rdl_json_close(json, ']');
    rdl_json_open(json, "total", '{');
    rdl_json_signed(json, "tasks", (int64_t)sum.tasks);
    add_loop(json, &sum);
    rdl_json_close(json, '}');
}

static void add_executor(struct rdl_json *json)
{
    struct raddle_executor_stats executor = {0};

    (void)raddle_executor_get_stats(NULL, &executor);
    rdl_json_open(json, "executor", '{');
    rdl_json_unsigned(json, "threads", executor.threads);
    rdl_json_unsigned(json, "idle", executor.idle);
    rdl_json_unsigned(json, "queued", executor.queued);
    rdl_json_unsigned(json, "running", executor.running);
    rdl_json_unsigned(json, "completed", executor.completed);
    rdl_json_unsigned(json, "rejected", executor.rejected);
    rdl_json_unsigned(json, "cancelled", executor.cancelled);
    rdl_json_close(json, '}');
}

static void add_process(struct rdl_json *json)
{
    rdl_json_open(json, "process", '{');
    rdl_json_signed(json, "cpu_ns", rdl_process_cpu());
    rdl_json_unsigned(json, "resident_bytes", rdl_process_resident());
    rdl_json_unsigned(json, "page_table_bytes", rdl_process_page_tables());
    rdl_json_unsigned(json, "descriptors", rdl_process_descriptors());
    rdl_json_close(json, '}');
}

int64_t rdl_server_stats(struct rdl_server *server, char *buffer, size_t size)
{
    struct rdl_json json;

    rdl_json_init(&json, buffer, size);
    rdl_json_open(&json, NULL, '{');
    rdl_json_string(&json, "version", raddle_version());
    rdl_json_string(&json, "driver", server->driver);
    rdl_json_signed(&json, "uptime_ns", raddle_now() - server->started);
    rdl_json_unsigned(&json, "requests", rdl_atomic_load_relaxed(&server->requests));
    rdl_json_unsigned(&json, "refused", rdl_atomic_load_relaxed(&server->refused));
    rdl_json_unsigned(&json, "connections", rdl_atomic_load_relaxed(&server->connections));
    rdl_json_unsigned(&json, "open", rdl_atomic_load_relaxed(&server->open));
    add_loops(&json);
    add_executor(&json);
    add_process(&json);
    rdl_json_close(&json, '}');
    return rdl_json_finish(&json);
}
