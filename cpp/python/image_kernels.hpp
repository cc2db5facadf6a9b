// Which image kernels run: images.cpp picks them.
#pragma once
#include <Python.h>

#include "../images.hpp"

namespace tc {

// The picked ones for None, else those of a name; nullptr with a Python error if there are none.
const ImageKernels* image_kernels_for(PyObject* name);

}  // namespace tc
