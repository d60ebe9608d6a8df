/*
 * tests/model/memory.c - the weak memory: which value a load may return.
 *
 * The memory is that of RC11 (Lahav et al., PLDI 2017) with the release sequences of C++20, as a machine
 * that runs an execution step by step, in the manner of "promising semantics" without promises. Every
 * location keeps its stores in modification order, each with a stamp; a thread may read any of them that
 * is not older than what it has seen, and a store may come to stand between older ones. What "seen" means
 * is the whole model:
 *
 *   - coherence: what the thread itself has read or written, and what those had seen with whom it
 *     synchronised (acquire of a release, lock, fence);
 *   - a read-modify-write reads a store that no other one has read, and stands right behind it for ever;
 *   - release: a store tells its reader what its thread knew, if it is a release; what its thread knew at
 *     its last fence, if it is relaxed. A read-modify-write also tells on what the store told that it read;
 *   - seq_cst: operations and fences are ordered as they are executed, S. A seq_cst operation sees what a
 *     seq_cst store before it in S has stored, and what a fence before it in S had seen. A fence sees both
 *     for all locations, and its thread goes on from there.
 *
 * Not reached: load buffering, since nothing can read a store that hasn't been executed, and executions
 * whose only order S disagrees with what read from what. See README.md.
 *
 * Each location keeps the last HISTORY stores; an older one can't be read any more.
 */
#include "tests/model/core.h"

#include <string.h>

enum {
    HISTORY = 16,
    STRIDE =
        1 << 12, /* between the stamps of stores one after the other: room for those in between */
    STORES = MODEL_LOCATIONS * HISTORY + 1,
};

struct store {
    uint64_t value;
    uint32_t stamp;
    bool followed; /* a read-modify-write has read it: nothing can stand between */
    unsigned known_locations;
    struct model_knowledge tells;
};

struct location {
    const void *address;
    size_t size;
    uint32_t seq_cst; /* stamp of the newest seq_cst store */
    unsigned made_by; /* and when: using it without knowing of that is a failure */
    uint32_t made_at;
    uint32_t touched[MODEL_THREADS];
    bool stale; /* was written to as plain memory: begins anew */
    unsigned count;
    struct store *history[HISTORY]; /* oldest first */
};

static struct location locations[MODEL_LOCATIONS];
static unsigned location_count;
static struct store stores[STORES];
static struct store *spare[STORES];
static unsigned spare_count;

/* What the fences so far had seen. */
static uint32_t fences[MODEL_LOCATIONS];

void model_memory_begin(void)
{
    static bool begun;

    for (; !begun && spare_count < STORES; spare_count++)
        spare[spare_count] = &stores[STORES - 1 - spare_count];
    begun = true;
    for (; location_count > 0; location_count--) {
        struct location *l = &locations[location_count - 1];

        while (l->count > 0)
            spare[spare_count++] = l->history[--l->count];
    }
}

static bool acquires(enum model_order order)
{
    return order == MODEL_ACQUIRE || order == MODEL_ACQ_REL || order == MODEL_SEQ_CST;
}

static bool releases(enum model_order order)
{
    return order == MODEL_RELEASE || order == MODEL_ACQ_REL || order == MODEL_SEQ_CST;
}

static void at_least(uint32_t *value, uint32_t bound)
{
    if (*value < bound)
        *value = bound;
}

static void join_some(struct model_knowledge *into, const struct model_knowledge *from,
                      unsigned known_locations)
{
    for (unsigned i = 0; i < MODEL_THREADS; i++)
        at_least(&into->clock[i], from->clock[i]);
    for (unsigned i = 0; i < known_locations; i++)
        at_least(&into->seen[i], from->seen[i]);
}

void model_join(struct model_knowledge *into, const struct model_knowledge *from)
{
    join_some(into, from, location_count);
}

static void copy(struct model_knowledge *to, const struct model_knowledge *from)
{
    memcpy(to->clock, from->clock, sizeof to->clock);
    memcpy(to->seen, from->seen, location_count * sizeof to->seen[0]);
}

static uint64_t cut(uint64_t value, size_t size)
{
    return size >= 8 ? value : value & ((UINT64_C(1) << (8 * size)) - 1);
}

static void mirror(struct location *l)
{
    memcpy((void *)(uintptr_t)l->address, &l->history[l->count - 1]->value, l->size);
}

/* Puts a store into l's history at position, dropping the oldest where there are too many. */
static struct store *insert(struct location *l, unsigned position, uint64_t value, uint32_t stamp)
{
    /* Taken before the oldest is given back, which may be the one that the caller has just read. */
    struct store *s = spare[--spare_count];

    if (l->count == HISTORY) {
        spare[spare_count++] = l->history[0];
        memmove(&l->history[0], &l->history[1], (HISTORY - 1) * sizeof l->history[0]);
        l->count--;
        position--;
    }
    s->value = cut(value, l->size);
    s->stamp = stamp;
    s->followed = false;
    s->known_locations = 0;
    memmove(&l->history[position + 1], &l->history[position],
            (l->count - position) * sizeof l->history[0]);
    l->history[position] = s;
    l->count++;
    return s;
}

/* l begins, with the value that everybody sees who may use it. */
static void begin_location(struct location *l, uint64_t value)
{
    struct store *s;

    while (l->count > 0)
        spare[spare_count++] = l->history[--l->count];
    l->seq_cst = 0;
    l->made_by = model_current;
    l->made_at = model_minds[model_current].now.clock[model_current];
    memset(l->touched, 0, sizeof l->touched);
    l->stale = false;
    /* Beyond what anybody has seen of what was there before. */
    s = insert(l, 0, value, fences[l - locations] + STRIDE);
    for (unsigned i = 0; i < model_thread_count; i++) {
        at_least(&s->stamp, model_minds[i].now.seen[l - locations] + STRIDE);
        at_least(&s->stamp, model_minds[i].unfenced.seen[l - locations] + STRIDE);
    }
    memset(s->tells.clock, 0, sizeof s->tells.clock);
}

static uint64_t in_memory(const void *p, size_t size)
{
    uint64_t value = 0;

    memcpy(&value, p, size);
    return value;
}

static struct location *location_at(const void *p, size_t size)
{
    uintptr_t address = (uintptr_t)p;
    struct model_cell *cell = model_cell_at(address);
    uint8_t *index = &cell->location[address % 8];
    struct location *l;

    if (cell->poisoned & 1u << address % 8)
        model_fail("an atomic operation on memory that was given back");
    if (*index == 0) {
        if (location_count == MODEL_LOCATIONS)
            model_fail("the checker has room for %d atomic variables only", MODEL_LOCATIONS);
        l = &locations[location_count];
        l->address = p;
        l->size = size;
        l->count = 0;
        fences[location_count] = 0;
        for (unsigned i = 0; i < MODEL_THREADS; i++) {
            model_minds[i].now.seen[location_count] = 0;
            model_minds[i].unfenced.seen[location_count] = 0;
            model_minds[i].fenced.seen[location_count] = 0;
        }
        *index = (uint8_t)++location_count;
        cell->has_locations = true;
        begin_location(l, in_memory(p, size));
        /* Static, or made by a plain write (of zeroes, mostly), which must be known here: that is not
         * an atomic operation, but a plain read would race with it just the same. */
        l->made_by = 0;
        l->made_at = 0;
        model_plain_read_only(p, size);
    }
    l = &locations[*index - 1];
    if (l->size != size)
        model_fail("an atomic variable of %zu bytes is used as one of %zu", l->size, size);
    return l;
}

/* The location of an operation of the current thread. */
static struct location *use(const void *p, size_t size)
{
    struct model_mind *me = &model_minds[model_current];
    struct location *l = location_at(p, size);

    if (l->stale) {
        unsigned made_by = l->made_by; /* when it was written, which was earlier than now */
        uint32_t made_at = l->made_at;

        begin_location(l, in_memory(p, size));
        l->made_by = made_by;
        l->made_at = made_at;
    }
    if (l->made_by != model_current && me->now.clock[l->made_by] < l->made_at)
        model_fail("%s uses an atomic variable that %s initialises at the same time",
                   model_thread_name(model_current), model_thread_name(l->made_by));
    l->touched[model_current] = me->now.clock[model_current];
    return l;
}

void model_plain_on_location(unsigned location, bool write)
{
    struct model_mind *me = &model_minds[model_current];
    struct location *l = &locations[location];

    for (unsigned i = 0; i < model_thread_count; i++)
        if (i != model_current && l->touched[i] > me->now.clock[i])
            model_fail("%s treats as plain memory an atomic variable that %s is using",
                       model_thread_name(model_current), model_thread_name(i));
    if (write) {
        l->stale = true;
        l->made_by = model_current;
        l->made_at = me->now.clock[model_current];
    }
}

/* The oldest stamp that the current thread may read at l, and behind which it may store. */
static uint32_t floor_of(const struct location *l, enum model_order order)
{
    size_t i = (size_t)(l - locations);
    uint32_t floor = model_minds[model_current].now.seen[i];

    if (order == MODEL_SEQ_CST) {
        at_least(&floor, l->seq_cst);
        at_least(&floor, fences[i]);
    }
    return floor;
}

/* Position of the oldest store that may be read. */
static unsigned oldest(const struct location *l, uint32_t floor)
{
    unsigned i = l->count - 1;

    while (i > 0 && l->history[i - 1]->stamp >= floor)
        i--;
    return i;
}

/* A position from low to high: high as often as all the others together. */
static unsigned choose_position(unsigned low, unsigned high)
{
    uint32_t r;

    if (low == high || model_minds[model_current].fresh || model_current == 0)
        return high;
    r = model_random();
    return r & 1 ? high : low + (r >> 1) % (high - low);
}

/* The current thread has read s. */
static void learn(const struct location *l, const struct store *s, enum model_order order)
{
    struct model_mind *me = &model_minds[model_current];

    at_least(&me->now.seen[l - locations], s->stamp);
    join_some(acquires(order) ? &me->now : &me->unfenced, &s->tells, s->known_locations);
}

/* The current thread has stored s, having read source if it was a read-modify-write. */
static void tell(struct location *l, struct store *s, enum model_order order,
                 const struct store *source)
{
    struct model_mind *me = &model_minds[model_current];
    size_t i = (size_t)(l - locations);

    at_least(&me->now.seen[i], s->stamp);
    s->known_locations = location_count;
    copy(&s->tells, releases(order) ? &me->now : &me->fenced);
    if (source)
        join_some(&s->tells, &source->tells, source->known_locations);
    at_least(&s->tells.seen[i], s->stamp);
    if (order == MODEL_SEQ_CST)
        at_least(&l->seq_cst, s->stamp);
    me->now.clock[model_current]++;
    mirror(l);
    model_stored((unsigned)i);
}

/* The stamp of a store between position and the next, or 0 if none can stand there. */
static uint32_t stamp_behind(const struct location *l, unsigned position)
{
    uint32_t stamp = l->history[position]->stamp;
    uint32_t gap;

    if (position + 1 == l->count)
        return stamp + STRIDE;
    gap = l->history[position + 1]->stamp - stamp;
    return gap < 2 || l->history[position]->followed ? 0 : stamp + gap / 2;
}

void model_init(struct model_site *site, void *p, size_t size, uint64_t value)
{
    struct location *l = location_at(p, size);

    model_plain_on_location((unsigned)(l - locations), true);
    begin_location(l, value);
    mirror(l);
    l->touched[model_current] = l->made_at;
    model_minds[model_current].now.clock[model_current]++;
    model_trace(site, "init %s", model_value_text(cut(value, size)));
}

uint64_t model_newest(const void *p, size_t size, unsigned *location)
{
    struct location *l = use(p, size);

    *location = (unsigned)(l - locations);
    return l->history[l->count - 1]->value;
}

static const char *const order_names[] = {"relaxed", "acquire", "release", "acq_rel", "seq_cst"};

/* For the trace: which of the stores it was. */
static const char *age(const struct location *l, const struct store *s)
{
    return s == l->history[l->count - 1] ? "" : "  (not the newest)";
}

uint64_t model_load(struct model_site *site, const void *p, size_t size, enum model_order order)
{
    struct location *l;
    struct store *s;

    if (model_unwatched(site))
        return in_memory(p, size);
    model_step();
    l = use(p, size);
    s = l->history[choose_position(oldest(l, floor_of(l, order)), l->count - 1)];
    learn(l, s, order);
    model_trace(site, "load %s: %s%s", order_names[order], model_value_text(s->value), age(l, s));
    return s->value;
}

void model_store(struct model_site *site, void *p, size_t size, uint64_t value,
                 enum model_order order)
{
    struct location *l;
    struct store *s;
    unsigned position;
    uint32_t stamp;

    if (model_unwatched(site)) {
        memcpy(p, &value, size);
        return;
    }
    model_step();
    l = use(p, size);
    position = l->count - 1;
    /* Seldom, a store that others have already overtaken. */
    if (model_current != 0 && position > 0 && model_random() % 8 == 0)
        position = choose_position(oldest(l, floor_of(l, order)), position);
    stamp = stamp_behind(l, position);
    if (stamp == 0 || l->history[position]->stamp < floor_of(l, order)) {
        position = l->count - 1;
        stamp = stamp_behind(l, position);
    }
    s = insert(l, position + 1, value, stamp);
    tell(l, s, order, NULL);
    model_trace(site, "store %s: %s%s", order_names[order], model_value_text(s->value), age(l, s));
}

/* The store that a read-modify-write reads. Where expected is given: any that differs from it, or one
 * that equals it and isn't taken by another read-modify-write. */
static unsigned source_of(const struct location *l, enum model_order order,
                          const uint64_t *expected)
{
    unsigned newest = l->count - 1;
    unsigned i = choose_position(oldest(l, floor_of(l, order)), newest);

    if (i == newest || (expected && l->history[i]->value != *expected))
        return i;
    return stamp_behind(l, i) ? i : newest;
}

static struct store *modify(struct location *l, unsigned source, uint64_t value,
                            enum model_order order)
{
    struct store *read = l->history[source];
    uint32_t stamp = stamp_behind(l, source);
    struct store *s = insert(l, source + 1, value, stamp);

    read->followed = true;
    learn(l, read, order);
    tell(l, s, order, read);
    return s;
}

static uint64_t changed(uint64_t before, enum model_change change, uint64_t operand)
{
    switch (change) {
    case MODEL_ADD:
        return before + operand;
    case MODEL_SUB:
        return before - operand;
    case MODEL_OR:
        return before | operand;
    case MODEL_AND:
        return before & operand;
    case MODEL_EXCHANGE:
        break;
    }
    return operand;
}

uint64_t model_change(struct model_site *site, void *p, size_t size, enum model_change change,
                      uint64_t operand, enum model_order order)
{
    struct location *l;
    struct store *s;
    uint64_t before;
    unsigned source;

    if (model_unwatched(site)) {
        before = in_memory(p, size);
        operand = changed(before, change, operand);
        memcpy(p, &operand, size);
        return before;
    }
    model_step();
    l = use(p, size);
    source = source_of(l, order, NULL);
    before = l->history[source]->value;
    s = modify(l, source, changed(before, change, operand), order);
    model_trace(site, "change %s: %s to %s%s", order_names[order], model_value_text(before),
                model_value_text(s->value), age(l, s));
    return before;
}

bool model_cas(struct model_site *site, void *p, size_t size, void *expected, uint64_t value,
               enum model_order order, enum model_order failure)
{
    uint64_t wanted = in_memory(expected, size), before;
    struct location *l;
    struct store *s;
    unsigned source;

    model_step();
    l = use(p, size);
    source = source_of(l, order, &wanted);
    s = l->history[source];
    before = s->value;
    if (before != wanted) {
        learn(l, s, failure);
        memcpy(expected, &before, size);
        model_trace(site, "cas %s: fails, is %s%s", order_names[order], model_value_text(before),
                    age(l, s));
        return false;
    }
    s = modify(l, source, value, order);
    model_trace(site, "cas %s: %s to %s%s", order_names[order], model_value_text(before),
                model_value_text(s->value), age(l, s));
    return true;
}

void model_fence_seq_cst(struct model_site *site)
{
    struct model_mind *me = &model_minds[model_current];

    model_step();
    model_join(&me->now, &me->unfenced);
    for (unsigned i = 0; i < location_count; i++) {
        at_least(&me->now.seen[i], fences[i]);
        at_least(&me->now.seen[i], locations[i].seq_cst);
        fences[i] = me->now.seen[i];
    }
    copy(&me->fenced, &me->now);
    me->now.clock[model_current]++;
    model_trace(site, "fence seq_cst");
}
