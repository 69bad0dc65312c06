// The math of the census, for host and device: what one unit remembers, how two memories become one,
// and which histogram bin a value falls into. src/neurocensus/reference.py says the same in NumPy.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#if defined(__CUDACC__)
#define NC_HD __host__ __device__ inline
#else
#define NC_HD inline
#endif

// Every translation unit built for its own instruction set puts these inline functions into a namespace
// of its own. Otherwise the linker keeps one copy of each, perhaps the AVX-512 one, for all callers.
#ifndef NC_ISA
#define NC_ISA common
#endif

namespace neurocensus {
inline namespace NC_ISA {

// The state of one unit. Finite values seen = values of the layer - nan - inf.
struct Unit {
    std::int64_t nonzero;          // finite values with abs > threshold
    std::int64_t active_examples;  // examples with any such value
    double max;                    // over finite values; -inf if there is none
    double min;                    // over finite values; +inf if there is none
    std::int64_t argmax;           // lowest example index that reaches max; -1 if there is none
    double mean;                   // over finite values
    double m2;                     // sum of squared deviations from mean
    double mean_abs;               // mean of abs over finite values
    std::int64_t nan;
    std::int64_t inf;
};

NC_HD Unit identity() {
    constexpr double infinity = std::numeric_limits<double>::infinity();
    return {0, 0, -infinity, infinity, -1, 0.0, 0.0, 0.0, 0, 0};
}

// Is (max_b, argmax_b) the better record? Ties go to the lowest example index.
NC_HD bool exceeds(double max_b, std::int64_t argmax_b, double max_a, std::int64_t argmax_a) {
    return max_b > max_a || (max_b == max_a && argmax_b >= 0 && argmax_b < argmax_a);
}

// Both parts together; finite_a and finite_b are their numbers of finite values. Associative and
// commutative with identity(): counts and extrema exactly, moments to rounding
// (Chan, Golub & LeVeque, "Algorithms for computing the sample variance", 1983).
NC_HD Unit combine(const Unit& a, std::int64_t finite_a, const Unit& b, std::int64_t finite_b) {
    Unit out = a;
    out.nonzero += b.nonzero;
    out.active_examples += b.active_examples;
    out.nan += b.nan;
    out.inf += b.inf;
    if (exceeds(b.max, b.argmax, a.max, a.argmax)) {
        out.max = b.max;
        out.argmax = b.argmax;
    }
    if (b.min < a.min) out.min = b.min;
    if (finite_b == 0) return out;
    if (finite_a == 0) {  // exactly b, not b to rounding
        out.mean = b.mean;
        out.m2 = b.m2;
        out.mean_abs = b.mean_abs;
        return out;
    }
    const double share = static_cast<double>(finite_b) / static_cast<double>(finite_a + finite_b);
    const double delta = b.mean - a.mean;
    out.mean += delta * share;
    out.m2 += b.m2 + delta * (static_cast<double>(finite_a) * share) * delta;
    out.mean_abs += (b.mean_abs - a.mean_abs) * share;
    return out;
}

// Histogram: eight bins to the octave for 2^-32 <= abs < 2^32, taken from the bits of the value, so
// that float32 and bfloat16 (and the doubles equal to them) fall into the same bin. Ascending order:
// above (-), bins (-), below (-), zero, below (+), bins (+), above (+).
constexpr int kExponentLow = -32;
constexpr int kExponentHigh = 32;
constexpr int kBinsPerOctave = 8;
constexpr int kBinsPerSign = (kExponentHigh - kExponentLow) * kBinsPerOctave;
constexpr int kZeroBin = kBinsPerSign + 2;
constexpr int kHistogramSize = 2 * kZeroBin + 1;

// Distance from the zero bin of a magnitude whose float bits, shifted to end after the third mantissa
// bit, are `top`; `bias` is what 2^kExponentLow has there.
NC_HD int bin_offset(int top, int bias) {
    const int index = top - bias;
    return index < 0 ? 1 : index >= kBinsPerSign ? kBinsPerSign + 2 : index + 2;
}

NC_HD int bin_index(float value) {
    std::uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    const std::uint32_t magnitude = bits & 0x7fffffffu;
    if (magnitude == 0) return kZeroBin;
    const int offset = bin_offset(static_cast<int>(magnitude >> 20), (127 + kExponentLow) * kBinsPerOctave);
    return bits >> 31 ? kZeroBin - offset : kZeroBin + offset;
}

NC_HD int bin_index(double value) {
    std::uint64_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    const std::uint64_t magnitude = bits & 0x7fffffffffffffffull;
    if (magnitude == 0) return kZeroBin;
    const int offset = bin_offset(static_cast<int>(magnitude >> 49), (1023 + kExponentLow) * kBinsPerOctave);
    return bits >> 63 ? kZeroBin - offset : kZeroBin + offset;
}

}  // namespace NC_ISA
}  // namespace neurocensus
