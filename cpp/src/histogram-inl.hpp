// Counting finite values into bins: small counters near the values, flushed into int64 ones.
#pragma once

#include <cstdint>
#include <limits>

#include "neurocensus/ops.hpp"
#include "simd-inl.hpp"

namespace neurocensus {
inline namespace NC_ISA {

// Half of all values behind a ReLU are zero. So that they do not wait for one another at one counter,
// AVX-512 leaves them out of the increments; elsewhere each lane has a zero counter of its own.
// Neighbouring values use tables of their own.
class Histogram {
   public:
    explicit Histogram(std::int64_t* out) : out_(out) {
        if (out_ != nullptr) __builtin_memset(table_, 0, sizeof table_);
    }
    Histogram(const Histogram&) = delete;
    Histogram& operator=(const Histogram&) = delete;
    ~Histogram() { flush(); }

    bool wanted() const { return out_ != nullptr; }

    // First the slots of a chunk of values, then their increments: two tight loops.
    template <class C>
    void add(const C* x, std::int64_t count) {
        constexpr int L = kLanes<C>;
        std::int64_t i = 0;
        for (; i + L <= count; i += L) {
            waiting_ += put_slots<C>(load<C>(x + i), slot_ + waiting_);
            if (waiting_ >= kChunk) increment();
        }
        for (; i < count; ++i) ++table_[0][bin_index(x[i])];
        counted_ += count;
        if (counted_ > std::numeric_limits<std::int32_t>::max()) flush();
    }

    void flush() {
        if (out_ == nullptr) return;
        increment();
        for (auto& table : table_) {
            for (int bin = 0; bin < kHistogramSize; ++bin) out_[bin] += table[bin];
            for (int lane = 0; lane < kMaxLanes; ++lane) out_[kZeroBin] += table[kHistogramSize + lane];
            for (auto& counter : table) counter = 0;
        }
        out_[kZeroBin] += zeros_;
        zeros_ = counted_ = 0;
    }

   private:
    template <class C>
    int put_slots(Vec<C> value, std::uint16_t* slot) {
        using I = Int<C>;
        constexpr int L = kLanes<C>;
        constexpr int kShift = sizeof(C) == 4 ? 20 : 49;
        constexpr typename Simd<C>::Bits kBias =
            ((sizeof(C) == 4 ? 127 : 1023) + kExponentLow) * kBinsPerOctave - 2;
        typedef std::uint16_t Slots
            __attribute__((vector_size(L * sizeof(std::uint16_t)), aligned(2), may_alias));
        const I bits = reinterpret_cast<I>(value);
        const I magnitude = bits & Simd<C>::kMagnitude;
        I offset = (magnitude >> kShift) - kBias;
        offset = offset < 1 ? I{} + 1 : offset;
        offset = offset > kBinsPerSign + 2 ? I{} + (kBinsPerSign + 2) : offset;
        offset = (bits < 0 ? -offset : offset) + kZeroBin;
#if NC_VECTOR_BYTES == 64
        if constexpr (sizeof(C) == 4) {
            const __mmask16 nonzero = _mm512_test_epi32_mask((__m512i)magnitude, (__m512i)magnitude);
            const int count = __builtin_popcount(nonzero);
            const auto packed = (I)_mm512_maskz_compress_epi32(nonzero, (__m512i)offset);
            *reinterpret_cast<Slots*>(slot) = __builtin_convertvector(packed, Slots);
            zeros_ += L - count;
            return count;
        }
#endif
        offset = magnitude == 0 ? iota<C>() + kHistogramSize : offset;
        *reinterpret_cast<Slots*>(slot) = __builtin_convertvector(offset, Slots);
        return L;
    }

    void increment() {
        int i = 0;
        for (; i + kTables <= waiting_; i += kTables) {
#pragma GCC unroll 16
            for (int k = 0; k < kTables; ++k) ++table_[k][slot_[i + k]];
        }
        for (; i < waiting_; ++i) ++table_[0][slot_[i]];
        waiting_ = 0;
    }

    static constexpr int kChunk = 256;
    static constexpr int kTables = 4;
    static constexpr int kMaxLanes = 16;
    std::int64_t* out_;
    std::int64_t counted_ = 0;  // at least what the 32-bit counters hold
    std::int64_t zeros_ = 0;
    int waiting_ = 0;
    std::uint16_t slot_[kChunk + kMaxLanes];
    std::uint32_t table_[kTables][kHistogramSize + kMaxLanes];
};

}  // namespace NC_ISA
}  // namespace neurocensus
