#pragma once

#include <pybind11/pybind11.h>

void register_census(pybind11::module_& module);
void register_runtime(pybind11::module_& module);
