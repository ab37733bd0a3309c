"""Whether songs stall while they are made: a player on a made-up clock, and on real sockets."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from soundstage.assets import media
from soundstage.assets.mpeg import Frames
from soundstage.assets.playback import Listening, SongPlayer, StreamListener
from soundstage.contract import load
from soundstage.exchange.session import open_session


def test_music_that_comes_as_fast_as_it_is_heard_never_stalls() -> None:
    player = SongPlayer()
    for tenth in range(300):
        player.arrived(tenth / 10, 0.1)
    player.ended(30.0)
    assert player.begun
    assert (player.stalls, player.stalled_s, player.underrun_s) == (0, 0.0, 0.0)
    assert player.came == pytest.approx(30.0)


def test_a_pace_a_little_too_slow_is_heard_once_what_was_waited_for_is_used_up() -> None:
    """Each piece is late by less than anybody hears; all of them together are not."""
    player = SongPlayer(buffer_s=2.0)
    for tenth in range(600):
        player.arrived(tenth * 0.11, 0.1)
    player.ended(66.0)
    assert player.stalls >= 2
    assert player.stalled_s == pytest.approx(6.0, abs=2.2)


def test_the_more_music_is_waited_for_the_fewer_gaps_are_heard() -> None:
    def gaps(buffer_s: float) -> int:
        player = SongPlayer(buffer_s=buffer_s)
        for second in range(30):
            player.arrived(second + 2.5 * (second % 5 == 4), 1.0)
        player.ended(32.0)
        return player.stalls

    assert gaps(0.0) > 0
    assert gaps(4.0) == 0


def test_a_gap_longer_than_what_is_there_is_a_stall_until_a_second_is_there_again() -> None:
    player = SongPlayer()
    player.arrived(0.0, 3.0)  # heard until 3.0
    player.arrived(7.0, 0.5)  # too little to go on with
    player.arrived(8.0, 0.5)  # goes on: five seconds of silence
    player.arrived(8.5, 9.0)
    player.ended(9.0)
    assert player.stalls == 1
    assert player.stalled_s == pytest.approx(5.0)


def test_a_song_that_is_made_at_half_the_pace_stalls_again_and_again() -> None:
    player = SongPlayer()
    for second in range(60):
        player.arrived(float(second), 0.5)
    player.ended(60.0)
    assert player.stalls > 10
    # 30 s of music within the 60 s that it took: the rest was silence, but for the beginning.
    assert player.stalled_s == pytest.approx(60 - 30 - 1, abs=2.0)


def test_the_end_of_a_song_is_no_stall_but_an_end_that_breaks_off_is_one() -> None:
    for end, stalls in ((SongPlayer.ended, 0), (SongPlayer.gave_up, 1)):
        player = SongPlayer()
        player.arrived(0.0, 2.0)
        end(player, 5.0)
        assert player.stalls == stalls


def test_with_an_emulator_faster_than_life_the_player_is_so_too() -> None:
    """The same song in a tenth of the time: what is waited for is music, whatever the speed."""
    slow, fast = SongPlayer(), SongPlayer(pace=10.0)
    rng = random.Random(2)
    at = 0.0
    for _ in range(200):
        at += rng.uniform(0, 24)
        slow.arrived(at, 10.0)
        fast.arrived(at / 10, 10.0)
    slow.ended(at)
    fast.ended(at / 10)
    assert fast.came == slow.came
    assert slow.stalls >= fast.stalls > 0, "the shortest may be the machine's own"
    assert fast.stalled_s == pytest.approx(slow.stalled_s / 10, rel=0.2)


def test_a_machine_that_is_a_little_late_is_no_gap_where_time_runs_faster() -> None:
    for pace, gaps in ((1.0, 1), (100.0, 0)):
        player = SongPlayer(pace=pace)
        player.arrived(0.0, 2.0 * pace)
        player.arrived(2.2, 2.0 * pace)
        player.ended(4.5)
        assert player.stalls == gaps


# ---------------------------------------------------------------------- frames


@pytest.fixture(scope="module")
def song() -> bytes:
    """Three seconds of real MP3."""
    import lameenc

    encoder = lameenc.Encoder()
    encoder.set_bit_rate(64)
    encoder.set_in_sample_rate(24_000)
    encoder.set_channels(1)
    encoder.silence()
    rng = random.Random(1)
    pcm = b"".join(
        rng.randint(-9000, 9000).to_bytes(2, "little", signed=True) for _ in range(72_000)
    )
    return bytes(encoder.encode(pcm)) + bytes(encoder.flush())


def test_seconds_are_those_that_a_decoder_finds_however_the_bytes_are_cut(song: bytes) -> None:
    whole = media.audio(song).seconds
    rng = random.Random(5)
    for tag in (b"", b"ID3\x04\x00\x00\x00\x00\x02\x00" + b"\xff\xfb\x90\x64" * 64):
        frames, data = Frames(), tag + song
        while data:
            many = rng.randint(1, 700)
            frames.feed(data[:many])
            data = data[many:]
        assert frames.seconds == pytest.approx(whole, abs=0.1)
        assert not frames.hopeless


def test_what_is_no_mp3_is_hopeless_and_never_takes_long() -> None:
    for noise in (b"\x00" * 200_000, random.Random(3).randbytes(200_000), b"#EXTM3U\n" * 20_000):
        frames = Frames()
        for place in range(0, len(noise), 4096):
            frames.feed(noise[place : place + 4096])
        assert frames.hopeless or frames.seconds < 0.5


@pytest.mark.parametrize(
    "noise", [b"\xff", b"\xff\xfb\xf0", b"\xff\xfb\x9c", b"\xff\xe0"], ids=lambda each: each.hex()
)
def test_false_beginnings_behind_true_music_take_no_time(noise: bytes, song: bytes) -> None:
    """They are passed over in one go; byte by byte, a song of 64 MiB held everything up for
    minutes.
    """
    frames, begun = Frames(), time.process_time()
    frames.feed(song)
    piece = noise * (65_536 // len(noise))
    for _ in range(128):
        frames.feed(piece)
    assert frames.feed(song) > 2.5, "what comes behind them is heard"
    assert time.process_time() - begun < 5


# ---------------------------------------------------------------------- on the wire


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOUNDVERSE_API_KEY", "a-key-that-no-stream-gets")


@contextmanager
def _serving(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server on this machine that answers every request with `answer`."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                taken, _ = listener.accept()
            except OSError:
                return
            with taken:
                asked = taken.recv(65536)
                with suppress(OSError):
                    if b"/_emulator/" in asked:
                        taken.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                    else:
                        answer(taken)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def _listened(url: str, path: str) -> dict[str, object]:
    session = open_session(url)
    found = StreamListener(Listening(session, 1.0), load("v6"), path)
    begun = time.monotonic_ns()
    found.run()
    session.close()
    return found.told(begun)


def test_a_stream_that_pauses_is_heard_to_stall_for_as_long(song: bytes) -> None:
    pause = 2.5

    def answer(taken: socket.socket) -> None:
        taken.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\nConnection: close\r\n\r\n")
        taken.sendall(song[: len(song) // 2])
        time.sleep(pause)
        taken.sendall(song[len(song) // 2 :])

    with _serving(answer) as url:
        told = _listened(url, f"{url}/song")
    assert told["stalls"] == 1
    # A second and a half could be heard before it ran dry.
    assert told["stalled_s"] == pytest.approx(pause - 1.5, abs=0.3)
    assert told["played_s"] == pytest.approx(3.0, abs=0.15)
    assert told["underrun_s"] == told["stalled_s"]
    assert told["continuous"] is False
    assert 0 < float(str(told["sound_s"])) < 1
    assert told["reason"] is None


def test_a_stream_that_breaks_off_says_why(song: bytes) -> None:
    def answer(taken: socket.socket) -> None:
        taken.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n" + song)

    with _serving(answer) as url:
        told = _listened(url, f"{url}/song")
    assert "breaks off" in str(told["reason"])
    assert told["stalls"] == 0
    assert told["continuous"] is False, "who listens hears it end too early"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"#EXTM3U\n", "HLS playlist"), (b"<html>", "no MP3"), (b"", "no MP3"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "WAV, which is not decoded here"),
        (b"OggS" + bytes(24) + b"OpusHead", "Ogg Opus, which is not decoded here"),
        (b"\x89PNG\r\n\x1a\n", "no MP3"),
    ],
    ids=["a playlist", "a page", "nothing", "a head of WAV", "Opus", "a picture"],
)  # fmt: skip
def test_what_cannot_be_played_never_counts_as_played(body: bytes, reason: str) -> None:
    def answer(taken: socket.socket) -> None:
        taken.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body)

    with _serving(answer) as url:
        told = _listened(url, f"{url}/song")
    assert told["stalls"] is None
    assert told["sound_s"] is None
    # What another player may be able to play is not known to be silent.
    assert told["continuous"] is (False if "no MP3" in reason else None)
    assert reason in str(told["reason"])


def test_a_missing_stream_and_a_strange_place_are_reasons() -> None:
    asked: list[bool] = []

    def answer(taken: socket.socket) -> None:
        asked.append(True)
        taken.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    with _serving(answer) as url:
        assert _listened(url, f"{url}/song")["reason"] == "it answers with 404"
        many = len(asked)
        for place in (
            "http://169.254.169.254/latest",
            "http://example.com/x",
            "file:///etc/passwd",
        ):
            told = _listened(url, place)
            assert str(told["reason"]).startswith("not fetched: ")
            assert told["stalls"] is None
            assert told["continuous"] is None, "nobody knows what is there"
        assert len(asked) == many == 1
