/*
 * io/uring_probe.c - which rings this kernel, and whatever confines this process, allow.
 *
 * Found out by doing it: a container's filter may let the setup pass and deny the rest, an old
 * kernel rejects flags that it doesn't know, and a small RLIMIT_MEMLOCK (charged for rings before
 * Linux 5.12 and again since 6.14) allows only small rings. So the probe makes a ring as a loop
 * would, enables it, and sends one no-op through it.
 *
 * The flags, best first. Measured on Linux 6.18 with two loops: deferred task work (6.1) costs 3 to
 * 5 percent less per request than cooperative (5.19), and that a quarter less than none, because no
 * completion interrupts the thread.
 */
#define _GNU_SOURCE
#include "io/uring.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "sched/sys.h"

#define COMMON (IORING_SETUP_CQSIZE | IORING_SETUP_R_DISABLED)

static const unsigned FLAGS[] = {
    COMMON | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SINGLE_ISSUER |
        IORING_SETUP_DEFER_TASKRUN,
    COMMON | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SINGLE_ISSUER |
        IORING_SETUP_COOP_TASKRUN,
    COMMON | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_COOP_TASKRUN,
    COMMON | IORING_SETUP_SUBMIT_ALL,
    COMMON,
};

/* The first takes 84 KiB; under the 64 KiB of an old default limit the second fits eight times. */
static const struct {
    unsigned sq, cq;
} SIZES[] = {{256, 4096}, {64, 512}, {16, 128}};

/* What the driver builds on: waits with a timeout, completions that are never dropped, waiting for
 * readiness in the kernel, reads at the file's position, and cancellations that succeed in silence
 * (Linux 5.17). */
static const uint32_t NEEDED = IORING_FEAT_EXT_ARG | IORING_FEAT_NODROP | IORING_FEAT_FAST_POLL |
                               IORING_FEAT_RW_CUR_POS | IORING_FEAT_CQE_SKIP;

static int setup(unsigned flags, unsigned sq, unsigned cq, struct io_uring *ring,
                 uint32_t *features)
{
    struct io_uring_params params = {.flags = flags, .cq_entries = cq};
    int rc = rdl_sys_consult(RDL_SYS_URING_SETUP, NULL);

    if (rc == 0)
        rc = io_uring_queue_init_params(sq, ring, &params);
    if (rc < 0)
        return rc;
    /* The child of a fork would move the parent's ring. Where it can't be had the child is on its
     * honour: it never touches it (rdl_driver's abandon). */
    (void)io_uring_ring_dontfork(ring);
    *features = params.features;
    return 0;
}

int rdl_uring_open(struct rdl_uring_facts *facts, struct io_uring *ring)
{
    int rc = -EINVAL;

    for (size_t i = 0; i < sizeof(SIZES) / sizeof(SIZES[0]); i++) {
        if (facts->sq_entries && SIZES[i].sq > facts->sq_entries)
            continue;
        rc = setup(facts->setup_flags, SIZES[i].sq, SIZES[i].cq, ring, &facts->features);
        if (rc == 0) {
            facts->sq_entries = SIZES[i].sq;
            facts->cq_entries = SIZES[i].cq;
        }
        if (rc != -ENOMEM)
            break;
    }
    return rc;
}

static int make(struct rdl_uring_facts *facts, struct io_uring *ring)
{
    int rc = -EINVAL;

    for (size_t i = 0; i < sizeof(FLAGS) / sizeof(FLAGS[0]) && rc == -EINVAL; i++) {
        facts->setup_flags = FLAGS[i];
        rc = rdl_uring_open(facts, ring);
    }
    return rc;
}

int rdl_uring_enable(struct io_uring *ring)
{
    int rc = rdl_sys_consult(RDL_SYS_URING_REGISTER, NULL);

    if (rc < 0)
        return rc;
    /* By number: liburing 2.3 declares io_uring_enable_rings() and doesn't export it. */
    return io_uring_register((unsigned)ring->ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

static int round_trip(struct io_uring *ring)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
    struct io_uring_cqe *cqe = NULL;
    int rc;

    io_uring_prep_nop(sqe);
    do {
        rc = rdl_sys_consult(RDL_SYS_URING_ENTER, NULL);
        if (rc == 0)
            rc = io_uring_submit_and_wait(ring, 1);
    } while (rc == -EINTR);
    if (rc < 0)
        return rc;
    rc = io_uring_peek_cqe(ring, &cqe);
    if (rc < 0)
        return rc;
    rc = cqe->res;
    io_uring_cqe_seen(ring, cqe);
    return rc;
}

static void probe(struct rdl_uring_facts *facts)
{
    struct io_uring ring;
    int rc = make(facts, &ring);

    if (rc < 0) {
        facts->denied = "io_uring_setup";
        facts->error = rc;
        return;
    }
    if ((facts->features & NEEDED) != NEEDED) {
        facts->denied = "features of the kernel";
        rc = -EOPNOTSUPP;
    }
    if (rc == 0) {
        facts->denied = "io_uring_register";
        rc = rdl_uring_enable(&ring);
    }
    if (rc == 0) {
        facts->denied = "io_uring_enter";
        rc = round_trip(&ring);
    }
    if (rc == 0) {
        facts->denied = NULL;
        facts->deferred = facts->setup_flags & IORING_SETUP_DEFER_TASKRUN;
        facts->poll_first =
            facts->setup_flags & IORING_SETUP_TASKRUN_FLAG; /* both came with 5.19 */
        facts->registered_ring = io_uring_register_ring_fd(&ring) == 1;
    }
    facts->error = rc;
    io_uring_queue_exit(&ring);
}

/* What may be different the next time. */
static bool is_passing(int error)
{
    return error == -EMFILE || error == -ENFILE || error == -ENOMEM || error == -EAGAIN;
}

int rdl_uring_probe(struct rdl_uring_facts *out)
{
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    static struct rdl_uring_facts known;
    static bool done;
    int rc;

    pthread_mutex_lock(&mutex);
    if (!done) {
        known = (struct rdl_uring_facts){0};
        probe(&known);
        done = !is_passing(known.error);
    }
    rc = known.error;
    if (out)
        *out = known;
    pthread_mutex_unlock(&mutex);
    return rc;
}
