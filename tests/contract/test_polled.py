"""Requests that look at one generation are put together with the one that made it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.support.small_api import small, small_job, stage

from soundstage.contract import Contract
from soundstage.contract.given_values import given_by_answer
from soundstage.contract.paths import filled_values
from soundstage.contract.polled import SentRequest, polled_jobs

AT = "https://small.example"


def put_together(contract: Contract, given: dict[str, str], *looks: str) -> list[tuple[Any, ...]]:
    """(number of the request that made it, numbers of its looks) of each generation; the first
    request is to the job, and its answer gave `given`; the looks are to these paths.
    """
    status = contract.endpoints["status"]
    requests = [SentRequest(contract, contract.endpoints["job"], f"{AT}/j", given)]
    requests += [SentRequest(contract, status, AT + path) for path in looks]
    return [(each.first, tuple(each.looks)) for each in polled_jobs(requests)]


def test_a_look_belongs_to_the_job_that_gave_its_id(tmp_path: Path) -> None:
    contract = small_job(tmp_path)
    assert put_together(contract, {"id": "a"}, "/j/a", "/j/b", "/j/a") == [
        (0, (1, 3)),
        (None, (2,)),
    ]


def test_what_a_job_gives_beside_its_id_tells_nothing_apart(tmp_path: Path) -> None:
    gives = {"id": {"from": "/id"}, "region": {"header": "X-Region"}}
    contract = small_job(tmp_path, job={"gives": gives})
    assert put_together(contract, {"id": "a", "region": "eu"}, "/j/a", "/j/a") == [(0, (1, 2))]


def test_nor_does_what_a_status_endpoint_is_asked_beside_the_id(tmp_path: Path) -> None:
    contract = small_job(tmp_path, status={
        "query": {"detail": "{detail}"}, "parameters": {"detail": {"enum": ["all", "none"]}},
    })  # fmt: skip
    looks = ("/j/a?detail=all", "/j/a?detail=none")
    assert put_together(contract, {"id": "a"}, *looks) == [(0, (1, 2))]


@pytest.mark.parametrize("said", ["{}", '{"a":1}', "{1}", "{a b}"])
def test_braces_that_hold_no_name_stand_for_themselves(tmp_path: Path, said: str) -> None:
    contract = small_job(tmp_path, status={"query": {"fields": said}})
    status = contract.endpoints["status"]
    assert filled_values(status, "/j/a", f"fields={said}") == {"id": "a"}
    assert filled_values(status, "/j/a", "fields=other") is None
    assert put_together(contract, {"id": "a"}, f"/j/a?fields={said}") == [(0, (1,))]


def test_a_stage_that_the_name_of_its_event_tells_gives_its_own_values(tmp_path: Path) -> None:
    contract = small(
        tmp_path,
        stage("begun", when={}, event="begun", fields=[]),
        stage("made", when={}, event="made", after=[["begun"]], ends="stream", fields=["id"]),
        endpoint={"gives": {"id": {"from": "/id", "stage": "made"}}},
    )
    body = (
        b'event: begun\ndata: {"t": "begun", "id": "other"}\n\n'
        b'event: made\ndata: {"t": "made", "id": "right"}\n\n'
    )
    given = given_by_answer(contract.endpoints["stream"], body, lambda _: None)
    assert given == {"id": "right"}
