/*
 * tests/conformance/seeds_group.c - groups, scopes in scopes, and many calls at once: every child ends, none too many
 * live, the first failure is the result, and who is cancelled is so because of what is around it.
 */
#include "tests/conformance/seeds.h"

#include <errno.h>

enum { CHILDREN = 8, DEPTH = 4 };

/* Children of one group, some of which fail. */

struct family;

struct child {
    struct family *family;
    unsigned number;
    uint32_t random;
    int rc; /* what it means to return */
    bool began, ended, cancelled;
};

struct family {
    struct child children[CHILDREN];
    unsigned live, most;
    int first_rc; /* of the first that failed */
    bool succeeded;
};

static void make_family(struct family *f, uint32_t *random)
{
    *f = (struct family){.live = 0};
    for (unsigned i = 0; i < CHILDREN; i++)
        f->children[i] = (struct child){
            .family = f,
            .number = i,
            .random = test_random(random),
            .rc = seeds_below(random, 4) ? (int)i : -(int)(1000 + i),
        };
}

static int lives(void *arg)
{
    struct child *c = arg;
    struct family *f = c->family;
    int rc;

    c->began = true;
    if (++f->live > f->most)
        f->most = f->live;
    rc = raddle_sleep(seeds_while(&c->random));
    if (rc < 0 && seeds_below(&c->random, 2))
        seeds_pause(seeds_while(&c->random));
    f->live--;
    c->ended = true;
    if (rc < 0) {
        EXPECT_EQ(rc, -ECANCELED);
        c->cancelled = true;
        return rc;
    }
    if (c->rc < 0 && !f->first_rc)
        f->first_rc = c->rc;
    f->succeeded |= c->rc >= 0;
    return c->rc;
}

static void check_family(const struct family *f, bool all)
{
    EXPECT_EQ(f->live, 0);
    for (unsigned i = 0; i < CHILDREN; i++) {
        EXPECT_EQ(f->children[i].began, f->children[i].ended);
        EXPECT(!all || (f->children[i].ended && !f->children[i].cancelled));
    }
}

static int spawns_some(struct raddle_group *g, struct family *f, uint32_t *random)
{
    int rc = 0;

    for (unsigned i = 0; i < CHILDREN && rc == 0; i++)
        rc = raddle_spawn(g, NULL, lives, &f->children[i], seeds_mobility(random));
    return rc;
}

int seeds_groups(void *random)
{
    struct family f;
    struct raddle_group g;
    struct raddle_group_error errors[CHILDREN];
    struct raddle_group_options options = {
        .mode = seeds_below(random, 2) ? RADDLE_FAIL_FAST : RADDLE_COLLECT,
        .max_live = seeds_below(random, 4),
        .errors = errors,
        .max_errors = CHILDREN,
    };
    size_t failed;
    int rc;

    make_family(&f, random);
    if (seeds_below(random, 4) == 0)
        options.deadline = raddle_in(2 * seeds_while(random));
    EXPECT_EQ(raddle_group_open(&g, &options), 0);
    rc = spawns_some(&g, &f, random);
    EXPECT(rc == 0 || (rc == -ECANCELED && (options.deadline || f.first_rc)));
    rc = raddle_group_close(&g, rc);
    failed = raddle_group_errors(&g);
    check_family(&f, options.mode == RADDLE_COLLECT && !options.deadline);
    EXPECT(!options.max_live || f.most <= options.max_live);
    if (f.first_rc) {
        EXPECT(failed >= 1);
        EXPECT_EQ(rc, f.first_rc);
        EXPECT_EQ(errors[0].rc, f.first_rc);
    } else {
        EXPECT_EQ(failed, 0);
        EXPECT(rc == 0 || (rc == -ETIMEDOUT && options.deadline));
    }
    return 0;
}

/* Scopes in scopes, with deadlines and shields, which another task cancels in some order. */

struct level {
    struct raddle_scope scope;
    raddle_time deadline;
    bool shielded;
    bool inside, cancelled;
};

struct tower {
    struct level levels[DEPTH];
    uint32_t random, cancellers_random;
    bool over;
};

static bool has_ended(const struct level *l)
{
    return l->cancelled || l->deadline <= raddle_now();
}

/* Is there a cause at this depth, or around it and not behind a shield? */
static bool has_cause(const struct tower *t, int depth)
{
    for (; depth >= 0; depth--) {
        if (has_ended(&t->levels[depth]))
            return true;
        if (t->levels[depth].shielded)
            break;
    }
    return false;
}

static bool has_outer_cause(const struct tower *t, int depth)
{
    while (--depth >= 0)
        if (has_ended(&t->levels[depth]))
            return true;
    return false;
}

static int cancels_levels(void *arg)
{
    struct tower *t = arg;

    while (!t->over) {
        struct level *l = &t->levels[seeds_below(&t->cancellers_random, DEPTH)];

        if (l->inside && seeds_below(&t->cancellers_random, 3) == 0) {
            l->cancelled = true;
            raddle_scope_cancel(&l->scope, "the canceller");
        }
        EXPECT_EQ(raddle_sleep(1 + 2 * seeds_while(&t->cancellers_random)), 0);
    }
    return 0;
}

static int sleeps_below(void *arg)
{
    struct tower *t = arg;
    int rc = raddle_sleep(3 * seeds_while(&t->random));

    EXPECT(rc == 0 || has_cause(t, DEPTH - 1));
    return rc;
}

/* At the innermost level: sleeps, or has two children that do. */
static int waits_inside(struct tower *t)
{
    struct raddle_group g;

    if (seeds_below(&t->random, 2))
        return raddle_sleep(3 * seeds_while(&t->random));
    EXPECT_EQ(raddle_group_open(&g, NULL), 0);
    for (unsigned i = 0; i < 2; i++)
        seeds_spawn(&g, NULL, sleeps_below, t, &t->random);
    return raddle_group_close(&g, 0);
}

static int goes_down(struct tower *t, int depth)
{
    struct level *l;
    int rc, left_rc;

    if (depth == DEPTH)
        return waits_inside(t);
    l = &t->levels[depth];
    *l = (struct level){.deadline = RADDLE_NEVER, .shielded = seeds_below(&t->random, 5) == 0};
    if (seeds_below(&t->random, 2))
        l->deadline = raddle_in(4 * seeds_while(&t->random));
    raddle_scope_enter(&l->scope, l->deadline, l->shielded ? RADDLE_SHIELD : 0);
    l->inside = true;
    rc = goes_down(t, depth + 1);
    if (rc == 0 && seeds_below(&t->random, 2))
        rc = raddle_checkpoint();
    EXPECT(rc == 0 || rc == -ETIMEDOUT || (rc == -ECANCELED && has_cause(t, depth)));
    l->inside = false;
    left_rc = raddle_scope_leave(&l->scope, rc);
    if (left_rc == rc)
        EXPECT(rc != -ECANCELED || has_outer_cause(t, depth));
    else
        EXPECT(rc == -ECANCELED && raddle_scope_caught(&l->scope) &&
               (left_rc == 0 ? l->cancelled : left_rc == -ETIMEDOUT && has_ended(l)));
    /* What was late at one level is a result like others further out. */
    return left_rc == -ETIMEDOUT ? 0 : left_rc;
}

int seeds_scopes(void *random)
{
    struct raddle_group g;
    struct tower t = {.random = test_random(random), .cancellers_random = test_random(random)};

    seeds_open(&g);
    seeds_spawn(&g, NULL, cancels_levels, &t, random);
    for (unsigned i = 0; i < 4; i++) {
        EXPECT_EQ(goes_down(&t, 0), 0);
        EXPECT_EQ(raddle_checkpoint(), 0);
        EXPECT_EQ(raddle_effective_deadline(), RADDLE_NEVER);
    }
    t.over = true;
    return raddle_group_close(&g, 0);
}

/* Many calls at once. */

static int gathers(struct family *f, struct raddle_call *calls, uint32_t *random)
{
    struct raddle_group_options options = {
        .mode = seeds_below(random, 2) ? RADDLE_FAIL_FAST : RADDLE_COLLECT,
        .max_live = seeds_below(random, 4),
    };
    int rc = raddle_gather(calls, CHILDREN, &options);

    check_family(f, options.mode == RADDLE_COLLECT);
    EXPECT(!options.max_live || f->most <= options.max_live);
    EXPECT_EQ(rc, f->first_rc);
    return rc;
}

static int races(struct family *f, struct raddle_call *calls, uint32_t *random)
{
    size_t winner = CHILDREN;
    int rc = raddle_race(calls, CHILDREN, seeds_while(random), &winner);

    check_family(f, false);
    if (f->succeeded) {
        EXPECT(winner < CHILDREN);
        EXPECT(rc >= 0 && f->children[winner].rc == rc);
        EXPECT(calls[winner].outcome.kind == RADDLE_OK);
    } else {
        EXPECT_EQ(winner, CHILDREN);
        EXPECT_EQ(rc, f->first_rc);
    }
    return rc;
}

/* Waits for some of them, in a limited time, again and again until all have ended. */
static int waits_for(struct family *f, uint32_t *random)
{
    raddle_task *tasks[CHILDREN] = {NULL};
    bool done[CHILDREN];
    struct raddle_group g;
    int ended = 0;

    seeds_open(&g);
    for (unsigned i = 0; i < CHILDREN; i++)
        seeds_spawn(&g, &tasks[i], lives, &f->children[i], random);
    while (ended < CHILDREN) {
        enum raddle_when when = (enum raddle_when)seeds_below(random, 3);
        struct raddle_scope limit;
        int rc, count = 0;

        raddle_scope_enter(&limit, raddle_in(1 + seeds_while(random)), RADDLE_QUIET);
        rc = raddle_wait(tasks, CHILDREN, when, done);
        for (unsigned i = 0; i < CHILDREN; i++)
            count += done[i];
        EXPECT(rc == count || rc == -ECANCELED);
        EXPECT(count >= ended);
        ended = count;
        EXPECT(rc < 0 || ended == CHILDREN || when != RADDLE_ALL);
        rc = raddle_scope_leave(&limit, rc);
        EXPECT(rc >= 0);
        if (seeds_below(random, 4) == 0)
            (void)raddle_task_cancel(tasks[seeds_below(random, CHILDREN)], "no more");
        (void)raddle_yield();
    }
    for (unsigned i = 0; i < CHILDREN; i++)
        raddle_task_unref(tasks[i]);
    EXPECT_EQ(raddle_group_close(&g, 0), f->first_rc);
    check_family(f, false);
    return 0;
}

int seeds_gather(void *random)
{
    struct family f;

    for (unsigned way = 0; way < 3; way++) {
        struct raddle_call calls[CHILDREN];

        make_family(&f, random);
        for (unsigned i = 0; i < CHILDREN; i++)
            calls[i] = (struct raddle_call){.fn = lives, .arg = &f.children[i]};
        if (way == 0)
            (void)gathers(&f, calls, random);
        else if (way == 1)
            (void)races(&f, calls, random);
        else
            (void)waits_for(&f, random);
    }
    return 0;
}
