"""Which of several exit codes is given, and what a report that failed does to a verdict."""

from __future__ import annotations

import pytest

from soundstage.exit_codes import ExitCode, with_report, worst


@pytest.mark.parametrize(
    ("codes", "given"),
    [
        ([], 0),
        ([0, 4], 4),
        ([4, 3], 3),
        ([3, 5, 4], 5),
        ([5, 6, 3], 6),
        ([6, 1, 0], 1),
        ([1, 2], 2),
        ([1, 70], 70),
        ([70, 130], 130),
        ([1, 143], 143),
        ([1, 139], 139),
    ],
)
def test_of_several_codes_the_first_of_the_order_is_given(codes: list[int], given: int) -> None:
    assert worst(codes) == given
    assert worst(reversed(codes)) == given


@pytest.mark.parametrize(
    ("verdict", "reported", "given"),
    [
        (1, 6, 1),
        (0, 6, 6),
        (3, 6, 6),
        (4, 6, 6),
        (0, 2, 6),
        (0, 70, 70),
        (143, 6, 143),
        (3, 0, 3),
        (4, 5, 4),
        (0, 130, 130),
    ],
)
def test_a_report_that_failed_hides_any_verdict_but_a_broken_contract(
    verdict: int, reported: int, given: int
) -> None:
    assert with_report(verdict, reported) == given


def test_every_code_has_its_place_in_the_order() -> None:
    for code in ExitCode:
        assert worst([code, ExitCode.PASS]) == code
