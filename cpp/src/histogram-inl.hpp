// Counting finite values into bins: small counters near the values, flushed into int64 ones.
#pragma once

#include <cstdint>

#include "neurocensus/ops.hpp"
#include "simd-inl.hpp"

namespace neurocensus {
inline namespace NC_ISA {

// Half of all values behind a ReLU are zero. So that they do not wait for one another at one counter,
// each lane has a zero counter of its own; neighbouring values use tables of their own.
class Histogram {
   public:
    explicit Histogram(std::int64_t* out) : out_(out) {
        if (out_ != nullptr) __builtin_memset(table_, 0, sizeof table_);
    }
    Histogram(const Histogram&) = delete;
    Histogram& operator=(const Histogram&) = delete;
    ~Histogram() { flush(); }

    bool wanted() const { return out_ != nullptr; }

    template <class C>
    void add(const C* x, std::int64_t count) {
        constexpr int L = kLanes<C>;
        constexpr int kShift = sizeof(C) == 4 ? 20 : 49;
        constexpr typename Simd<C>::Bits kBias =
            ((sizeof(C) == 4 ? 127 : 1023) + kExponentLow) * kBinsPerOctave - 2;
        using I = Int<C>;
        const I zero_slot = iota<C>() + kHistogramSize;
        if (pending_ + count > (std::int64_t{1} << 31)) flush();
        pending_ += count;
        std::int64_t i = 0;
        typename Simd<C>::Bits slot[L];
        for (; i + L <= count; i += L) {
            const I bits = reinterpret_cast<I>(load<C>(x + i));
            const I magnitude = bits & Simd<C>::kMagnitude;
            I offset = (magnitude >> kShift) - kBias;
            offset = offset < 1 ? I{} + 1 : offset;
            offset = offset > kBinsPerSign + 2 ? I{} + (kBinsPerSign + 2) : offset;
            offset = bits < 0 ? -offset : offset;
            store_bits<C>(slot, magnitude == 0 ? zero_slot : offset + kZeroBin);
#pragma GCC unroll 16
            for (int lane = 0; lane < L; ++lane) ++table_[lane % kTables][slot[lane]];
        }
        for (; i < count; ++i) ++table_[0][bin_index(x[i])];
    }

    void flush() {
        if (out_ == nullptr) return;
        for (auto& table : table_) {
            for (int bin = 0; bin < kHistogramSize; ++bin) out_[bin] += table[bin];
            for (int lane = 0; lane < kMaxLanes; ++lane) out_[kZeroBin] += table[kHistogramSize + lane];
            for (auto& counter : table) counter = 0;
        }
        pending_ = 0;
    }

   private:
    static constexpr int kTables = 4;
    static constexpr int kMaxLanes = 16;
    std::int64_t* out_;
    std::int64_t pending_ = 0;
    std::uint32_t table_[kTables][kHistogramSize + kMaxLanes];
};

}  // namespace NC_ISA
}  // namespace neurocensus
