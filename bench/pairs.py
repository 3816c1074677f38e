"""Comparing two things on a machine that is now quick, now slow."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from bench.shell import say

Measure = Callable[[], float]


def alternate(rounds: int, measures: Mapping[str, Measure]) -> dict[str, list[float]]:
    """Take each measure, in seconds, once a round; every other round in reverse order.

    Within a round the machine is about as quick for one as for the other.
    """
    taken: dict[str, list[float]] = {name: [] for name in measures}
    for number in range(rounds):
        order = list(measures.items())
        if number % 2:
            order.reverse()
        say(f"  {number + 1} of {rounds}:", end="")
        for name, measure in order:
            taken[name].append(measure())
            say(f" {name} {taken[name][-1]:.3f} s;", end="")
        say()
    return taken


class Ratio(NamedTuple):
    """Ours by the other's: the median over all rounds, and the quartiles around it."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f} to {self.high:.2f})"


def ratio(ours: Sequence[float], other: Sequence[float]) -> Ratio:
    """Compare round by round."""
    ratios = [one / two for one, two in zip(ours, other, strict=True)]
    low, median, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return Ratio(median, low, high)


def spread(seconds: Sequence[float]) -> str:
    """The median, and the least and the most, such as ``2.1 s (1.9 to 2.6)``."""
    return f"{statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})"
