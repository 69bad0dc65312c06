// reset, update, merge over a state held in a NumPy array. Casts only; no math.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <stdexcept>

#include "arguments.hpp"
#include "neurocensus/census.hpp"
#include "register.hpp"

namespace py = pybind11;
namespace nc = neurocensus;

namespace {

using Words = py::array_t<std::int64_t, py::array::c_style>;

nc::StateView state_view(Words& words, std::int64_t units, bool histogram) {
    if (words.ndim() != 1 || words.shape(0) != nc::state_words(units, histogram))
        throw std::invalid_argument("words: not the length of a state of that many units");
    return {words.mutable_data(), units, histogram};
}

void reset(Words words, std::int64_t units, bool histogram) {
    nc::reset(state_view(words, units, histogram));
}

void merge(Words into, std::vector<Words> others, const nc::Sizes& first_examples, std::int64_t units,
           bool histogram, int threads) {
    if (others.size() != first_examples.size())
        throw std::invalid_argument("first_examples: not one for each state");
    const nc::StateView whole = state_view(into, units, histogram);
    std::vector<nc::Shard> shards;
    for (std::size_t i = 0; i < others.size(); ++i)
        shards.push_back({state_view(others[i], units, histogram), first_examples[i]});
    const py::gil_scoped_release release;
    nc::merge(whole, shards, threads);
}

void update(Words words, std::int64_t units, bool histogram, std::uintptr_t data, int dtype,
            const nc::Sizes& shape, const nc::Sizes& strides, std::uintptr_t mask,
            std::int64_t mask_example_stride, std::int64_t mask_position_stride, std::int64_t first_example,
            double threshold, int threads) {
    const nc::StateView state = state_view(words, units, histogram);
    const nc::View view = nc::view_of(data, dtype, shape, strides, units);
    const nc::Mask keep = nc::mask_of(mask, mask_example_stride, mask_position_stride);
    const py::gil_scoped_release release;
    nc::update(state, view, keep, {first_example, threshold, threads});
}

float plain_max(std::uintptr_t data, std::int64_t count, int threads) {
    const py::gil_scoped_release release;
    return nc::plain_max(reinterpret_cast<const float*>(data), count, threads);
}

}  // namespace

void register_census(py::module_& module) {
    module.attr("STATE_FORMAT") = nc::kStateFormat;
    module.attr("HEADER_WORDS") = nc::kHeaderWords;
    module.attr("HISTOGRAM_SIZE") = nc::kHistogramSize;
    module.attr("MAX_POSITION_AXES") = nc::kMaxPositionAxes;
    module.attr("DTYPES") = std::vector<std::string>{"float32", "float64", "float16", "bfloat16"};
    module.attr("FIELDS") = std::vector<std::string>{
        "nonzero", "active_examples", "max", "min", "argmax", "mean", "m2", "mean_abs", "nan", "inf"};
    module.def("state_words", &nc::state_words, py::arg("units"), py::arg("histogram"),
               "Length in int64 words of the state of that many units.");
    module.def("reset", &reset, py::arg("words").noconvert(), py::arg("units"), py::arg("histogram"),
               "Write the empty state.");
    module.def(
        "update", &update, py::arg("words").noconvert(), py::arg("units"), py::arg("histogram"),
        py::arg("data"), py::arg("dtype"), py::arg("shape"), py::arg("strides"), py::arg("mask"),
        py::arg("mask_example_stride"), py::arg("mask_position_stride"), py::arg("first_example"),
        py::arg("threshold"), py::arg("threads"),
        "Fold the values at address `data` into the state. dtype indexes DTYPES; shape and strides (in\n"
        "elements) are of (example, unit, positions...); mask is the address of bytes over (example,\n"
        "position), or 0. Drops the GIL.");
    module.def(
        "merge", &merge, py::arg("into").noconvert(), py::arg("others").noconvert(),
        py::arg("first_examples"), py::arg("units"), py::arg("histogram"), py::arg("threads"),
        "Fold the states `others` into the state `into`, in their order, each read once. Example i of\n"
        "others[k] is example first_examples[k] + i of the whole. Drops the GIL.");
    module.def("plain_max", &plain_max, py::arg("data"), py::arg("count"), py::arg("threads"),
               "Maximum of contiguous float32 values: the plain read that benchmarks compare with.");
}
