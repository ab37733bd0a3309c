"""Changes of level as Apache Otava finds them, for those who have installed it beside us."""

from __future__ import annotations

import math
from collections.abc import Sequence

from soundstage.errors import UsageError
from soundstage.reports.changepoints import Change


def changes(logs: Sequence[float]) -> list[Change]:
    """The changes of a series of logs by Otava's own rules (E-divisive, p <= 0.001).

    Raises UsageError where Otava is not installed.
    """
    try:
        from otava.series import Metric, Series
    except ImportError as error:
        raise UsageError(
            "Apache Otava is not installed here: pip install 'soundstage[otava]'"
        ) from error
    values = [math.exp(each) for each in logs]
    runs = Series("soundstage", None, list(range(len(values))), {"s": Metric()}, {"s": values}, {})
    return [
        Change(int(each.index), float(each.mean_after() / each.mean_before()), float(each.pvalue()))
        for each in runs.analyze().change_points["s"]
    ]
