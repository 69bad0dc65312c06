"""How benchmarks are timed, kept, held against targets and baselines, and told."""
