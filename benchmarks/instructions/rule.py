"""The gate: what a run may take more than its baseline."""

from __future__ import annotations

from dataclasses import dataclass, field

from benchmarks.instructions.counts import Counts, instruction_set

# Counts are exact: this leaves room for small changes that nobody needs to explain, not for noise. The total
# is held tighter: a little more in every case is not small.
CASE = 0.01
TOTAL = 0.0025

RULE = (
    f"No case may take more than {CASE:.0%} more instructions than its baseline, "
    f"and all cases of an instruction set together no more than {TOTAL:.2%} more."
)


@dataclass(frozen=True)
class Change:
    """Of instructions: of a case, or of each value and statistic of all cases."""

    what: str
    before: float
    now: float

    @property
    def share(self) -> float:
        return self.now / self.before - 1

    def __str__(self) -> str:
        form = ",d" if isinstance(self.now, int) else ".4f"
        return f"{self.what}: {self.share:+.2%} ({self.before:{form}} to {self.now:{form}})"


@dataclass
class Verdict:
    """What is otherwise than in the baseline."""

    worse: list[Change] = field(default_factory=list)
    better: list[Change] = field(default_factory=list)
    unmatched: list[str] = field(default_factory=list)  # cases of one side alone, or that do other work

    @property
    def holds(self) -> bool:
        return not self.worse and not self.unmatched


def judge(now: Counts, baseline: Counts) -> Verdict:
    """Hold `now` against a baseline of the same tools."""
    out = Verdict()
    here, there = (set(counts.totals()) for counts in (now, baseline))
    for which in sorted(there - here):
        out.unmatched.append(f"{which}: in the baseline, but this CPU cannot run it, or valgrind cannot")
    for name in baseline.cases:
        if name not in now.cases and instruction_set(name) in here:
            out.unmatched.append(f"{name}: in the baseline, but not counted")
    for name, count in now.cases.items():
        before = baseline.cases.get(name)
        if before is None:
            out.unmatched.append(f"{name}: counted, but not in the baseline")
        elif not count.same_work(before):
            out.unmatched.append(
                f"{name}: {count.values} values and {count.statistics} statistics, "
                f"in the baseline {before.values} and {before.statistics}"
            )
        else:
            _compare(out, Change(name, before.instructions, count.instructions), CASE)
    if not out.unmatched:  # else the totals are of unlike things
        totals = baseline.totals()
        for which, value in now.totals().items():
            _compare(out, Change(f"{which}, all cases", totals[which], value), TOTAL)
    return out


def _compare(out: Verdict, change: Change, tolerance: float) -> None:
    if change.now > change.before * (1 + tolerance):
        out.worse.append(change)
    elif change.now < change.before * (1 - tolerance):
        out.better.append(change)
