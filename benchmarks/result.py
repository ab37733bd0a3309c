"""One line of the table."""

from typing import NamedTuple


class Row(NamedTuple):
    """What was measured, the figure, the reference's figure from the same run, their ratio, and
    the number to reach (design 13).
    """

    what: str
    measured: str
    reference: str = ""
    ratio: str = ""
    target: str = ""
