"""The bars: what each measure of ours may be at most. This is the only place that has them."""

from typing import NamedTuple


class Bar(NamedTuple):
    """The most that a measure may be, in ``unit``; a ratio is ours by the other's."""

    limit: float
    unit: str


BARS = {
    "package, stage 1": Bar(12, "KiB"),
    "package, stage 2": Bar(1.8, "MiB"),
    "package, stage 5": Bar(4, "MiB"),
    "stale .pyc in packages of ours": Bar(0, "files"),
    "cold start by bare Flask's": Bar(1.15, "ratio"),
    "cold start by usual Flask's": Bar(0.5, "ratio"),
    "cold GET /health, car by scooter's": Bar(1.15, "ratio"),
    "cold POST /orders, car by bare Flask's": Bar(1.15, "ratio"),
    "first deploy to first 200": Bar(6, "s"),
    "first deploy by Zappa's": Bar(0.3, "ratio"),
    "redeploys that did not see that nothing changed": Bar(0, "deploys"),
    "copier copy by a bare template's": Bar(1.2, "ratio"),
    "copier update by a bare template's": Bar(1.2, "ratio"),
    "files, stage 1": Bar(35, "files"),
    "files, stage 2": Bar(45, "files"),
    "files, stage 5": Bar(75, "files"),
    "first deploy of the car to first 200": Bar(6, "s"),
    "tox -e unit, stage 2": Bar(2, "s"),
    "tox, stage 2": Bar(60, "s"),
}
