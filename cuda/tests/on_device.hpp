// update() of the CUDA core with scratch of its own, as the Python side keeps it: zeros before, zeros after.
#pragma once

#include <algorithm>
#include <vector>

#include "census.hpp"
#include "check.hpp"

namespace neurocensus {

class OnDevice {
   public:
    void update(StateView state, const View& view, const Mask& mask, const Options& options,
                const std::uint8_t* enabled = nullptr) {
        const cuda::Needs needs = cuda::update(state, view, mask, options, enabled, scratch(), {});
        if (zeros_.size() < needs.zeros_bytes || parts_.size() * 8 < needs.parts_bytes) {
            zeros_.assign(std::max(zeros_.size(), needs.zeros_bytes), 0);
            parts_.assign(std::max(parts_.size(), needs.parts_bytes / 8), 0x5a5a5a5a5a5a5a5a);
            cuda::update(state, view, mask, options, enabled, scratch(), {});
        }
        CHECK(std::all_of(zeros_.begin(), zeros_.end(), [](std::uint8_t byte) { return byte == 0; }));
    }

   private:
    cuda::Scratch scratch() { return {zeros_.data(), zeros_.size(), parts_.data(), parts_.size() * 8}; }

    std::vector<std::uint8_t> zeros_;
    std::vector<std::int64_t> parts_;
};

}  // namespace neurocensus
