// The fast way of tensors.cast: torch tensors and NumPy arrays in, the same out, without a Python
// object made on the way. Whatever is not plain is declined, and goes the general way.
#include <string.h>

#include "../isa/bits.hpp"
#include "../memory.hpp"
#include "fast.hpp"
#include "methods.hpp"

namespace tc {
namespace {

// The places of the arguments of tensors.cast.
enum { X, TO, OVERFLOW_, ROUNDING, NAN_, INF_, EXACT, SEED, OUT, MEMORY_FORMAT, DEVICE, REPORT, PACKED, PIN_MEMORY };

// Below, another thread would gain less than handing over the GIL costs.
constexpr uint64_t RELEASE_GIL_FROM_BYTES = 64 << 10;

// One call of a kernel does what fits the caches: no threads to wake (dispatch.cpp tells from where
// they pay), no stores around the caches. A sum of squares would ask for segments; none is counted.
constexpr uint64_t DIRECT_BELOW_BYTES = 256 << 10, DIRECT_ALONE_BELOW_BYTES = 8 << 20;

// An output as small as this is cast aside first, so that a refusal writes nothing.
constexpr uint64_t ASIDE_BYTES = 4096;

// The place of a string among `names`; -1: nowhere.
template <int N>
int index_of(PyObject* name, PyObject* const (&names)[N]) {
    for (int i = 0; i < N; ++i)
        if (names[i] == name) return i;
    if (!PyUnicode_Check(name)) return -1;
    for (int i = 0; i < N; ++i)
        if (PyUnicode_Compare(name, names[i]) == 0) return i;
    return -1;
}

// overflow, rounding, nan, inf, exact, seed.
bool policy_of(const State& s, PyObject* const* args, Cast* cast, bool* default_rounding) {
    const int overflow = index_of(args[0], s.overflows);
    const int rounding = args[1] == Py_None ? 0 : index_of(args[1], s.roundings);
    const int nan = index_of(args[2], s.nans), inf = index_of(args[3], s.infs);
    if (overflow < 0 || rounding < 0 || nan < 0 || inf < 0 || args[4] != Py_False) return false;
    unsigned long long seed = 0;
    if (args[5] != s.zero) {
        if (!PyLong_Check(args[5])) return false;
        seed = PyLong_AsUnsignedLongLong(args[5]);
        if (seed == (unsigned long long)-1 && PyErr_Occurred()) return false;
    }
    *default_rounding = args[1] == Py_None;
    cast->overflow = (Overflow)overflow;
    cast->rounding = (Rounding)rounding;
    cast->nan = (NanPolicy)nan;
    cast->inf = (InfPolicy)inf;
    cast->keys = cast->rounding == Rounding::Stochastic ? seed_keys(seed) : 0;
    return true;
}

Plan plan_of(State& s, const Cast& cast) {
    Plan& plan = s.plans[cast.source][cast.target][(int)cast.overflow][(int)cast.nan][(int)cast.inf];
    if (plan != Plan::Unknown) return plan;
    ++s.n_asked;
    PyObject* answer = PyObject_CallFunction(s.decide, "iiiii", (int)cast.source, (int)cast.target,
                                             (int)cast.overflow, (int)cast.nan, (int)cast.inf);
    if (!answer) return Plan::Declined;
    const long decided = PyLong_AsLong(answer);
    Py_DECREF(answer);
    if (decided < 1 || decided > 3) return Plan::Declined;
    return plan = (Plan)decided;
}

bool refused(const Cast& cast, const Stats& stats) { return n_refused(cast, stats) != 0; }

bool same_shape(const Layout& a, const Layout& b) {
    return a.n_dims == b.n_dims && memcmp(a.shape, b.shape, sizeof(int64_t) * (size_t)a.n_dims) == 0;
}

// Whether the elements lie in the same order, so that both are one run of memory.
bool same_order(const View& a, const View& b) {
    if (a.layout.contiguous && b.layout.contiguous) return true;
    if (!a.dense || !b.dense) return false;
    const int64_t a_size = ROWS[a.format].container(), b_size = ROWS[b.format].container();
    for (int d = 0; d < a.layout.n_dims; ++d)
        if (a.layout.shape[d] != 1 &&
            a.layout.strides[d] / a_size != b.layout.strides[d] / b_size)
            return false;
    return true;
}

bool overlap(const View& a, const View& b) {
    const char *a_low, *a_high, *b_low, *b_high;
    extent(a, &a_low, &a_high);
    extent(b, &b_low, &b_high);
    return a_low < b_high && b_low < a_high;
}

// The kernels on two views; false: out of memory.
bool run(const State& s, const Cast& cast, const Layout& source, const Layout& target, uint64_t n,
         Stats* stats) {
    const Row &from = ROWS[cast.source], &to = ROWS[cast.target];
    const unsigned from_size = from.container(), to_size = to.container();
    static const Kernels* const kernels = pick_kernels();
    const uint64_t n_bytes = n * (from_size + to_size);
    const bool direct = n_bytes < (s.n_threads > 1 ? DIRECT_BELOW_BYTES : DIRECT_ALONE_BELOW_BYTES) &&
                        source.contiguous && target.contiguous && from.kind != Kind::Complex &&
                        to.kind != Kind::Complex && (uintptr_t)source.address % from_size == 0 &&
                        (uintptr_t)target.address % to_size == 0;
    if (!n) return true;
    bool done = true;
    PyThreadState* const released = n_bytes < RELEASE_GIL_FROM_BYTES ? nullptr : PyEval_SaveThread();
    if (direct)
        kernels->run(cast, source.address, target.address, n, 0, stats);
    else
        done = cast_tensor(*kernels, cast, source, target, n, 0, s.n_threads, stats);
    if (released) PyEval_RestoreThread(released);
    return done;
}

// Pools that are open (`tensorcast.reuse`): a large fresh result is then Python's to make. Read and
// written under the GIL.
long n_pools = 0;
constexpr uint64_t POOLED_FROM_BYTES = 1 << 20;  // as in bridges/pool.py

bool is_pooled(const View& source, int to) {
    return n_pools > 0 && source.n_elements * ROWS[to].container() >= POOLED_FROM_BYTES;
}

enum class Outcome { Done, Refused, NoMemory };

Outcome run_into(const State& s, const Cast& cast, View& source, View& target, bool writes_first,
                 bool may_refuse) {
    const bool linear = cast.rounding == Rounding::Stochastic
                            ? source.layout.contiguous && target.layout.contiguous
                            : same_order(source, target);
    if (linear) source.layout.contiguous = target.layout.contiguous = true;
    Stats stats;
    if (may_refuse && !writes_first) {
        const uint64_t n_bytes = target.n_bytes();
        Layout aside;
        aside.address = nullptr;
        aside.n_dims = 0;
        aside.contiguous = true;
        aside.swapped = false;
        alignas(64) char block[ASIDE_BYTES];
        const bool keeps = linear && n_bytes <= ASIDE_BYTES;
        if (keeps) aside.address = block;
        if (!run(s, cast, source.layout, aside, source.n_elements, &stats)) return Outcome::NoMemory;
        if (refused(cast, stats)) return Outcome::Refused;
        if (keeps) {
            if (n_bytes) memcpy(target.layout.address, block, n_bytes);  // the address of nothing may be null
            return Outcome::Done;
        }
        stats = Stats();
    }
    if (!run(s, cast, source.layout, target.layout, source.n_elements, &stats))
        return Outcome::NoMemory;
    return refused(cast, stats) ? Outcome::Refused : Outcome::Done;
}

PyObject* empty_like(State& s, Library& library, PyObject* x, FormatId target, int kind) {
    PyObject*& options = library.options[target];
    if (!options && !(options = PyObject_CallFunction(s.options, "ii", kind, (int)target)))
        return nullptr;
    if (options == Py_None) return nullptr;
    PyObject* positional = PyTuple_Pack(1, x);
    if (!positional) return nullptr;
    PyObject* result = PyObject_Call(library.empty_like, positional, options);
    Py_DECREF(positional);
    return result;
}

bool reads(const Flag& flag, long quiet) {
    PyObject* value = PyDict_GetItemWithError(flag.module_dict, flag.name);
    return value && PyLong_AsLong(value) == quiet;
}

bool count_version(const State& s, PyObject* tensor) {
    const Native& native = s.torch.native;
    if (native.found && !native.is_inference(handle_of(tensor))) {
        native.bump_version(handle_of(tensor));
        return true;
    }
    PyObject* tensors = PyTuple_Pack(1, tensor);
    if (!tensors) return false;
    PyObject* none = s.torch.increment(s.torch.increment_self, tensors);
    Py_DECREF(tensors);
    Py_XDECREF(none);
    return none != nullptr;
}

// Whether `new_tensor` makes the result.
bool makes_natively(const State& s, const View& source, FormatId format) {
    return s.torch.native.found && s.torch.dtype_of_format[format] && source.dense && source.n_elements;
}

// A result of a tensor without gaps, which has its strides, and the view of it; null: not this way.
PyObject* new_tensor(const State& s, const View& source, FormatId format, View* v) {
    if (!makes_natively(s, source, format)) return nullptr;
    const int dtype = s.torch.dtype_of_format[format] - 1;
    const Layout& from = source.layout;
    Layout& to = v->layout;
    const int64_t from_size = ROWS[source.format].container(), to_size = ROWS[format].container();
    int64_t strides[MAX_DIMS];
    for (int d = 0; d < from.n_dims; ++d) {
        strides[d] = from.strides[d] / from_size;
        to.shape[d] = from.shape[d];
        to.strides[d] = strides[d] * to_size;
    }
    void* data;
    PyObject* made = empty_native(s.torch.native, from.n_dims, from.shape, strides, dtype, &data);
    if (!made) return nullptr;
    to.address = (char*)data;
    to.n_dims = from.n_dims;
    to.contiguous = from.contiguous;
    to.swapped = false;
    v->format = format;
    v->n_elements = source.n_elements;
    v->writable = v->dense = true;
    return made;
}

// The result, made as the library makes it, and the view of it; null: declined.
PyObject* new_like(State& s, bool is_torch, PyObject* x, const View& source, FormatId format, View* v) {
    PyObject* made = is_torch ? new_tensor(s, source, format, v) : nullptr;
    if (made) return made;
    made = is_torch ? empty_like(s, s.torch, x, format, 0) : empty_like(s, s.numpy, x, format, 1);
    if (!made) return nullptr;
    const bool plain = is_torch ? view_torch_result(s, made, format, v)
                                : Py_TYPE(made) == Py_TYPE(x) && view_numpy(s, made, v);
    if (plain && same_shape(source.layout, v->layout)) return made;
    Py_DECREF(made);
    return nullptr;
}

// Parses what `policy_of` takes for a cast of these formats; Declined: not this way.
Plan plan_cast(State& s, FormatId source, int target, PyObject* const* args, Cast* cast) {
    bool default_rounding;
    if (!policy_of(s, args, cast, &default_rounding)) return Plan::Declined;
    cast->source = source;
    cast->target = (FormatId)target;
    if (default_rounding && ROWS[target].is_integer()) cast->rounding = Rounding::TowardZero;
    cast->source_packed = cast->target_packed = cast->full = cast->collapses = false;
    cast->nontemporal = cast->quiets = false;
    cast->index_shift = 0;
    return plan_of(s, *cast);
}

// The pages of a fresh result, before its first touch.
void make_pages(const State& s, const View& fresh) {
    char* const address = fresh.layout.address;
    const uint64_t n_bytes = fresh.n_bytes();
    if (n_bytes < PAGES_BY_THREADS_FROM_BYTES) return advise_huge(address, n_bytes, 1);
    Py_BEGIN_ALLOW_THREADS
    advise_huge(address, n_bytes, s.n_threads);
    Py_END_ALLOW_THREADS
}

}  // namespace

PyObject* count_pools(PyObject*, PyObject* more) {
    const long n = PyLong_AsLong(more);
    if (n == -1 && PyErr_Occurred() && !PyLong_Check(more)) return nullptr;
    n_pools += n;
    return PyLong_FromLong(n_pools);
}

PyObject* declined() {
    if (PyErr_Occurred()) {
        if (!PyErr_ExceptionMatches(PyExc_Exception)) return nullptr;
        PyErr_Clear();
    }
    Py_INCREF(Py_NotImplemented);
    return Py_NotImplemented;
}

bool torch_watches(const State& s) {
    const Native& native = s.torch.native;
    if (native.found ? native.in_function_mode() || native.in_dispatch_mode(false)
                     : !reads(s.torch.dispatch_mode, 0))
        return true;
    if (!reads(s.torch.forward_ad_level, -1)) return true;
    if (native.found) return native.key_included(native.tracer_key);
    PyObject* tracing = PyObject_CallNoArgs(s.torch.tracing_state);
    Py_XDECREF(tracing);
    return tracing != Py_None;
}

PyObject* cast_first(State& s, PyObject* const* args) {
    PyObject *x = args[X], *out = args[OUT];
    PyTypeObject* type = Py_TYPE(x);
    if (!s.learn || args[MEMORY_FORMAT] != Py_None || args[DEVICE] != Py_None ||
        args[REPORT] != Py_False || args[PACKED] != Py_False || args[PIN_MEMORY] != Py_False)
        return declined();
    if (type != s.torch.type && type != s.numpy.type) {
        if (s.torch.type && s.numpy.type) return declined();
        PyObject* none = PyObject_CallFunctionObjArgs(s.learn, x, nullptr);
        Py_XDECREF(none);
        if (!none || (type != s.torch.type && type != s.numpy.type)) return declined();
    }
    const bool is_torch = type == s.torch.type;
    const bool fresh = out == Py_None;
    const int to = format_of(s, args[TO]);
    if (to < 0 || (is_torch && torch_watches(s)) || (!fresh && Py_TYPE(out) != type)) return declined();
    View source, target;
    Cast cast;
    Plan plan = Plan::Unknown;
    // where Python was asked for something, another thread may have converted what was seen before
    for (uint64_t asked = s.n_asked - 1; asked != s.n_asked;) {
        asked = s.n_asked;
        if (!(is_torch ? view_torch(s, x, &source) : view_numpy(s, x, &source))) return declined();
        if (!fresh && !(is_torch ? view_torch(s, out, &target) : view_numpy(s, out, &target))) return declined();
        plan = plan_cast(s, source.format, to, args + OVERFLOW_, &cast);
        if (plan == Plan::Declined) return declined();
    }
    if (fresh && (cast.source == cast.target || is_pooled(source, to))) return declined();
    if (!fresh && (target.format != cast.target || !target.writable || !target.dense ||
                   !same_shape(source.layout, target.layout) || overlap(source, target)))
        return declined();

    // from here on the GIL may be let go of: torch does where it makes a tensor by Python's function
    Hold source_hold, target_hold;
    const uint64_t n_bytes = source.n_elements * (ROWS[source.format].container() + ROWS[to].container());
    const bool lets_go = n_bytes >= RELEASE_GIL_FROM_BYTES || (fresh && !makes_natively(s, source, cast.target));
    if (is_torch && lets_go &&
        (!source_hold.take(s.torch.native, x) || (!fresh && !target_hold.take(s.torch.native, out))))
        return declined();
    PyObject* result = out;
    if (fresh) {
        result = new_like(s, is_torch, x, source, cast.target, &target);
        if (!result) return declined();
        if (target.dense) make_pages(s, target);
    } else {
        Py_INCREF(out);
    }
    const Outcome outcome = run_into(s, cast, source, target, fresh, plan == Plan::MayRefuse);
    if (outcome == Outcome::Done && (fresh || !is_torch || count_version(s, out))) return result;
    Py_DECREF(result);
    return outcome == Outcome::Done ? nullptr : declined();  // what is missing is said the general way
}

bool is_policy(const State& s, PyObject* const* args) {
    Cast cast;
    bool default_rounding;
    // another is asked of the values, shared or not
    return policy_of(s, args, &cast, &default_rounding) && cast.inf == InfPolicy::Keep;
}

PyObject* cast_to_new_tensor(State& s, View& source, int to, PyObject* const* policy) {
    Cast cast;
    const Plan plan = plan_cast(s, source.format, to, policy, &cast);
    if (plan == Plan::Declined || is_pooled(source, to)) return declined();
    View ordered = source;  // the shape, as if in C order without gaps
    int64_t step = ROWS[source.format].container();
    for (int d = ordered.layout.n_dims - 1; d >= 0; --d) {
        ordered.layout.strides[d] = step;
        step *= ordered.layout.shape[d] ? ordered.layout.shape[d] : 1;
    }
    ordered.layout.contiguous = ordered.dense = true;
    View target;
    PyObject* result = new_tensor(s, ordered, cast.target, &target);
    if (!result) return declined();
    make_pages(s, target);
    const Outcome outcome = run_into(s, cast, source, target, true, plan == Plan::MayRefuse);
    if (outcome == Outcome::Done) return result;
    Py_DECREF(result);
    return declined();
}

}  // namespace tc
