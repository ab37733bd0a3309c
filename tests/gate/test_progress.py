"""What a gate tells of itself while it works, with a clock that nobody waits for."""

from __future__ import annotations

import pytest
from emulated import served

from soundstage.contract import load
from soundstage.emulator.options import Options
from soundstage.exchange.budget import Budget
from soundstage.exchange.exchange import EXPLORED, Call
from soundstage.exchange.patience import Patience
from soundstage.exchange.requests import valid_body
from soundstage.exchange.session import open_session
from soundstage.gate import progress_words
from soundstage.gate.progress import Progress
from soundstage.gate.sender import Sender

V6 = load("v6")
STREAM, SYNC = V6.endpoints["stream"], V6.endpoints["sync"]


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def progress(clock: Clock) -> Progress:
    return Progress(clock=clock)


def test_a_song_is_under_way_from_its_beginning_to_its_end(
    progress: Progress, clock: Clock
) -> None:
    with progress.sending(Call(V6, STREAM)) as call:
        (one,) = progress.under_way()
        assert (one.stage, progress.ended.total()) == (None, 0)
        assert call.on_stage is not None
        call.on_stage("streaming_ready", 2)
        assert (one.stage, one.track) == ("streaming_ready", 2)
        clock.now += 43
        assert progress.under_way(since_s=43) == [one]
        assert progress.under_way(since_s=44) == [], "it has not been under way for so long"
    assert progress.under_way() == []
    assert progress.ended == {"check": 1}


def test_of_two_calls_that_are_alike_the_one_that_ended_is_gone(progress: Progress) -> None:
    call = Call(V6, STREAM)
    with progress.sending(call):
        with progress.sending(call) as second:
            assert second.on_stage is not None
            second.on_stage("final", 1)
        assert [each.stage for each in progress.under_way()] == [None]


def test_an_exchange_that_fails_is_not_under_way_any_more(progress: Progress) -> None:
    with pytest.raises(OSError, match="none"), progress.sending(Call(V6, STREAM)):
        raise OSError("none")
    assert progress.under_way() == []


def test_what_is_known_to_be_sent_is_to_come_until_it_is_under_way(progress: Progress) -> None:
    progress.expect("check", 2)
    progress.expect(EXPLORED, 3)
    assert progress.to_come == 5
    with progress.sending(Call(V6, STREAM)):
        assert progress.to_come == 4
    assert progress.to_come == 4
    for _ in range(4):
        with progress.sending(Call(V6, STREAM, scenario=EXPLORED)):
            pass
    assert progress.to_come == 1, "more than was known makes up for nothing else"


def test_sentences_go_to_whoever_shows_them_just_now(progress: Progress) -> None:
    progress.said("nobody hears this")
    first: list[str] = []
    second: list[str] = []
    with progress.telling(first.append):
        progress.said("one")
        with progress.telling(second.append):
            progress.said("two")
        progress.said("three")
    assert (first, second) == (["one", "three"], ["two"])


def test_one_line_says_all_of_it(progress: Progress, clock: Clock) -> None:
    assert progress_words.line(progress) == "0 s · 0 exchanges"
    budget, exploring = Budget(4, free=False), Budget(0, free=False)
    progress.within(budget, exploring, Patience(3600, pytest.fail))
    progress.rules = 448
    for number in range(3):
        progress.decide(broken=number == 1)
    progress.expect("check", 4)
    budget.take()
    budget.take()
    with progress.sending(Call(V6, STREAM)) as call, progress.sending(Call(V6, SYNC)):
        assert call.on_stage is not None
        call.on_stage("streaming_ready", 2)
        clock.now += 43
        assert progress_words.line(progress) == (
            "43 s · 3 of 448 rules decided · 1 broken · 0 exchanges · 2 more known to come · "
            "budget 2 of 4 spent · exploration 0 of 0 spent · "
            "v6 stream: streaming_ready (track 2), 43 s · v6 sync: waits for its answer, 43 s · "
            "60:00 min left of --timeout"
        )


def test_a_line_names_a_few_songs_and_counts_the_others(progress: Progress, clock: Clock) -> None:
    with (
        progress.sending(Call(V6, STREAM, scenario=EXPLORED)),
        progress.sending(Call(V6, STREAM)),
        progress.sending(Call(V6, STREAM)),
        progress.sending(Call(V6, STREAM)),
        progress.sending(Call(V6, STREAM)),
        progress.sending(Call(V6, STREAM)),
    ):
        assert "stream" not in progress_words.line(progress), "gone before anybody reads it"
        clock.now += 2
        line = progress_words.line(progress)
    assert line.count("v6 stream") == 4
    assert "v6 stream (made up): waits" in line
    assert line.endswith(" · and 2 more")


def test_the_name_of_a_track_may_not_fill_the_line(progress: Progress) -> None:
    with progress.sending(Call(V6, STREAM)) as call:
        assert call.on_stage is not None
        call.on_stage("final", "x" * 1000)
        (one,) = progress.under_way()
        assert progress_words.stage(one) == f"final (track {'x' * 19}…)"


def test_a_sender_tells_of_each_exchange_and_each_stage_of_it() -> None:
    reached: list[str] = []

    class Watched(Progress):
        def sending(self, call):  # type: ignore[no-untyped-def]
            reached.append(f"begun {call.endpoint.name}")
            return super().sending(call)

    progress = Watched()
    with served(Options(profile="instant", seed=3)) as url:
        session = open_session(url)
        try:
            sender = Sender(session, None, progress=progress)
            body = valid_body(V6, STREAM, 0)
            seen: list[str] = []
            original = sender.take

            def take(exchange):  # type: ignore[no-untyped-def]
                (one,) = progress.under_way()
                seen.append(f"{one.stage}#{one.track}")
                return original(exchange)

            sender.take = take  # type: ignore[method-assign]
            exchange = sender.send(Call(V6, STREAM, body))
        finally:
            session.close()
    assert reached == ["begun stream"]
    assert exchange.outcome == "ok"
    assert seen == [list(exchange.stages)[-1]], "the last of its stages, still under way"
    assert progress.budget is session.budget
    assert progress.patience is sender.patience
    assert progress.ended == {"check": 1}
