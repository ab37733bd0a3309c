"""`--probe-playback` in a run: rows say whether the song could be listened to while it was made."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from shlex import split

import pytest
from saturation import ended

from soundstage.assets.playback import STREAMED
from soundstage.contract import load as contract_of
from soundstage.contract.roles import TRACK, roles
from soundstage.exchange.client import Call
from soundstage.exchange.session import open_session
from soundstage.loadtests import load_options
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
    assert not any("playback" in row for row in others)
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


@pytest.mark.parametrize("text", ["0", "101%", "-3%", "nan%"])
def test_a_share_is_above_nothing_and_at_most_all(text: str) -> None:
    with pytest.raises((argparse.ArgumentTypeError, ValueError)):
        load_options._share(text)
