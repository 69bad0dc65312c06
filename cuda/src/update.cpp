// From arguments to launches.
#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>
#include <sstream>
#include <stdexcept>

#include "launch.cuh"
#include "plan.hpp"

namespace neurocensus::cuda {
namespace {

constexpr const char* kDTypeNames[] = {"float32", "float64", "float16", "bfloat16"};

std::string shape_of(const View& view) {
    std::ostringstream out;
    out << "(" << view.examples << ", " << view.units;
    for (int axis = 0; axis < view.position_axes; ++axis) out << ", " << view.position_size[axis];
    out << ")";
    return out.str();
}

std::string counting(const char* kernel, const View& view) {
    return kernel + std::string("to count ") + kDTypeNames[static_cast<int>(view.dtype)] +
           " values of shape (examples, units, positions...) " + shape_of(view);
}

std::string hint(cudaError_t error) {
    switch (error) {
        case cudaErrorNoKernelImageForDevice:
            return "; this build has kernels for compute capabilities " + architectures() +
                   ": build neurocensus from source with CMAKE_CUDA_ARCHITECTURES set to this device's, or "
                   "count "
                   "on the CPU";
        case cudaErrorNoDevice:
        case cudaErrorInsufficientDriver:
            return "; counting on a GPU needs an NVIDIA GPU and a driver for CUDA " +
                   std::to_string(runtime_version() / 1000) + "." +
                   std::to_string(runtime_version() % 1000 / 10) + " or newer";
        case cudaErrorIllegalAddress:
        case cudaErrorLaunchFailure:
            return "; an earlier kernel of this process has failed, and the device cannot be used any more; "
                   "CUDA_LAUNCH_BLOCKING=1 shows which";
        default: return "";
    }
}

// `what` is called for the words only if there is an error.
template <class What>
void check(cudaError_t error, const What& what) {
    if (error == cudaSuccess) return;
    cudaGetLastError();  // or the caller's next call would meet it again
    throw std::runtime_error("CUDA refused " + what() + ": " + cudaGetErrorString(error) + " (" +
                             cudaGetErrorName(error) + ")" + hint(error));
}

// Makes a device the calling thread's current one, and puts back the one that was.
class OnDevice {
   public:
    explicit OnDevice(int device) {
        check(cudaGetDevice(&before_), [] { return std::string("to look for a device"); });
        if (before_ == device) return;
        check(cudaSetDevice(device), [&] { return "device " + std::to_string(device); });
        changed_ = true;
    }
    ~OnDevice() {
        if (changed_) cudaSetDevice(before_);
    }
    OnDevice(const OnDevice&) = delete;
    OnDevice& operator=(const OnDevice&) = delete;

   private:
    int before_ = 0;
    bool changed_ = false;
};

int attribute(cudaDeviceAttr which, int device) {
    int value = 0;
    check(cudaDeviceGetAttribute(&value, which, device),
          [&] { return "to describe device " + std::to_string(device); });
    return value;
}

template <class Args, class What>
void launch(void (*kernel)(Args), std::int64_t blocks, int threads, int shared, const Place& place,
            const Args& args, const What& what) {
    // More shared memory than 48 KiB must be asked for, on every device; it is cheap.
    if (shared > 48 << 10)
        check(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                                   cudaFuncAttributeMaxDynamicSharedMemorySize, shared),
              what);
    check(nc_launch(kernel, dim3(static_cast<unsigned>(blocks)), dim3(static_cast<unsigned>(threads)),
                    static_cast<std::size_t>(shared), static_cast<cudaStream_t>(place.stream), args),
          what);
}

constexpr std::int64_t kMostBlocks = std::numeric_limits<std::int32_t>::max();

std::int64_t blocks_for(std::int64_t threads) {
    return std::min<std::int64_t>((threads + kThreads - 1) / kThreads, 4096);
}

// abs(value) > threshold, with value in the compute type, is abs(value) > the largest number of that type
// below.
double rounded_down(double threshold, DType dtype) {
    if (dtype == DType::float64) return threshold;
    float out = static_cast<float>(threshold);
    if (static_cast<double>(out) > threshold) out = std::nextafterf(out, 0.0f);
    return out;
}

Scan scan_job(const Plan& plan, StateView state, const View& view, const Mask& mask, const Options& options,
              const std::uint8_t* enabled, const Scratch& scratch) {
    auto* const words = static_cast<std::int64_t*>(scratch.parts);
    auto* const zeros = static_cast<std::uint8_t*>(scratch.zeros);
    Scan job{};
    job.view = view;
    job.mask = mask;
    job.threshold = rounded_down(options.threshold, view.dtype);
    job.first_example = options.first_example;
    job.state = state.words;
    job.enabled = enabled;
    job.snapshot = words;
    job.parts = words + 2;
    job.bins = plan.bins ? reinterpret_cast<unsigned long long*>(zeros) : nullptr;
    job.seen = plan.masked ? zeros + plan.seen_at : nullptr;
    job.active = view.positions > 1 ? zeros + plan.active_at : nullptr;
    job.places = plan.places;
    job.tiles = plan.tiles;
    job.splits = plan.splits;
    job.part_words = plan.part_words;
    job.run = plan.run;
    job.lanes = plan.lanes;
    job.bin_tables = plan.bin_tables;
    return job;
}

Fold fold_job(const Plan& plan, StateView state, const Scan& scan) {
    Fold job{};
    job.state = state;
    job.view = scan.view;
    job.mask = scan.mask;
    job.threshold = scan.threshold;
    job.enabled = scan.enabled;
    job.snapshot = scan.snapshot;
    job.parts = scan.parts;
    job.bins = scan.bins;
    job.seen = scan.seen;
    job.active = scan.active;
    job.splits = plan.splits;
    job.part_words = plan.part_words;
    job.tile_places = plan.tile_places;
    job.first_example = scan.first_example;
    job.lanes = plan.fold_lanes;
    return job;
}

}  // namespace

Needs update(StateView state, const View& given, const Mask& mask, const Options& options,
             const std::uint8_t* enabled, const Scratch& scratch, const Place& place) {
    const View view = simplified(given);
    const OnDevice guard(place.device);
    const Device device{attribute(cudaDevAttrMultiProcessorCount, place.device),
                        attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, place.device)};
    const Plan plan = plan_for(view, state.has_histogram, mask.data != nullptr, device);
    if (scratch.zeros_bytes < plan.needs.zeros_bytes || scratch.parts_bytes < plan.needs.parts_bytes)
        return plan.needs;
    if (plan.scan_blocks > kMostBlocks || plan.fold_blocks > kMostBlocks)
        throw std::runtime_error("CUDA has no grid large enough " + counting("", given) +
                                 "; count it in several calls");
    // Scan and fold of a call share scratch: nothing of another thread's call may come between them.
    static std::mutex launching;
    const std::lock_guard<std::mutex> lock(launching);
    const Scan scan = scan_job(plan, state, view, mask, options, enabled, scratch);
    if (plan.places > 0) {
        const ScanKernel kernel = plan.rows ? rows_kernel(view.dtype, plan.vector, plan.bins)
                                            : columns_kernel(view.dtype, plan.vector, plan.bins);
        launch(kernel, plan.scan_blocks, kThreads, plan.shared_bytes, place, scan,
               [&] { return counting(plan.rows ? "scan_rows " : "scan_columns ", given); });
    }
    launch(kFold, plan.fold_blocks, kThreads, 0, place, fold_job(plan, state, scan),
           [&] { return counting("fold ", given); });
    return plan.needs;
}

void reset(StateView state, const Place& place) {
    const OnDevice guard(place.device);
    launch(kReset, blocks_for(state.units), kThreads, 0, place, state,
           [&] { return "to reset the state of " + std::to_string(state.units) + " units"; });
}

void merge(StateView into, StateView from, const Place& place) {
    const OnDevice guard(place.device);
    const auto what = [&] { return "to merge states of " + std::to_string(into.units) + " units"; };
    const Merge job{into, from};
    launch(kMergeUnits, blocks_for(into.units), kThreads, 0, place, job, what);
    launch(kMergeHeader, 1, 1, 0, place, job, what);
}

std::string architectures() { return NEUROCENSUS_CUDA_ARCHITECTURES; }

std::vector<std::string> kernel_names() {
    std::vector<std::string> out{"fold", "reset_state", "merge_units", "merge_header"};
    for (const char* layout : {"scan_rows", "scan_columns"})
        for (const char* dtype : kDTypeNames)
            for (const char* width : {"16 bytes", "1 value"})
                for (const char* bins : {"", ", histogram"})
                    out.push_back(std::string(layout) + "<" + dtype + ", " + width + bins + ">");
    return out;
}

int runtime_version() {
    int version = 0;
    cudaRuntimeGetVersion(&version);
    return version;
}

int driver_version() {
    int version = 0;
    if (cudaDriverGetVersion(&version) != cudaSuccess) cudaGetLastError();
    return version;
}

int device_count(std::string& reason) {
    int count = 0;
    const cudaError_t error = cudaGetDeviceCount(&count);
    if (error == cudaSuccess) return count;
    cudaGetLastError();
    reason = std::string(cudaGetErrorString(error)) + " (" + cudaGetErrorName(error) + ")";
    return 0;
}

}  // namespace neurocensus::cuda
