// What the fast ways share.
#pragma once
#include "views.hpp"

namespace tc {

// NotImplemented. Not an error of the caller's: what is wrong will be said the general way.
PyObject* declined();

// Whether modes that see functions or operations, or forward gradients, would miss what C does
// behind torch's back, or a trace.
bool torch_watches(const State&);

// Whether overflow, rounding, nan, exact, seed are a policy that the fast ways take.
bool is_policy(const State&, PyObject* const* args);

// The elements in another format, or the same, in a new tensor in C order; NotImplemented: declined.
// `policy`: overflow, rounding, nan, exact, seed.
PyObject* cast_to_new_tensor(State&, View& source, int format, PyObject* const* policy);

}  // namespace tc
