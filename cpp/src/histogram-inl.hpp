// Counting finite values into bins: small counters near the values, flushed into int64 ones.
#pragma once

#include <cstdint>

#include "load-inl.hpp"
#include "neurocensus/ops.hpp"
#include "simd-inl.hpp"

namespace neurocensus {
inline namespace NC_ISA {

// What the bins are made of: sign, exponent and three bits of the mantissa, the top of a float32, choose the
// counter. No bounds are looked at value by value: what lies below, above or is not finite is sorted out in
// flush(). Only zero shares its top with other values. Half of all values behind a ReLU are zero, and would
// wait for one another at one counter: they are left out, and are in the end those that were not counted.
// Neighbouring values use tables of their own.
class Histogram {
   public:
    explicit Histogram(std::int64_t* out) : out_(out) {}
    Histogram(const Histogram&) = delete;
    Histogram& operator=(const Histogram&) = delete;
    ~Histogram() {
        if (tables_) flush();
    }

    bool wanted() const { return out_ != nullptr; }

    template <DType D, class T>
    void add(const T* x, std::int64_t count) {
        if (!tables_) {
            if (count <= few_) return add_few<D>(x, count);
            __builtin_memset(table_, 0, sizeof table_);
            tables_ = true;
        }
        add_many<D>(x, count);
    }

   private:
    // One by one into the bins: tables would cost more than so few values.
    template <DType D, class T>
    void add_few(const T* x, std::int64_t count) {
        few_ -= count;
        for (std::int64_t i = 0; i < count; ++i) {
            const auto value = widen_one<D>(x + i);
            if (__builtin_isfinite(value)) ++out_[bin_index(value)];
        }
    }

    // First the slots of a chunk of values, then their increments: two tight loops.
    template <DType D, class T>
    void add_many(const T* x, std::int64_t count) {
        using C = typename Source<D>::Compute;
        constexpr int L = kLanes<C>;
        const Int<C> all = Int<C>{} - 1;
        int waiting = waiting_;  // in a register: the compiler takes slots for what may be any member
        std::int64_t i = 0;
        for (; i + L <= count; i += L) {
            waiting += put<C>(load_wide<D>(x + i), all, slot_ + waiting);
            if (waiting >= kChunk) waiting = increment(waiting);
        }
        if (i < count) {
            Int<C> used;
            const Vec<C> tail = load_tail<D>(x + i, count - i, used);
            waiting += put<C>(tail, used, slot_ + waiting);
            if (waiting >= kChunk) waiting = increment(waiting);
        }
        waiting_ = waiting;
        zeros_ += count;  // as many as there are in the end no others
    }

    static constexpr int kTops = 4096;
    static constexpr int kSignTop = kTops / 2;
    static constexpr int kMaxLanes = 16;
    static constexpr int kLeftOut = kTops;  // a counter of no meaning for each lane
    static constexpr int kSlots = kLeftOut + kMaxLanes;
    static constexpr int kChunk = 256;
    static constexpr int kTables = 4;
    static constexpr std::int64_t kMost = 65535 * kTables - 2 * kChunk;  // the counters have 16 bits

    template <class C>
    static Int<C> tops(Vec<C> value) {
        const Int<C> bits = reinterpret_cast<Int<C>>(value);
        if constexpr (sizeof(C) == 4) {
            return (bits >> 20) & (kTops - 1);
        } else {  // as float32 would have it; what that cannot hold goes to its ends
            constexpr std::int64_t kShift = (1023 - 127) * kBinsPerOctave, kInfinite = 2047 * kBinsPerOctave;
            const Int<C> top = (bits & Simd<C>::kMagnitude) >> 49;
            Int<C> out = top - kShift;
            out = out < 0 ? Int<C>{} : out;
            out = out > kInfiniteTop - 1 ? Int<C>{} + (kInfiniteTop - 1) : out;
            out = top >= kInfinite ? Int<C>{} + kInfiniteTop : out;
            return bits < 0 ? out + kSignTop : out;
        }
    }

    // The slots of one vector; returns how many.
    template <class C>
    int put(Vec<C> value, Int<C> used, std::uint16_t* slot) {
        constexpr int L = kLanes<C>;
        typedef std::uint16_t Slots
            __attribute__((vector_size(L * sizeof(std::uint16_t)), aligned(2), may_alias));
        const Int<C> magnitude = reinterpret_cast<Int<C>>(value) & Simd<C>::kMagnitude;
#if NC_VECTOR_BYTES == 64
        if constexpr (sizeof(C) == 4) {
            const __mmask16 counted = _mm512_test_epi32_mask((__m512i)magnitude, (__m512i)used);
            __m512i out = (__m512i)tops<C>(value);
            if (counted == 0xffff) {  // to compress takes five cycles
                _mm256_storeu_si256(reinterpret_cast<__m256i*>(slot),
                                    _mm512_maskz_cvtepi32_epi16(0xffff, out));
                return L;
            }
            out = _mm512_maskz_compress_epi32(counted, out);
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(slot), _mm512_maskz_cvtepi32_epi16(0xffff, out));
            return __builtin_popcount(counted);
        }
#endif
        const Int<C> out = (magnitude & used) == 0 ? iota<C>() + kLeftOut : tops<C>(value);
        *reinterpret_cast<Slots*>(slot) = __builtin_convertvector(out, Slots);
        return L;
    }

    // Whole groups of slots; returns how many are left over and come first in the next chunk.
    int increment(int waiting) {
        int i = 0;
        for (; i + kTables <= waiting; i += kTables) {
#pragma GCC unroll 16
            for (int k = 0; k < kTables; ++k) ++table_[k][slot_[i + k]];
        }
        counted_ += i;
        __builtin_memcpy(slot_, slot_ + i, kTables * sizeof slot_[0]);
        if (counted_ > kMost) empty_tables();
        return waiting - i;
    }

    void flush() {
        waiting_ = increment(waiting_);
        for (int k = 0; k < waiting_; ++k) ++table_[k][slot_[k]];
        empty_tables();
    }

    void empty_tables() {
        empty_sign<1>(0);
        empty_sign<-1>(kSignTop);
        out_[kZeroBin] += zeros_;
        __builtin_memset(table_, 0, sizeof table_);
        counted_ = zeros_ = 0;
    }

    // Bins of one sign lie from the zero bin outwards.
    template <int step>
    void empty_sign(int top) {
        constexpr int kLow = (127 + kExponentLow) * kBinsPerOctave, kHigh = kLow + kBinsPerSign;
        const std::uint32_t below = sum(top, top + kLow), above = sum(top + kHigh, top + kInfiniteTop);
        out_[kZeroBin + step] += below;
        out_[kZeroBin + step * (kBinsPerSign + 2)] += above;
        std::int64_t* const bins = out_ + kZeroBin + step * 2;
        std::uint32_t within = 0;
        for (int i = 0; i < kBinsPerSign; ++i) {
            std::uint32_t count = 0;
            for (const auto& table : table_) count += table[top + kLow + i];
            bins[step * i] += count;
            within += count;
        }
        zeros_ -= below + within + above + sum(top + kInfiniteTop, top + kSignTop);
    }

    std::uint32_t sum(int begin, int end) const {
        std::uint32_t out = 0;
        for (const auto& table : table_)
            for (int i = begin; i < end; ++i) out += table[i];
        return out;
    }

    // Infinity and NaN: from here to the sign's end.
    static constexpr int kInfiniteTop = 255 * kBinsPerOctave;
    std::int64_t* out_;
    std::int64_t few_ = 1024;   // values until the tables are used
    bool tables_ = false;       // are they?
    std::int64_t counted_ = 0;  // what they hold
    std::int64_t zeros_ = 0;
    int waiting_ = 0;
    std::uint16_t slot_[kChunk + 2 * kMaxLanes];
    std::uint16_t table_[kTables][kSlots];
};

}  // namespace NC_ISA
}  // namespace neurocensus
