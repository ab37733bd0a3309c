"""What a benchmark says: lines of the common table, or a table of its own."""

from collections.abc import Sequence
from typing import NamedTuple


class Row(NamedTuple):
    """What was measured, the figure, the reference's figure from the same run, their ratio, and
    the number to reach.
    """

    what: str
    measured: str
    reference: str = ""
    ratio: str = ""
    target: str = ""


class Grid(NamedTuple):
    """A table where one column is not enough: several readers, or several loads, side by side. A
    row without any text is a line between two groups.
    """

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    #: What there is to say below it: the numbers to reach.
    note: str = ""
