// Many states into one. A tile of units stays in the cache while all states pass by: each of them is read
// once, and the result is written once.
#pragma once

#include "kernels.hpp"
#include "neurocensus/state.hpp"
#include "simd-inl.hpp"

namespace neurocensus {
inline namespace NC_ISA {

class TileMerge {
   public:
    explicit TileMerge(const MergeJob& job) : job_(job) {}

    // Units from `begin` on, kMergeTile of them or what is left.
    void run(std::int64_t begin) {
        begin_ = begin;
        units_ = least(kMergeTile, job_.unit_end - begin);
        whole_ = units_ - units_ % kStep;
        values_ = job_.values;
        const StateView into{job_.words, job_.units, false};
        for (int field = 0; field < kFields; ++field)
            copy(sum_.counts(Field{field}), into.counts(Field{field}) + begin);
        even_ = all_finite(sum_.counts(Field::nan), sum_.counts(Field::inf));
        for (std::int64_t i = 0; i < job_.count; ++i) {
            const bool last = i + 1 == job_.count;
            next_ = job_.parts[last ? 0 : i + 1].words + kHeaderWords + begin + (last ? kMergeTile : 0);
            if (job_.parts[i].values > 0) add(job_.parts[i]);  // else it has seen nothing
        }
        for (int field = 0; field < kFields; ++field)
            copy(into.counts(Field{field}) + begin, sum_.counts(Field{field}));
    }

   private:
    using V = Vec<double>;
    using I = Int<double>;
    static constexpr std::int64_t kStep = kLanes<double>;
    static constexpr std::int64_t kLine = 8;  // words

    void copy(std::int64_t* to, const std::int64_t* from) const {
        __builtin_memcpy(to, from, static_cast<std::size_t>(units_) * sizeof *to);
    }

    void add(const MergePart& part) {
        for (int field = 0; field < kFields; ++field)
            column_[field] = part.words + kHeaderWords + field * job_.units + begin_;
        for (std::int64_t i = 0; i < units_; i += kLine) {
            prefetch(Field::nan, i);
            prefetch(Field::inf, i);
        }
        const bool finite = all_finite(counts(Field::nan), counts(Field::inf));
        even_ = even_ && finite;
        if (even_) {
            even_moments(part.values);
        } else {
            uneven_moments(part.values);
        }
        extrema(part.first_example);
        add_counts(Field::nonzero);
        add_counts(Field::active_examples);
        if (!finite) {
            add_counts(Field::nan);
            add_counts(Field::inf);
        }
        for (std::int64_t unit = whole_; unit < units_; ++unit) add_one(part, unit);
        values_ += part.values;
    }

    // The columns are ten short runs of memory each time, too short for the hardware to run ahead of them.
    void prefetch(Field field, std::int64_t i) const {
        if (i % kLine == 0) __builtin_prefetch(next_ + static_cast<int>(field) * job_.units + i);
    }

    // Of the units in whole vectors: the others are combined one by one.
    bool all_finite(const std::int64_t* nan, const std::int64_t* inf) const {
        I any{};
        for (std::int64_t i = 0; i < whole_; i += kStep)
            any |= load_bits<double>(nan + i) | load_bits<double>(inf + i);
        std::int64_t some = 0;
        for (std::int64_t lane = 0; lane < kStep; ++lane) some |= any[lane];
        return some == 0;
    }

    // Where all units have the same number of finite values, one division does for all.
    void even_moments(std::int64_t values) {
        const double before = static_cast<double>(values_);
        const double share = static_cast<double>(values) / static_cast<double>(values_ + values);
        const I first = broadcast_bits(values_ == 0 ? -1 : 0);
        for (std::int64_t i = 0; i < whole_; i += kStep)
            join_moments(i, broadcast(share), broadcast(before * share), first, I{});
    }

    void uneven_moments(std::int64_t values) {
        for (std::int64_t i = 0; i < whole_; i += kStep) {
            const I before = finite(values_, sum_.counts(Field::nan) + i, sum_.counts(Field::inf) + i);
            const I more = finite(values, counts(Field::nan) + i, counts(Field::inf) + i);
            const V share = __builtin_convertvector(more, V) / __builtin_convertvector(before + more, V);
            join_moments(i, share, __builtin_convertvector(before, V) * share, before == 0, more == 0);
        }
    }

    static I broadcast_bits(std::int64_t value) { return value - I{}; }
    static I finite(std::int64_t values, const std::int64_t* nan, const std::int64_t* inf) {
        return values - load_bits<double>(nan) - load_bits<double>(inf);
    }

    // combine() of ops.hpp in each lane; `first`: nothing was there before, `none`: nothing comes.
    void join_moments(std::int64_t i, V share, V weight, I first, I none) {
        const auto join = [&](Field field, auto joined) {
            prefetch(field, i);
            double* const sum = sum_.reals(field) + i;
            const V a = load(sum), b = load(reals(field) + i);
            store<double>(sum, none ? a : first ? b : joined(a, b));
        };
        const V delta = load(reals(Field::mean) + i) - load(sum_.reals(Field::mean) + i);
        join(Field::mean, [&](V a, V) { return a + delta * share; });
        join(Field::m2, [&](V a, V b) { return a + (b + delta * weight * delta); });
        join(Field::mean_abs, [&](V a, V b) { return a + (b - a) * share; });
    }

    void extrema(std::int64_t first_example) {
        for (std::int64_t i = 0; i < whole_; i += kStep) {
            prefetch(Field::max, i);
            prefetch(Field::argmax, i);
            prefetch(Field::min, i);
            double* const max = sum_.reals(Field::max) + i;
            double* const min = sum_.reals(Field::min) + i;
            std::int64_t* const argmax = sum_.counts(Field::argmax) + i;
            const V a = load(max), b = load(reals(Field::max) + i);
            const I a_at = load_bits<double>(argmax), b_local = load_bits<double>(counts(Field::argmax) + i);
            const I seen = b_local >= 0, b_at = b_local + (seen & first_example);
            const I exceeds = (b > a) | ((b == a) & seen & (b_at < a_at));
            store<double>(max, exceeds ? b : a);
            store_bits<double>(argmax, exceeds ? b_at : a_at);
            const V low = load(min), other = load(reals(Field::min) + i);
            store<double>(min, other < low ? other : low);
        }
    }

    void add_counts(Field field) {
        std::int64_t* const sum = sum_.counts(field);
        for (std::int64_t i = 0; i < whole_; i += kStep) {
            prefetch(field, i);
            store_bits<double>(sum + i, load_bits<double>(sum + i) + load_bits<double>(counts(field) + i));
        }
    }

    // A unit that no whole vector holds.
    void add_one(const MergePart& part, std::int64_t unit) {
        const Unit a = sum_.load(unit);
        Unit b = StateView{const_cast<std::int64_t*>(part.words), job_.units, false}.load(begin_ + unit);
        if (b.argmax >= 0) b.argmax += part.first_example;
        sum_.store(unit, combine(a, values_ - a.nan - a.inf, b, part.values - b.nan - b.inf));
    }

    const std::int64_t* counts(Field field) const { return column_[static_cast<int>(field)]; }
    const double* reals(Field field) const { return reinterpret_cast<const double*>(counts(field)); }

    const MergeJob& job_;
    std::int64_t begin_ = 0, units_ = 0;
    std::int64_t whole_ = 0;                 // units in whole vectors
    std::int64_t values_ = 0;                // per unit, in `sum_`
    bool even_ = true;                       // neither NaN nor infinity in `sum_`
    const std::int64_t* column_[kFields]{};  // of the part under way
    const std::int64_t* next_ = nullptr;     // first column of the part after it
    // A state of its own, whose columns begin on cache lines.
    alignas(64) std::int64_t words_[kLine + kFields * kMergeTile];
    const StateView sum_{words_ + kLine - kHeaderWords, kMergeTile, false};
};

inline void merge_units(const MergeJob& job) {
    TileMerge tile(job);
    for (std::int64_t unit = job.unit_begin; unit < job.unit_end; unit += kMergeTile) tile.run(unit);
}

}  // namespace NC_ISA
}  // namespace neurocensus
