"""A stream and the status endpoint beside it speak of one generation: twenty ways in which they do
not, made by hand, are found; and nothing is where they do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.meddling import meddling

from soundstage.contract import load
from soundstage.emulator.options import Options
from soundstage.emulator.service.server import running
from soundstage.exchange.client import Call
from soundstage.exchange.session import open_session
from soundstage.exchange.target import find
from soundstage.exchange.ties import ask_alone, leave_and_ask, leaves_of, tied_endpoints

SONGS = load("songs", Path(__file__).parents[2] / "examples/contracts")
STATUS = SONGS.endpoints["status"].path
Change = Callable[[int, Any, int], tuple[int, Any]]


def looks(
    change: Change, state: str | None = None
) -> Callable[[], Callable[[str, int, Any], tuple[int, Any]]]:
    """Meddles with looks: `change` takes status, value, and how often this id was looked at (and
    shown in this state).
    """

    def begin() -> Callable[[str, int, Any], tuple[int, Any]]:
        asked: Counter[str] = Counter()

        def meddle(path: str, status: int, value: Any) -> tuple[int, Any]:
            if path != STATUS or "job_id" not in value or state not in (None, value["status"]):
                return status, value
            asked[value["job_id"]] += 1
            return change(status, value, asked[value["job_id"]])

        return meddle

    return begin


def over_charged(begin: Callable[[int, dict[str, int]], int]) -> Any:
    """Meddles with what the service says it has charged; `begin` takes the number and counts."""

    def make() -> Callable[[str, int, Any], tuple[int, Any]]:
        seen: dict[str, int] = Counter()

        def meddle(path: str, status: int, value: Any) -> tuple[int, Any]:
            seen["looks"] += path == STATUS
            if "charges" in value:
                value["charges"] = begin(value["charges"], seen)
            return status, value

        return meddle

    return make


def when(state: str, **fields: Any) -> Any:
    """Fields that a state is shown with."""
    return looks(
        lambda status, value, _: (
            status,
            {**value, **fields} if value["status"] == state else value,
        )
    )


def put(status: int, value: Any, change: Callable[[Any], None]) -> tuple[int, Any]:
    change(value)
    return status, value


def tracks(state: str, change: Callable[[list[Any]], Any]) -> Any:
    """The tracks of a state, changed."""

    def swap(status: int, value: Any, _: int) -> tuple[int, Any]:
        if value["status"] == state and "tracks" in value:
            value["tracks"] = change(value["tracks"])
        return status, value

    return looks(swap)


def url(at: int, name: str) -> Callable[[list[Any]], Any]:
    def change(found: list[Any]) -> list[Any]:
        found[at][name] += "?other"
        return found

    return change


def swapped(found: list[Any]) -> list[Any]:
    first, second = found
    first["audio_url"], second["audio_url"] = second["audio_url"], first["audio_url"]
    return found


QUEUED = {"status": "queued"}
WORKING = {"status": "working", "progress": 30}
NOBODY = {"detail": "no such job"}


def only(value: Any, fields: dict[str, Any]) -> dict[str, Any]:
    return {"job_id": value["job_id"], **fields}


BREAKS: dict[str, tuple[Any, str]] = {
    "an id that nobody knows": (looks(lambda *_: (404, NOBODY)), "job.unknown_id"),
    "an id that is gone": (looks(lambda *_: (410, NOBODY)), "job.unknown_id"),
    "an id that is forgotten once it was shown": (
        looks(lambda status, value, n: (status, value) if n == 1 else (404, NOBODY)),
        "job.unknown_id",
    ),
    "a state that is the first after all was told": (
        looks(lambda s, v, n: (s, only(v, QUEUED) if n == 1 else v)),
        "job.behind",
    ),
    "a state that is one behind after the end": (
        looks(lambda s, v, n: (s, only(v, WORKING) if n == 1 else v)),
        "job.behind",
    ),
    "a state that goes back": (
        looks(lambda s, v, n: (s, only(v, (WORKING, QUEUED)[n - 1]) if n < 3 else v)),
        "job.backwards",
    ),
    "a last state that becomes an earlier one": (
        looks(lambda s, v, n: (s, only(v, WORKING) if n > 1 else v), "done"),
        "job.changed",
    ),
    "a last state that becomes another last one": (
        looks(
            lambda s, v, n: (s, only(v, {"status": "lost", "error": "gone"}) if n > 1 else v),
            "done",
        ),
        "job.changed",
    ),
    "an id that is another's": (
        looks(lambda s, v, _: (s, {**v, "job_id": "job_0000000000000000"})),
        "job.other_result",
    ),
    "an id that changes": (
        looks(lambda s, v, n: (s, {**v, "job_id": f"job_{n:016x}"})),
        "identity.changed",
    ),
    "audio that lies elsewhere": (tracks("done", url(0, "audio_url")), "job.other_result"),
    "audio of the second track that lies elsewhere": (
        tracks("done", url(1, "audio_url")),
        "job.other_result",
    ),
    "the tracks' audio the wrong way round": (tracks("done", swapped), "job.other_result"),
    "a track that is lost": (tracks("done", lambda found: found[:1]), "job.other_result"),
    "another title": (when("done", song_name="Another"), "job.other_result"),
    "another cover": (when("done", album_art="https://x.example/a.webp"), "job.other_result"),
    "audio that moves from one look to the next": (
        looks(
            lambda s, v, n: (
                put(s, v, lambda v: v["tracks"][0].update(audio_url=f"https://x/{n}"))
                if v["status"] == "done"
                else (s, v)
            )
        ),
        "identity.changed",
    ),
    "a charge for going away": (
        over_charged(lambda charges, seen: charges + (seen["looks"] > 0)),
        "job.charged_twice",
    ),
    "a charge for each look": (
        over_charged(lambda charges, seen: charges + seen["looks"]),
        "job.charged_twice",
    ),
    "a state that nobody has heard of": (
        looks(lambda s, v, n: (s, {**v, "status": "paused"} if n == 1 else v)),
        "stage.unknown",
    ),
}


def found(meddle: Any) -> list[Counter[str]]:
    """The codes of each exchange that ties are put to the test with."""
    codes = []
    options = Options(profile="instant", seed=3)
    with (
        running(options, contracts={"songs": SONGS}) as emulator,
        meddling(emulator.url, meddle()) as address,
    ):
        session = open_session(address)

        def charges() -> int:
            return int(find(address, session.transport).about["charges"])

        for endpoint in tied_endpoints(SONGS):
            call = Call(SONGS, endpoint, {"prompt": "a song"}, confirm=1, scenario="ties")
            for leave in leaves_of(endpoint):
                exchange = leave_and_ask(session.client, call, leave, charges)
                codes.append(Counter(each.code for each in exchange.violations))
            if endpoint.kind == "job":
                exchange = ask_alone(session.client, call, charges)
                codes.append(Counter(each.code for each in exchange.violations))
    return codes


def test_nothing_is_found_where_both_say_the_same():
    assert found(lambda: lambda _, status, value: (status, value)) == [Counter()] * 7


@pytest.mark.parametrize(("meddle", "code"), BREAKS.values(), ids=BREAKS)
def test_what_two_endpoints_say_differently_of_one_song_is_found(meddle, code):
    assert code in {code for codes in found(meddle) for code in codes}


def test_there_are_twenty_of_them():
    assert len(BREAKS) == 20
