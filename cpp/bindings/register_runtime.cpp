// Which instruction set runs, which could, and what compiled them.
#include <pybind11/stl.h>

#include "neurocensus/census.hpp"
#include "register.hpp"

namespace py = pybind11;
namespace nc = neurocensus;

void register_runtime(py::module_& module) {
    module.def("instruction_sets", &nc::instruction_sets,
               "Instruction sets compiled in that this CPU and operating system can run, worst first.");
    module.def("instruction_set", &nc::instruction_set,
               "The one in use. Chosen at the first call: the best, or what NEUROCENSUS_SIMD names;\n"
               "ValueError where that cannot run here.");
    module.def("set_instruction_set", &nc::set_instruction_set, py::arg("name"),
               "Use another one from now on: 'auto' or one of instruction_sets(). For tests and benchmarks.");
    module.def(
        "compiler", [] { return std::string(NEUROCENSUS_COMPILER); }, "Compiler, version and build type.");
}
