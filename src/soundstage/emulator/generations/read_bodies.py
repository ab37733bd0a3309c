"""What the bodies of requests were found to ask for, remembered for bodies that come again: clients
under load send the same few over and over.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, NamedTuple

from soundstage.contract.protocol import Endpoint
from soundstage.emulator.accounts.triggers import Trigger, Triggers
from soundstage.emulator.generations.factory import GenerationRequest
from soundstage.emulator.generations.request_reader import BadBody, RequestReader

#: So many bodies are remembered, those that were asked for last, of at most so many bytes each.
_MOST: Final = 256
_LONGEST: Final = 1_024


class ReadBody(NamedTuple):
    """A body that is in order: what it asks for, and the triggers in its prompt and its lyrics."""

    asked: GenerationRequest
    in_prompt: list[Trigger]
    in_lyrics: list[Trigger]


class ReadBodies:
    """The bodies of the requests of one endpoint."""

    def __init__(self, endpoint: Endpoint, triggers: Triggers) -> None:
        self._reader = RequestReader(endpoint)
        self._triggers = triggers
        self._known: OrderedDict[bytes, ReadBody] = OrderedDict()

    def read(self, raw: bytes) -> ReadBody | BadBody:
        """What a body asks for, or what is wrong with it."""
        known = self._known.get(raw)
        if known is not None:
            self._known.move_to_end(raw)
            return known
        asked = self._reader.read(raw)
        if isinstance(asked, BadBody):
            return asked
        words_in = self._triggers.words_in
        found = ReadBody(asked, words_in(asked.prompt), words_in(asked.lyrics or ""))
        if len(raw) <= _LONGEST:
            self._known[raw] = found
            if len(self._known) > _MOST:
                self._known.popitem(last=False)
        return found

    def wrong(self, raw: bytes, secret: str | None) -> BadBody:
        """What is wrong with a body that is not in order; nothing of `secret` is repeated."""
        found = self._reader.read(raw, secret)
        assert isinstance(found, BadBody)
        return found
