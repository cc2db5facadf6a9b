// A hot pool of threads that survives fork: the child starts with none and makes its own.
#include <atomic>
#include <pthread.h>
#include <time.h>

#include "api.hpp"

namespace tc {
namespace {

constexpr unsigned MAX_WORKERS = 255;
constexpr int SPINS = 4000;  // some tens of microseconds before a worker sleeps

struct Job {
    void (*task)(void*, uint64_t);
    void* context;
    uint64_t n_tasks;
    uint64_t grain;
    std::atomic<uint64_t> next;
};

// One job at a time; `submit` is held for its duration, and by fork().
struct Pool {
    pthread_mutex_t submit, state;
    pthread_cond_t work, done;
    Job job;
    std::atomic<uint64_t> generation;  // a new value wakes the workers
    unsigned n_workers, n_wanted;
    std::atomic<unsigned> n_active;  // changes with `state` held
};

Pool pool = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER,
             PTHREAD_COND_INITIALIZER,  {},  {},  0, 0, 0};
pthread_once_t fork_handlers = PTHREAD_ONCE_INIT;

void before_fork() { pthread_mutex_lock(&pool.submit); }
void after_fork_parent() { pthread_mutex_unlock(&pool.submit); }
void after_fork_child() {
    pthread_mutex_init(&pool.submit, nullptr);
    pthread_mutex_init(&pool.state, nullptr);
    pthread_cond_init(&pool.work, nullptr);
    pthread_cond_init(&pool.done, nullptr);
    pool.n_workers = pool.n_wanted = 0;
    pool.n_active.store(0, std::memory_order_relaxed);
}
void register_fork_handlers() { pthread_atfork(before_fork, after_fork_parent, after_fork_child); }

void drain(Job& job) {
    for (;;) {
        const uint64_t first = job.next.fetch_add(job.grain, std::memory_order_relaxed);
        if (first >= job.n_tasks) return;
        const uint64_t left = job.n_tasks - first, n = job.grain < left ? job.grain : left;
        for (uint64_t i = first; i < first + n; ++i) job.task(job.context, i);
        end_of_stores();
    }
}

inline void relax() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

void* worker(void* number) {
    const unsigned me = (unsigned)(uintptr_t)number;
    uint64_t seen = 0;
    for (;;) {
        for (int spin = 0; spin < SPINS; ++spin) {
            if (pool.generation.load(std::memory_order_acquire) != seen) break;
            relax();
        }
        pthread_mutex_lock(&pool.state);
        while (pool.generation.load(std::memory_order_relaxed) == seen)
            pthread_cond_wait(&pool.work, &pool.state);
        seen = pool.generation.load(std::memory_order_relaxed);
        const bool wanted = me < pool.n_wanted;
        if (wanted) pool.n_active.fetch_add(1, std::memory_order_relaxed);
        pthread_mutex_unlock(&pool.state);
        if (!wanted) continue;
        drain(pool.job);
        pthread_mutex_lock(&pool.state);
        if (pool.n_active.fetch_sub(1, std::memory_order_acq_rel) == 1)
            pthread_cond_signal(&pool.done);
        pthread_mutex_unlock(&pool.state);
    }
    return nullptr;
}

}  // namespace

void parallel(unsigned n_threads, uint64_t n_tasks, void (*task)(void*, uint64_t), void* context,
              uint64_t grain) {
    const uint64_t n_grains = (n_tasks + grain - 1) / grain;
    unsigned helpers = n_threads > 1 ? n_threads - 1 : 0;
    if (helpers > MAX_WORKERS) helpers = MAX_WORKERS;
    if (helpers >= n_grains) helpers = n_grains ? (unsigned)(n_grains - 1) : 0;
    // a second caller at the same time works alone rather than wait
    if (!helpers || pthread_mutex_trylock(&pool.submit) != 0) {
        for (uint64_t i = 0; i < n_tasks; ++i) task(context, i);
        end_of_stores();
        return;
    }
    pthread_once(&fork_handlers, register_fork_handlers);
    pthread_mutex_lock(&pool.state);
    while (pool.n_workers < helpers) {
        pthread_t thread;
        pthread_attr_t attributes;
        pthread_attr_init(&attributes);
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        const int failed =
            pthread_create(&thread, &attributes, worker, (void*)(uintptr_t)pool.n_workers);
        pthread_attr_destroy(&attributes);
        if (failed) break;
        ++pool.n_workers;
    }
    if (helpers > pool.n_workers) helpers = pool.n_workers;
    pool.job.task = task;
    pool.job.context = context;
    pool.job.n_tasks = n_tasks;
    pool.job.grain = grain;
    pool.job.next.store(0, std::memory_order_relaxed);
    pool.n_wanted = helpers;
    pool.generation.fetch_add(1, std::memory_order_release);
    pthread_cond_broadcast(&pool.work);
    pthread_mutex_unlock(&pool.state);
    drain(pool.job);
    // a worker that has not woken by now is not waited for: it will find nothing to do
    pthread_mutex_lock(&pool.state);
    pool.n_wanted = 0;
    pthread_mutex_unlock(&pool.state);
    for (int spin = 0; spin < SPINS && pool.n_active.load(std::memory_order_acquire); ++spin) relax();
    pthread_mutex_lock(&pool.state);
    while (pool.n_active.load(std::memory_order_acquire))
        pthread_cond_wait(&pool.done, &pool.state);
    pthread_mutex_unlock(&pool.state);
    pthread_mutex_unlock(&pool.submit);
}

}  // namespace tc
