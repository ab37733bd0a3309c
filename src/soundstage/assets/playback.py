"""Whether a song could be listened to while it was being made: a player that reads its stream.

`SongPlayer` is the listener's side: seconds of music that have come, a clock, and what runs dry. It
does no I/O. `StreamListener` reads a URL for it, by GET, without the key, and only where
`url_policy.py` allows it.

The player starts once a second of music is there (or all of it), and stops when it runs dry until a
second is there again. It reads at most `AHEAD_S` ahead, as players do; once the exchange is over,
nothing is held back any more. Where the target is an emulator that is N times as fast as life, so
is the player: a second of the clock is N seconds of music.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from soundstage.assets import media
from soundstage.assets.formats import LOOKED_AT
from soundstage.assets.mpeg import Frames
from soundstage.assets.url_policy import place_of
from soundstage.contract import Contract
from soundstage.contract.roles import asset_urls
from soundstage.exchange.session import Session
from soundstage.output.cutting import head
from soundstage.wire.settings import Limits
from soundstage.wire.transport import Request, Response, Transport

#: The role of the field whose URL is to be played while the song is being made.
STREAMED: Final = "stream_url"
#: So long can be played with what must be there to begin, and to go on after a stall.
START_S: Final = 1.0
#: So long can be played with what is read ahead of what is being heard.
AHEAD_S: Final = 15.0
#: A stream may take so many bytes and seconds in all, and seconds without a byte.
_MOST_BYTES: Final = 64 * 2**20
_TOTAL_S: Final = 600.0
_IDLE_S: Final = 30.0
_OK: Final = 200
_SECOND_NS: Final = 1_000_000_000
#: Seconds between two looks at whether the exchange is over.
_LOOK_S: Final = 0.25
#: A stall shorter than this is nothing that anybody hears.
_INAUDIBLE_S: Final = 0.02


class SongPlayer:
    """Plays what has come at `pace` seconds of music a second (1; an emulator's speed if it is
    faster than life). Moments are seconds on any clock that does not go back.
    """

    def __init__(self, pace: float = 1.0) -> None:
        self.pace = pace
        self.came = 0.0
        self.stalls = 0
        self.stalled_s = 0.0
        self._played = 0.0
        self._at = 0.0
        self._playing = False
        self._dry: float | None = None

    @property
    def begun(self) -> bool:
        """Whether it ever played."""
        return self._playing or self._played > 0

    def ahead(self, at: float) -> float:
        """How long what has come and was not heard by then can be played, in seconds."""
        self._go_on(at)
        return (self.came - self._played) / self.pace

    def arrived(self, at: float, seconds: float) -> None:
        """So much more music has come."""
        self._go_on(at)
        self.came += seconds
        if not self._playing and self.came - self._played >= START_S * self.pace:
            self._start(at)

    def ended(self, at: float) -> None:
        """All has come: what is there is played to its end."""
        self._go_on(at)
        if not self._playing and self.came > self._played:
            self._start(at)
        # If nothing came any more, it was at its end when it ran dry: that is no stall.
        self._dry = None

    def gave_up(self, at: float) -> None:
        """No more comes, although there should be more."""
        self._go_on(at)
        if self._dry is not None:
            self._count(at)

    def _start(self, at: float) -> None:
        if self._dry is not None:
            self._count(at)
        self._playing = True

    def _count(self, at: float) -> None:
        assert self._dry is not None
        lasted, self._dry = at - self._dry, None
        if lasted >= _INAUDIBLE_S:
            self.stalls += 1
            self.stalled_s += lasted

    def _go_on(self, at: float) -> None:
        """Play up to this moment."""
        passed, self._at = max(0.0, at - self._at), max(self._at, at)
        if not self._playing:
            return
        left = (self.came - self._played) / self.pace
        if passed < left:
            self._played += passed * self.pace
            return
        self._played = self.came
        self._playing = False
        self._dry = self._at - (passed - left)


class Listening:
    """What the players of one run have in common."""

    def __init__(self, session: Session) -> None:
        self.session = session
        speed = session.target.about.get("speed")
        self.pace = float(speed) if isinstance(speed, int | float) and speed > 0 else 1.0
        settings = replace(
            session.transport.settings,
            limits=Limits(total_s=_TOTAL_S, idle_s=_IDLE_S, body_bytes=_MOST_BYTES, redirects=0),
            keep_alive=False,
            watched=False,
            wakeups=None,
        )
        self.own = Transport(settings)
        # Another host gets nothing that identifies us, and has to show who it is.
        self.others = Transport(replace(settings, client_cert=None, verify=True))

    def of(self, contract: Contract, chunk: dict[str, Any]) -> StreamListener | None:
        """A listener to what may be played from this chunk on; None if it names nothing."""
        for role, url in asset_urls(contract, [chunk]):
            if role == STREAMED:
                return StreamListener(self, contract, url)
        return None


class StreamListener:
    """Reads one stream as a player would. `over`: the exchange has ended, so that nothing is held
    back any more; to be set by whoever knows.
    """

    def __init__(self, listening: Listening, contract: Contract, url: str) -> None:
        self.over = False
        self._all = listening
        self._contract = contract
        self._url = url
        self._player = SongPlayer(listening.pace)
        self._first_s: float | None = None
        self._reason: str | None = None
        self._done = False

    def told(self) -> dict[str, Any]:
        """`playback` of the exchange's row, as far as is known by now."""
        player = self._player
        cut = None if self._done else "it was not heard to its end"
        return {
            "stalls": player.stalls if player.begun else None,
            "stalled_s": round(player.stalled_s, 6),
            "first_byte_s": None if self._first_s is None else round(self._first_s, 6),
            "played_s": round(player.came, 3),
            "reason": self._reason or cut,
        }

    def run(self, wait: Callable[[float], object] = time.sleep) -> None:
        """Read it to its end; `wait` lets some seconds pass."""
        target = self._all.session.target
        hosts = self._contract.hosts.values
        place = place_of(self._url, target.url, hosts, live=target.as_live)
        if not place.allowed:
            self._reason = f"not fetched: {place.why}"
            return
        own = place_of(self._url, target.url, (), live=False).allowed
        request = Request("GET", self._url, target.headers if own else ())
        begun = time.monotonic_ns()
        with (self._all.own if own else self._all.others).open(request) as response:
            if response.status not in (None, _OK):
                self._reason = f"it answers with {response.status}"
                return
            self._read(response, begun, wait)

    def _read(self, response: Response, begun_ns: int, wait: Callable[[float], object]) -> None:
        player, frames, beginning = self._player, Frames(), b""
        for read in response.reads():
            at = read.at_ns / _SECOND_NS
            if self._first_s is None:
                self._first_s = max(0.0, (read.at_ns - begun_ns) / _SECOND_NS)
            if len(beginning) < LOOKED_AT:
                beginning += read.data[:LOOKED_AT]
            if seconds := frames.feed(read.data):
                player.arrived(at, seconds)
            elif frames.hopeless:
                self._reason = _what(beginning)
                return
            ahead = player.ahead(at) - AHEAD_S
            while ahead > 0 and not self.over:
                wait(min(ahead, _LOOK_S))
                ahead = player.ahead(time.monotonic()) - AHEAD_S
        end, now = response.end, time.monotonic()
        self._done = True
        if end is not None and end.fault_of is not None:
            player.gave_up(now)
            self._reason = head(f"it breaks off: {end.message}", 200)
            return
        player.ended(now)
        if not player.came:
            self._reason = _what(beginning)


def _what(beginning: bytes) -> str:
    """Why there is nothing to play in what begins so."""
    try:
        media.known_to_be_other(beginning)
    except media.NotDecoded as error:
        return f"{error}: nobody can tell here whether it stalls"
    return "there is no MP3 in it"
