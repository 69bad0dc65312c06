#include <pybind11/pybind11.h>

#include "register.hpp"

PYBIND11_MODULE(_core, module) {
    module.doc() =
        "The compiled core: raw pointers in, flat state out. neurocensus.state checks what goes in.";
    register_census(module);
    register_runtime(module);
}
