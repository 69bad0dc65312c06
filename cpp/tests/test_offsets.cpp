// Pitfall 23: offsets beyond 2^31 elements, in memory of which only the touched pages exist.
#include <sys/mman.h>

#include <cstdio>

#include "naive.hpp"

namespace neurocensus {
namespace {

constexpr std::int64_t kBeyond = (std::int64_t{1} << 32) + 3;  // elements: more than 32 bits can hold

class Sparse {
   public:
    explicit Sparse(std::int64_t bytes) : bytes_(static_cast<std::size_t>(bytes)) {
        void* memory =
            mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory != MAP_FAILED) data_ = static_cast<char*>(memory);
        if (data_ == nullptr) std::printf("skipped: no address space for %zu bytes\n", bytes_);
    }
    ~Sparse() {
        if (data_ != nullptr) munmap(data_, bytes_);
    }
    Sparse(const Sparse&) = delete;
    Sparse& operator=(const Sparse&) = delete;
    char* data() const { return data_; }

   private:
    char* data_ = nullptr;
    std::size_t bytes_;
};

// One axis, of three entries, has a stride of kBeyond; the others lie close together.
void check_far(View view) {
    const std::int64_t bytes = (2 * kBeyond + 4096) * size_of(view.dtype);
    const Sparse memory(bytes);
    if (memory.data() == nullptr) return;
    const bool mirrored = view.example_stride < 0 || view.unit_stride < 0 || view.position_stride[0] < 0;
    view.data = memory.data() + (mirrored ? (2 * kBeyond + 2048) * size_of(view.dtype) : 0);
    for (std::int64_t e = 0; e < view.examples; ++e)
        for (std::int64_t u = 0; u < view.units; ++u)
            for (std::int64_t p = 0; p < view.positions; ++p) {
                const std::int64_t offset =
                    e * view.example_stride + u * view.unit_stride + p * view.position_stride[0];
                const double value = static_cast<double>(1 + e + 10 * u + 7 * p % 31);
                write(const_cast<void*>(view.data), view.dtype, offset, value);
            }
    State state(view.units);
    Naive wanted(view.units);
    update(state.view(), view, {}, {});
    wanted.update(view, {}, {});
    wanted.check(state);
}

View view_of(DType dtype, std::int64_t examples, std::int64_t example_stride, std::int64_t units,
             std::int64_t unit_stride, std::int64_t positions, std::int64_t position_stride) {
    View view;
    view.dtype = dtype;
    view.examples = examples;
    view.example_stride = example_stride;
    view.units = units;
    view.unit_stride = unit_stride;
    view.position_axes = 1;
    view.position_size[0] = view.positions = positions;
    view.position_stride[0] = position_stride;
    return view;
}

TEST(strides_beyond_32_bits) {
    for_every_instruction_set([] {
        for (const DType dtype : {DType::float32, DType::bfloat16}) {
            for (const std::int64_t far : {kBeyond, -kBeyond}) {
                const std::int64_t near = far < 0 ? -1 : 1;
                const check::Note note(name_of(dtype), " stride ", far);
                check_far(view_of(dtype, 3, far, 4, 20 * near, 20, near));  // rows, examples far apart
                check_far(view_of(dtype, 4, 20 * near, 3, far, 20, near));  // rows, units far apart
                check_far(view_of(dtype, 4, 20 * near, 20, near, 3, far));  // columns, positions far apart
                check_far(view_of(dtype, 3, far, 20, near, 4, 20 * near));  // columns, examples far apart
            }
        }
    });
}

}  // namespace
}  // namespace neurocensus
