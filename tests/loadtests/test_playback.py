"""`--probe-playback` in a run: rows say whether the song could be listened to while it was made."""

from __future__ import annotations

import argparse
import io
import json
from dataclasses import replace
from pathlib import Path
from shlex import split

import pytest
from listened_rows import UNHEARD, playback, track
from saturation import ended

from soundstage import cli
from soundstage.assets.playback import STREAMED
from soundstage.contract import load as contract_of
from soundstage.contract.roles import TRACK, roles
from soundstage.errors import UsageError
from soundstage.exchange.client import Call
from soundstage.exchange.session import open_session
from soundstage.loadtests import load_options
from soundstage.loadtests.live.heard import Heard
from soundstage.loadtests.run.playback_probe import MOST_TRACKS, Probes

from .conftest import load


def test_rows_tell_what_a_player_met_where_there_is_a_stream_to_play(
    emulator: str, tmp_path: Path
) -> None:
    words = split("--rate 6 --duration 1s --arrivals constant --probe-playback")
    ran = load(tmp_path, "--target", emulator, *words, "--slo", "goodput(ok, continuous)>=1%")
    assert ran.code == 4 or ended(ran.code, ran.folder), ran.err
    streamed = {api for api in ("v5", "v6") if STREAMED in roles(contract_of(api)).values()}
    probed = [row for row in ran.rows if row["api"] in streamed]
    others = [row for row in ran.rows if row["api"] not in streamed]
    assert probed
    assert others
    for row in probed:
        heard = row["playback"]["tracks"]
        assert sorted(heard) == ["1", "2"]
        assert all(each["played_s"] > 0 and each["made_s"] > 0 for each in heard.values()), heard
        first = min(each["sound_s"] for each in heard.values())
        assert row["milestones"]["first_sound"] == first > 0
        assert row["milestones"]["streaming_ready"] > 0, "and it is measured as ever"
    for row in others:
        assert row["playback"]["streamed"] is False, "there is nothing to play while it is made"
        assert "first_sound" not in row["milestones"]
        (whole,) = row["playback"]["tracks"].values()
        assert (whole["continuous"], whole["stalls"]) == (None, None)
        assert whole["played_s"] > 29
        assert whole["made_s"] > 0
    assert ran.bundle.run["parameters"]["probe_playback"] == 1.0
    assert ran.bundle.run["parameters"]["start_buffer_s"] == 2.0
    for row in ran.rows:
        longest, begun = row["silence"]
        assert longest > 0
        assert longest + begun <= row["ended"]


def test_a_share_of_the_streams_is_played_evenly_and_nothing_else(emulator: str) -> None:
    session = open_session(emulator)
    contract = contract_of("v6")
    stream, sync = (contract.endpoint_of_kind(kind) for kind in ("stream", "sync"))
    assert stream is not None
    assert sync is not None
    probes = Probes(session, 0.25, 2.0)
    chosen = [probes.of(Call(contract, stream)) is not None for _ in range(12)]
    assert sum(chosen) == 3
    assert all(sum(chosen[at : at + 4]) == 1 for at in range(0, 12, 4))
    assert not any(probes.of(Call(contract, sync)) for _ in range(12))
    session.close()


def test_a_probe_begins_with_the_first_chunk_that_names_a_stream_and_only_once(
    emulator: str,
) -> None:
    session = open_session(emulator)
    contract = contract_of("v6")
    stream = contract.endpoint_of_kind("stream")
    assert stream is not None
    probe = Probes(session, 1.0, 2.0).of(Call(contract, stream, {"prompt": "A song"}))
    assert probe is not None
    exchange = session.client.exchange(replace(probe.call, on_chunk=None))
    assert probe.result(exchange, lambda: False)["tracks"] == {}, "nothing was named"
    name = next(name for name, role in roles(contract).items() if role == STREAMED)
    assert probe.call.on_chunk is not None
    probe.call.on_chunk({name: f"{emulator}/assets/none.mp3"})
    probe.call.on_chunk({name: "http://example.com/other.mp3"})
    told = probe.result(exchange, lambda: False)["tracks"]
    assert list(told) == ["1"]
    assert told["1"]["reason"] == "it answers with 404"
    assert told["1"]["continuous"] is False
    session.close()


def test_of_many_tracks_no_more_than_a_few_are_played(emulator: str) -> None:
    session = open_session(emulator)
    contract = contract_of("v6")
    stream = contract.endpoint_of_kind("stream")
    assert stream is not None
    probe = Probes(session, 1.0, 2.0).of(Call(contract, stream, {"prompt": "A song"}))
    assert probe is not None
    assert probe.call.on_chunk is not None
    known = roles(contract).items()
    name, track = (next(n for n, role in known if role == each) for each in (STREAMED, TRACK))
    for number in range(50):
        probe.call.on_chunk({name: f"{emulator}/assets/none.mp3", track: f"{number}" * 100})
    exchange = session.client.exchange(replace(probe.call, on_chunk=None))
    told = probe.result(exchange, lambda: False)
    assert len(told["tracks"]) == MOST_TRACKS
    assert len(json.dumps(told)) < 1024
    session.close()


def _words(folder: Path, fault: str, *more: str) -> list[str]:
    """The options of a short run at sixty times the speed of life, with so much of a fault."""
    own = f"--speed 60 --seed 3 {fault}".strip()
    rest = split("--api v6 --rate 12 --duration 1s --arrivals constant --probe-playback")
    return ["--target", "emulator", "--emulator-args", own, *rest, *more]


@pytest.mark.proof
def test_a_song_whose_second_half_is_slow_is_ready_in_time_and_not_continuous(
    tmp_path: Path,
) -> None:
    slos = ["streaming_ready.p50<20s", "continuity>=50%", "goodput(continuous, complete<=9m)>=50%"]
    asked = [word for each in slos for word in ("--slo", each)]
    healthy = load(tmp_path / "healthy", *_words(tmp_path, "", *asked))
    slow = load(tmp_path / "slow", *_words(tmp_path, "--fault wire/slow_song", *asked))
    for ran, verdict in ((healthy, "pass"), (slow, "fail")):
        if not ended(ran.code, ran.folder) and ran.code != 3:
            raise AssertionError(ran.err)
        said = {each["slo"]: each["verdict"] for each in ran.bundle.run["slos"]}
        assert said == dict(zip(slos, ["pass", verdict, verdict], strict=True)), ran.out
        for row in ran.rows:
            told = row["playback"]["tracks"].values()
            assert [each["continuous"] for each in told] == [verdict == "pass"] * 2, row
            assert all(each["played_s"] > 29 for each in told)
    # Silences of several seconds of music: some tenths of a second of the clock.
    assert all(
        0.2 < each["underrun_s"] < each["stalled_s"]
        for row in slow.rows
        for each in row["playback"]["tracks"].values()
    )
    out, err = io.StringIO(), io.StringIO()
    folders = [str(each.folder) for each in (healthy, slow)]
    code = cli.run("compare", [*folders, "--gate", "continuity", "--force"], out, err)
    assert code == 3, err.getvalue()
    assert "gap rate" in out.getvalue()


@pytest.mark.parametrize("text", ["0", "101%", "-3%", "nan%"])
def test_a_share_is_above_nothing_and_at_most_all(text: str) -> None:
    with pytest.raises((argparse.ArgumentTypeError, ValueError)):
        load_options._share(text)


def test_what_listeners_met_is_in_the_metrics_of_a_run_that_goes_on() -> None:
    heard = Heard()
    for made, reached in (
        (playback(track(), track(2, 1.5)), {"first_sound": 1.0}),
        (playback(track()), {"first_sound": 1.0}),
        (playback(UNHEARD), {}),
        (None, {}),
    ):
        heard.add(
            {
                "api": "v6",
                "endpoint": "stream",
                "outcome": "ok",
                "milestones": reached,
                **({"playback": made} if made else {}),
            }
        )
    assert heard.asked["v6", "stream"] == 2
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in heard.metrics()
        for sample in family.samples
    }
    place = ("v6", "stream")
    assert samples["soundstage_songs_heard_total", *place, "yes"] == 1
    assert samples["soundstage_songs_heard_total", *place, "no"] == 1
    assert samples["soundstage_songs_heard_total", *place, "unknown"] == 1
    assert samples["soundstage_audio_seconds_total", *place, "1"] == 20
    assert samples["soundstage_stalled_seconds_total", *place, "2"] == 1.5
    assert list(Heard().metrics()) == [], "not measured is no zero"


def test_a_buffer_without_a_listener_is_a_mistake_that_is_named() -> None:
    args = load_options.parse_args(["--target", "http://127.0.0.1:9", "--start-buffer", "3s"])
    with pytest.raises(UsageError, match="--start-buffer is for listeners: add --probe-playback"):
        load_options.start_buffer(args)
    args = load_options.parse_args(
        ["--target", "http://127.0.0.1:9", "--start-buffer", "3s", "--probe-playback"]
    )
    assert load_options.start_buffer(args) == 3.0
