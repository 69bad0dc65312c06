// Counting finite values into bins: small counters near the values, flushed into int64 ones.
#pragma once

#include <cstdint>
#include <limits>

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

    // First the slots of a chunk of values, then their increments: two tight loops.
    template <class C>
    void add(const C* x, std::int64_t count) {
        constexpr int L = kLanes<C>;
        for (std::int64_t i = 0; i < count;) {
            const std::int64_t end = i + least(count - i, kChunk - waiting_);
            std::uint16_t* slot = slot_ + waiting_;
            waiting_ += static_cast<int>(end - i);
            for (; i + L <= end; i += L, slot += L) put_slots<C>(load<C>(x + i), slot);
            for (; i < end; ++i) *slot++ = static_cast<std::uint16_t>(bin_index(x[i]));
            if (waiting_ == kChunk) increment();
        }
    }

    void flush() {
        if (out_ == nullptr) return;
        increment();
        empty_tables();
    }

   private:
    template <class C>
    static void put_slots(Vec<C> value, std::uint16_t* slot) {
        using I = Int<C>;
        constexpr int kShift = sizeof(C) == 4 ? 20 : 49;
        constexpr typename Simd<C>::Bits kBias =
            ((sizeof(C) == 4 ? 127 : 1023) + kExponentLow) * kBinsPerOctave - 2;
        typedef std::uint16_t Slots
            __attribute__((vector_size(kLanes<C> * sizeof(std::uint16_t)), aligned(2), may_alias));
        const I bits = reinterpret_cast<I>(value);
        const I magnitude = bits & Simd<C>::kMagnitude;
        I offset = (magnitude >> kShift) - kBias;
        offset = offset < 1 ? I{} + 1 : offset;
        offset = offset > kBinsPerSign + 2 ? I{} + (kBinsPerSign + 2) : offset;
        offset = bits < 0 ? -offset : offset;
        const I chosen = magnitude == 0 ? iota<C>() + kHistogramSize : offset + kZeroBin;
        *reinterpret_cast<Slots*>(slot) = __builtin_convertvector(chosen, Slots);
    }

    void increment() {
        if (counted_ > std::numeric_limits<std::int32_t>::max()) empty_tables();
        int i = 0;
        for (; i + kTables <= waiting_; i += kTables) {
#pragma GCC unroll 16
            for (int k = 0; k < kTables; ++k) ++table_[k][slot_[i + k]];
        }
        for (; i < waiting_; ++i) ++table_[0][slot_[i]];
        counted_ += waiting_;
        waiting_ = 0;
    }

    void empty_tables() {
        for (auto& table : table_) {
            for (int bin = 0; bin < kHistogramSize; ++bin) out_[bin] += table[bin];
            for (int lane = 0; lane < kMaxLanes; ++lane) out_[kZeroBin] += table[kHistogramSize + lane];
            for (auto& counter : table) counter = 0;
        }
        counted_ = 0;
    }

    static constexpr int kChunk = 256;
    static constexpr int kTables = 4;
    static constexpr int kMaxLanes = 16;
    std::int64_t* out_;
    std::int64_t counted_ = 0;  // what the 32-bit counters hold
    int waiting_ = 0;
    std::uint16_t slot_[kChunk];
    std::uint32_t table_[kTables][kHistogramSize + kMaxLanes];
};

}  // namespace NC_ISA
}  // namespace neurocensus
