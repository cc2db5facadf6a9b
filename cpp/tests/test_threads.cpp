// The pool of threads: callers at once, calls within calls, forks in the middle, tables that
// several threads build first. Meant for ThreadSanitizer, and worth running without.
#include "check.hpp"
#include "patterns.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <thread>

#if defined(__SANITIZE_THREAD__)
// Lets a forked child start threads; races there may go unseen, its results are still checked.
extern "C" __attribute__((visibility("default"))) const char* __tsan_default_options() {
    return "die_after_fork=0";
}
constexpr int THIN = 4;
#else
constexpr int THIN = 1;
#endif

namespace {

using namespace check;
using patterns::Patterns;
using patterns::Random;

// A cast large enough for several threads, and what it must give.
struct Job {
    Case c;
    uint64_t n;
    std::vector<uint64_t> codes;
    Expected expected;
    Memory source;

    Job(FormatId from, FormatId to, uint64_t elements, uint64_t seed) : c{from, to}, n(elements) {
        c.overflow = Overflow::Saturate;
        c.rounding = Rounding(seed % 5);
        c.full = true;
        codes.resize(n * c.from_components());
        const FormatId source_id = FormatId(ROWS[from].component);
        Patterns(source_id, FormatId(ROWS[to].component), seed).fill(codes.data(), codes.size());
        expected = expect(c, codes.data(), n, true);
        source = make_memory(c.from(), {}, n);
        source.write(source.bytes.data(), codes.data(), n);
    }

    bool run(const Kernels& kernels, unsigned n_threads, const std::string& where) const {
        Memory target = make_memory(c.to(), {}, n);
        const std::vector<uint8_t> image = image_of(target, expected, n);
        n_patterns += n;
        return check_cast(kernels, c, codes.data(), expected, source, &target, image, n, n_threads,
                          0, where, nullptr);
    }
};

std::vector<std::unique_ptr<Job>> make_jobs() {
    constexpr FormatId pairs[][2] = {
        {F_float32, F_bfloat16},       {F_float32, F_float16},   {F_float32, F_float8_e4m3fn},
        {F_float8_e4m3fn, F_float32},  {F_int64, F_int32},       {F_float64, F_float32},
        {F_complex64, F_complex128},   {F_float32, F_complex64}, {F_complex64, F_bool},
        {F_float6_e3m2fn, F_bfloat16},
    };
    std::vector<std::unique_ptr<Job>> jobs;
    for (const auto& pair : pairs) {
        const uint64_t seed = jobs.size() + 1;
        const unsigned bytes = ROWS[pair[0]].container() + ROWS[pair[1]].container();
        jobs.push_back(std::make_unique<Job>(pair[0], pair[1], (5u << 18) / bytes + seed * 77, seed));
    }
    return jobs;
}

template <class F>
void on_threads(int n, F f) {
    std::vector<std::thread> threads;
    for (int t = 0; t < n; ++t) threads.emplace_back([&f, t] { f(t); });
    for (std::thread& t : threads) t.join();
}

// Nothing was cast before: every thread finds the tables missing and builds them.
void tables_at_once() {
    std::vector<std::unique_ptr<Job>> jobs;
    for (int source = 0; source < N_FORMATS; ++source)
        if (ROWS[source].container() == 1 && ROWS[source].kind != Kind::Complex)
            for (const FormatId target : {F_float16, F_int4, F_float64, F_float8_e3m4})
                jobs.push_back(std::make_unique<Job>(FormatId(source), target, 700, 6));
    for (const Kernels* const* k = ALL_KERNELS; *k; ++k)
        if (find_kernels((*k)->name))
            on_threads(8, [&](int) {
                for (const auto& job : jobs) job->run(**k, 1, ", a table built by many threads");
            });
}

void many_callers(const std::vector<std::unique_ptr<Job>>& jobs) {
    on_threads(6, [&](int t) {
        Random random(uint64_t(t) + 100);
        for (int i = 0; i < 60 / THIN; ++i)
            jobs[random.below(jobs.size())]->run(*pick_kernels(), unsigned(random.below(5)),
                                                 ", one of many callers");
    });
}

// More threads than before, then fewer: workers that are not wanted keep out.
void changing_numbers(const std::vector<std::unique_ptr<Job>>& jobs) {
    for (const unsigned n_threads : {2u, 8u, 3u, 16u, 1u, 2u, 300u, 4u})
        jobs[n_threads % jobs.size()]->run(*pick_kernels(), n_threads, ", changing threads");
}

void nested(const std::vector<std::unique_ptr<Job>>& jobs) {
    struct Context {
        const std::vector<std::unique_ptr<Job>>& jobs;
        std::atomic<uint64_t> n_run{0};
    } context{jobs};
    constexpr uint64_t n = 24 / THIN;
    parallel(
        4, n,
        [](void* p, uint64_t i) {
            Context& c = *(Context*)p;
            c.jobs[i % c.jobs.size()]->run(*pick_kernels(), 3, ", within a task");
            ++c.n_run;
        },
        &context);
    if (context.n_run == n)
        passed();
    else
        failed("parallel ran " + std::to_string(context.n_run) + " of its tasks");
}

// Every index once, whatever the numbers of tasks and threads.
void every_task_once() {
    for (const uint64_t n_tasks : {0, 1, 2, 3, 7, 64, 1000, 20000})
        for (const unsigned n_threads : {0u, 1u, 2u, 4u, 9u}) {
            std::vector<std::atomic<int>> seen(n_tasks);
            parallel(
                n_threads, n_tasks,
                [](void* p, uint64_t i) { ++(*(std::vector<std::atomic<int>>*)p)[i]; }, &seen);
            bool once = true;
            for (const std::atomic<int>& count : seen) once &= count == 1;
            if (once)
                passed();
            else
                failed("parallel: " + std::to_string(n_tasks) + " tasks on " +
                       std::to_string(n_threads) + " threads did not each run once");
        }
}

// Children forked while other threads cast: each casts with threads of its own.
void forks(const std::vector<std::unique_ptr<Job>>& jobs) {
    std::atomic<bool> stop{false};
    std::thread busy([&] {
        for (size_t i = 0; !stop; ++i)
            jobs[i % jobs.size()]->run(*pick_kernels(), 3, ", beside a fork");
    });
    for (int i = 0; i < 12 / THIN; ++i) {
        fflush(stdout);
        const pid_t child = fork();
        if (child == 0) {
            alarm(120);  // a child that hangs is a failure, not a hang
            bool right = true;
            for (int j = 0; j < 3; ++j)
                right &= jobs[size_t(i + j) % jobs.size()]->run(*pick_kernels(), 4, ", in a child");
            _exit(right ? 0 : 1);
        }
        int status = -1;
        waitpid(child, &status, 0);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
            passed();
        else
            failed("a forked child ended with status " + hex(unsigned(status)));
    }
    stop = true;
    busy.join();
}

}  // namespace

int main() {
    tables_at_once();
    every_task_once();
    const std::vector<std::unique_ptr<Job>> jobs = make_jobs();
    changing_numbers(jobs);
    many_callers(jobs);
    nested(jobs);
    forks(jobs);
    many_callers(jobs);
    printf("%llu patterns\n", (unsigned long long)n_patterns.load());
    printf("%llu passed, %llu failed\n", (unsigned long long)n_passed.load(),
           (unsigned long long)n_failed.load());
    return n_failed ? 1 : 0;
}
