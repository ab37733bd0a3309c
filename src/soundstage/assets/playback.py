"""Whether a song could be listened to while it was being made: a player that reads its stream.

`SongPlayer` is the listener's side: seconds of music that have come, a clock, and what runs dry. It
does no I/O. `StreamListener` reads a URL for it, by GET, without the key, and only where
`url_policy.py` allows it.

The player starts once `buffer_s` of music are there (or all of it), and stops when it runs dry
until as much is there again. What comes is read at once: how far a player reads ahead changes
nothing of what it hears. Where the target is an emulator that is N times as fast as life, so is
the player: a second of the clock is N seconds of music. Times are those of the clock, as all times
of a run; lengths, the buffer's too, are seconds of music.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any, Final

from soundstage.assets import media
from soundstage.assets.formats import LOOKED_AT
from soundstage.assets.mpeg import Frames
from soundstage.assets.url_policy import place_of
from soundstage.contract import Contract
from soundstage.exchange.session import Session
from soundstage.output.cutting import head
from soundstage.wire.settings import Limits
from soundstage.wire.transport import Request, Response, Transport

#: The role of the field whose URL is to be played while the song is being made.
STREAMED: Final = "stream_url"
#: A stream may take so many bytes and seconds in all, and seconds without a byte.
MOST_BYTES: Final = 64 * 2**20
TOTAL_S: Final = 600.0
_IDLE_S: Final = 30.0
_OK: Final = 200
_SECOND_NS: Final = 1_000_000_000
#: A silence shorter than this is nothing that anybody hears. Faster than life the machine's own
#: lateness, which no speed makes shorter, would last as long as whole songs.
_INAUDIBLE_S: Final = 0.02
_LATE_S: Final = 0.25
_REASON: Final = 200


#: What a row says in place of what only a stream can show that is played while it is made.
NOT_HEARD: Final = {
    "continuous": None,
    "sound_s": None,
    "stalls": None,
    "stalled_s": 0.0,
    "underrun_s": 0.0,
}


class SongPlayer:
    """Plays what has come at `pace` seconds of music a second (1; an emulator's speed if it is
    faster than life). Moments are seconds on any clock that does not go back. `stalls` are the
    silences behind its first sound, `stalled_s` all of them together, `underrun_s` the longest.
    """

    def __init__(self, pace: float = 1.0, buffer_s: float = 1.0) -> None:
        self.pace = pace
        self.came = 0.0
        self.stalls = 0
        self.stalled_s = self.underrun_s = 0.0
        self._buffer_s = buffer_s
        self._unheard_s = _INAUDIBLE_S if pace == 1 else _LATE_S
        self._held = 0.0  # music that has come while nothing was played
        #: When it will have played all that has come; None before it begins.
        self._until: float | None = None
        self._silent = True

    @property
    def begun(self) -> bool:
        """Whether it ever played."""
        return self._until is not None

    def arrived(self, at: float, seconds: float) -> None:
        """So much more music has come."""
        self.came += seconds
        if not self._silent and self._until is not None:
            if at <= self._until + self._unheard_s:
                self._until += seconds / self.pace
                return
            self._silent = True
        self._held += seconds
        if self._held >= self._buffer_s:
            self._start(at)

    def ended(self, at: float) -> None:
        """All has come: what is there is played to its end. That it is silent then is no stall."""
        if self._held:
            self._start(at)

    def gave_up(self, at: float) -> None:
        """No more comes, although there should be more."""
        if self._until is not None:
            self._count(at - self._until)

    def _start(self, at: float) -> None:
        if self._until is not None:
            self._count(at - self._until)
        self._until = at + self._held / self.pace
        self._held, self._silent = 0.0, False

    def _count(self, lasted: float) -> None:
        if lasted >= self._unheard_s:
            self.stalls += 1
            self.stalled_s += lasted
            self.underrun_s = max(self.underrun_s, lasted)


class Listening:
    """What the players of one run have in common. `buffer_s`: music that each waits for."""

    def __init__(self, session: Session, buffer_s: float) -> None:
        self.session = session
        self.buffer_s = buffer_s
        speed = session.target.about.get("speed")
        self.pace = float(speed) if isinstance(speed, int | float) and speed > 0 else 1.0
        settings = replace(
            session.transport.settings,
            limits=Limits(total_s=TOTAL_S, idle_s=_IDLE_S, body_bytes=MOST_BYTES, redirects=0),
            keep_alive=False,
            watched=False,
            wakeups=None,
        )
        self.own = Transport(settings)
        # Another host gets nothing that identifies us, and has to show who it is.
        self.others = Transport(replace(settings, client_cert=None, verify=True))


class StreamListener:
    """Reads one stream as a player would. `continuous`: whether it was heard without a silence;
    None where nobody can know, and `reason` then says why. `came_ns`: when music came last, or the
    reading began (monotonic); `sound_ns`: when the first frame that can be decoded was whole.
    """

    def __init__(self, listening: Listening, contract: Contract, url: str) -> None:
        self.player = SongPlayer(listening.pace, listening.buffer_s)
        self.came_ns = time.monotonic_ns()
        self.sound_ns: int | None = None
        self.reason: str | None = None
        self._all = listening
        self._contract = contract
        self._url = url
        #: None while it goes on; then whether what was heard is all that counts.
        self._known: bool | None = None

    @property
    def continuous(self) -> bool | None:
        if self._known is False or self.player.stalls:
            return False
        return self._known

    def told(self, started_ns: int) -> dict[str, Any]:
        """What a row says of its track, as far as is known by now; the exchange began at
        `started_ns` (monotonic).
        """
        player, sound = self.player, self.sound_ns
        return {
            "continuous": self.continuous,
            "sound_s": None if sound is None else round((sound - started_ns) / _SECOND_NS, 6),
            "stalls": player.stalls if player.begun else None,
            "stalled_s": round(player.stalled_s, 6),
            "underrun_s": round(player.underrun_s, 6),
            "played_s": round(player.came, 3),
            "reason": self.reason,
        }

    def give_up(self, why: str, *, its_fault: bool) -> None:
        """Nobody listens any longer, before its end. `its_fault`: no music came any more."""
        if self._known is None and self.reason is None:
            self.reason = why
            if its_fault:
                self.player.gave_up(time.monotonic())
                self._known = False

    def run(self) -> None:
        """Read it to its end."""
        target = self._all.session.target
        hosts = self._contract.hosts.values
        place = place_of(self._url, target.url, hosts, live=target.as_live)
        if not place.allowed:
            self.reason = f"not fetched: {place.why}"
            return
        own = place_of(self._url, target.url, (), live=False).allowed
        request = Request("GET", self._url, target.headers if own else ())
        with (self._all.own if own else self._all.others).open(request) as response:
            if response.status not in (None, _OK):
                self.reason, self._known = f"it answers with {response.status}", False
                return
            self._read(response)

    def _read(self, response: Response) -> None:
        player, frames, beginning = self.player, Frames(), b""
        for read in response.reads():
            if len(beginning) < LOOKED_AT:
                beginning += read.data[:LOOKED_AT]
            if seconds := frames.feed(read.data):
                player.arrived(read.at_ns / _SECOND_NS, seconds)
                self.came_ns = read.at_ns
                self.sound_ns = self.sound_ns or read.at_ns
            elif frames.hopeless:
                break
        end, now = response.end, time.monotonic()
        if end is not None and end.fault_of is not None:
            player.gave_up(now)
            self.reason, self._known = head(f"it breaks off: {end.message}", _REASON), False
        elif player.came:
            player.ended(now)
            self._known = True
        else:
            self._nothing_to_play(beginning)

    def _nothing_to_play(self, beginning: bytes) -> None:
        try:
            media.known_to_be_other(beginning)
        except media.NotDecoded as error:
            self.reason = f"{error}: nobody can tell here whether it stalls"
            return
        self.reason, self._known = "there is no MP3 in it", False
