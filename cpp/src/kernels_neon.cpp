#define NC_ISA neon
#define NC_VECTOR_BYTES 16
#define NC_ROW_UNROLL 4
#include "kernels-inl.hpp"

namespace neurocensus {
const Kernels kKernelsNeon = {"neon", for_dtype<ScanRows>, for_dtype<ScanColumns>, merge_units, plain_max};
}  // namespace neurocensus
