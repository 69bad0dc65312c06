// The module _cuda: raw device pointers in, flat state out. Casts only; no math, no torch.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>
#include <tuple>

#include "arguments.hpp"
#include "census.hpp"

namespace py = pybind11;
namespace nc = neurocensus;

namespace {

nc::StateView state_view(std::uintptr_t words, std::int64_t units, bool histogram) {
    return {reinterpret_cast<std::int64_t*>(words), units, histogram};
}

nc::cuda::Place place_of(int device, std::uintptr_t stream) {
    return {device, reinterpret_cast<void*>(stream)};
}

std::tuple<std::size_t, std::size_t> update(
    std::uintptr_t words, std::int64_t units, bool histogram, std::uintptr_t data, int dtype,
    const nc::Sizes& shape, const nc::Sizes& strides, std::uintptr_t mask, std::int64_t mask_example_stride,
    std::int64_t mask_position_stride, std::int64_t first_example, double threshold, std::uintptr_t enabled,
    int device, std::uintptr_t stream, std::uintptr_t zeros, std::size_t zeros_bytes, std::uintptr_t parts,
    std::size_t parts_bytes) {
    const nc::View view = nc::view_of(data, dtype, shape, strides, units);
    const nc::Mask keep = nc::mask_of(mask, mask_example_stride, mask_position_stride);
    const nc::cuda::Scratch scratch{reinterpret_cast<void*>(zeros), zeros_bytes,
                                    reinterpret_cast<void*>(parts), parts_bytes};
    const py::gil_scoped_release release;
    const nc::cuda::Needs needs =
        nc::cuda::update(state_view(words, units, histogram), view, keep, {first_example, threshold, 1},
                         reinterpret_cast<const std::uint8_t*>(enabled), scratch, place_of(device, stream));
    return {needs.zeros_bytes, needs.parts_bytes};
}

void reset(std::uintptr_t words, std::int64_t units, bool histogram, int device, std::uintptr_t stream) {
    const py::gil_scoped_release release;
    nc::cuda::reset(state_view(words, units, histogram), place_of(device, stream));
}

void merge(std::uintptr_t into, std::uintptr_t from, std::int64_t units, bool histogram, int device,
           std::uintptr_t stream) {
    const py::gil_scoped_release release;
    nc::cuda::merge(state_view(into, units, histogram), state_view(from, units, histogram),
                    place_of(device, stream));
}

std::tuple<int, std::string> device_count() {
    std::string reason;
    const int count = nc::cuda::device_count(reason);
    return {count, reason};
}

}  // namespace

PYBIND11_MODULE(_cuda, module) {
    module.doc() =
        "The CUDA core: device pointers in, flat state out, launched in a stream and not waited for.\n"
        "neurocensus.state checks what goes in. RuntimeError where CUDA refuses; the state is then as it "
        "was.";
    module.attr("NEXT_EXAMPLE") = nc::cuda::kNextExample;
    module.def(
        "update", &update, py::arg("words"), py::arg("units"), py::arg("histogram"), py::arg("data"),
        py::arg("dtype"), py::arg("shape"), py::arg("strides"), py::arg("mask"),
        py::arg("mask_example_stride"), py::arg("mask_position_stride"), py::arg("first_example"),
        py::arg("threshold"), py::arg("enabled"), py::arg("device"), py::arg("stream"), py::arg("zeros"),
        py::arg("zeros_bytes"), py::arg("parts"), py::arg("parts_bytes"),
        "Fold the values at address `data` into the state at `words`, as _core.update does. first_example:\n"
        "or NEXT_EXAMPLE for the state's own. enabled: address of a byte, zero to do nothing, or 0. zeros,\n"
        "parts: scratch; zeros holds zeros before and after. Returns the bytes that both must have; with\n"
        "less, nothing was done.");
    module.def("reset", &reset, py::arg("words"), py::arg("units"), py::arg("histogram"), py::arg("device"),
               py::arg("stream"), "Write the empty state.");
    module.def("merge", &merge, py::arg("into"), py::arg("other"), py::arg("units"), py::arg("histogram"),
               py::arg("device"), py::arg("stream"), "Fold the state `other` into the state `into`.");
    module.def("device_count", &device_count,
               "Number of devices that can be used; with 0, the reason in CUDA's words.");
    module.def("architectures", &nc::cuda::architectures, "Compute capabilities that it was built for.");
    module.def("kernels", &nc::cuda::kernel_names, "Names of the kernels that it must hold.");
    module.def("runtime_version", &nc::cuda::runtime_version,
               "CUDA version it was built with: 13000 is 13.0.");
    module.def("driver_version", &nc::cuda::driver_version, "CUDA version of the driver; 0 without one.");
    module.def(
        "compiler", [] { return std::string(NEUROCENSUS_CUDA_COMPILER); },
        "nvcc, its version and build type.");
}
