"""Looks at the files that an answer points to: where they lie, if they are there, what they are.

Each URL is fetched once, by GET and without the key, within bounds of bytes, seconds and number,
and only where `url_policy.py` allows it, redirects included. Only the target itself is asked once
more with the key, where it wants one. What is wrong becomes a violation of the exchange that named
the URL; what could not be looked at is kept with its reason.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final, Self
from urllib.parse import urljoin

from soundstage.assets import decoder_process, media
from soundstage.assets.url_policy import UrlVerdict, place_of
from soundstage.conformance.fields import shown
from soundstage.conformance.violations import Severity, Violation
from soundstage.contract import Contract
from soundstage.contract.asset_fields import ASPECTS, AssetUrl, duration_of, found_in
from soundstage.contract.protocol import Endpoint
from soundstage.contract.roles import assets_of
from soundstage.contract.rules import Rule
from soundstage.exchange.client import Exchange
from soundstage.exchange.patience import REASON
from soundstage.exchange.session import Session
from soundstage.wire.end import End
from soundstage.wire.media_type import content_type_of, media_type
from soundstage.wire.outages import http_reason, is_outage, status_name
from soundstage.wire.settings import Limits
from soundstage.wire.transport import Request, Transport

#: A file may take so many bytes and seconds (between two pieces of it: `_IDLE_S`).
MOST_BYTES: Final = 64 * 2**20
TOTAL_S: Final = 120.0
_IDLE_S: Final = 20.0
#: Of files beyond so many bytes only one is held at a time, whatever several exchanges name.
_ORDINARY_BYTES: Final = 8 * 2**20
#: Different URLs of one exchange that are looked at; no documented answer has half as many.
MOST_URLS: Final = 24
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS: Final = 4
_OK: Final = 200
#: Answers of the host of files that say nothing about them, beside those of gateways.
_REFUSALS: Final = frozenset({429, 500})
#: Answers to who has no key, or not the right one.
_KEYLESS: Final = frozenset({401, 403})

#: Why a file is not known that would have been fetched as nothing more was sent.
_NOT_ANY_MORE: Final = f"{REASON}: not fetched any more"
#: How reasons begin that leave a rule open; any other means that it was no place to look at.
_OPEN: Final = ("environment.", "http.", "cap.")


def inconclusive(reason: str | None) -> bool:
    """Whether a file that should have been looked at could not be."""
    return reason is not None and reason.startswith(_OPEN)


@dataclass(frozen=True, slots=True)
class File:
    """What became of one URL. `wrong`: (aspect, message) of what breaks a rule; `seconds` of audio,
    None where that is not known; `seen`: the aspects that were put to the test; `unknown`: why the
    others were not, None if they were; `note`: what is told of it that breaks no rule.
    """

    wrong: tuple[tuple[str, str], ...] = ()
    seen: frozenset[str] = frozenset()
    seconds: float | None = None
    unknown: str | None = None
    note: str | None = None


class AssetChecks:
    """The files of one contract check. Safe to use from several threads."""

    def __init__(self, session: Session) -> None:
        self._session = session
        settings = replace(
            session.transport.settings,
            limits=Limits(total_s=TOTAL_S, idle_s=_IDLE_S, body_bytes=MOST_BYTES, redirects=0),
            keep_alive=False,
            watched=False,
        )
        self._own = Transport(settings)
        # Another host gets nothing that identifies us, and has to show who it is.
        self._others = Transport(replace(settings, client_cert=None, verify=True))
        self._files: dict[tuple[str, str], File] = {}
        self._exercised: dict[str, int] = {}
        self._unknown: dict[str, str] = {}
        self._lock = threading.Lock()
        self._large = threading.Lock()
        self._halted = False

    def halt(self) -> None:
        """End what is being fetched, and fetch nothing more."""
        self._halted = True
        self._own.halt()
        self._others.halt()

    def exercised(self, rule: Rule) -> bool:
        """Whether at least one file has put a rule to the test."""
        return rule.id in self._exercised

    def unknown(self, rule: Rule) -> str | None:
        """Why a file could not be looked at, and so not put a rule to the test; None if all were,
        or none was named.
        """
        return self._unknown.get(rule.id)

    def examine(self, exchange: Exchange) -> list[Violation]:
        """What is wrong with the files that an exchange points to. Fetches them."""
        contract, endpoint = exchange.call.contract, exchange.call.endpoint
        found: list[Violation] = []
        urls: set[tuple[str, str]] = set()
        for chunk, each in _named(contract, endpoint, exchange):
            if (each.field.name, each.url) in urls:
                continue
            urls.add((each.field.name, each.url))
            if self._halted:
                self._note(_rules(contract, endpoint, each), _NOT_ANY_MORE)
                continue
            if len(urls) > MOST_URLS:
                self._note(_rules(contract, endpoint, each), "cap.assets: too many URLs")
                break
            found += self._of_one(exchange, each, chunk)
        if exchange.forgotten:
            for field in assets_of(contract, endpoint.name).values():
                rules = _rules_of(contract, endpoint, field.name)
                self._note(rules, "cap.memory: not all that it names was looked at")
        return found

    def _of_one(
        self, exchange: Exchange, found: AssetUrl, chunk: int | None
    ) -> Iterator[Violation]:
        contract, endpoint = exchange.call.contract, exchange.call.endpoint
        file = self._looked_at(contract, found)
        wrong, seen = list(file.wrong), set(file.seen)
        rules = _rules(contract, endpoint, found)
        if "length" in rules and file.seconds is not None:
            seen.add("length")
            wrong += self._length(exchange, file.seconds)
        for aspect, rule in rules.items():
            if aspect in seen:
                with self._lock:
                    self._exercised[rule.id] = self._exercised.get(rule.id, 0) + 1
            elif file.unknown is not None:
                self._note({aspect: rule}, file.unknown)
        told = [(_CODES[aspect], rules[aspect], message) for aspect, message in wrong]
        if file.note is not None:
            told.append(("asset.not_decoded", rules["content"], file.note))
        for code, rule, message in told:
            noted = code == "asset.not_decoded"
            severity = Severity.INFO if noted else Severity(rule.severity)
            url = shown(self._session.redactor.url(found.url))
            named = f"{found.field.name} {url}: {message}"
            yield Violation(code, severity, chunk, found.path, named, rule.id)

    def _note(self, rules: dict[str, Rule], reason: str) -> None:
        reason = self._session.redactor.message(reason)
        with self._lock:
            for rule in rules.values():
                if not inconclusive(self._unknown.get(rule.id)):
                    self._unknown[rule.id] = reason

    def _looked_at(self, contract: Contract, found: AssetUrl) -> File:
        key = (found.field.kind, found.url)
        with self._lock:
            known = self._files.get(key)
        if known is None:
            known = self._look(contract, found)
            with self._lock:
                self._files[key] = known
        return known

    @staticmethod
    def _length(exchange: Exchange, seconds: float) -> Iterable[tuple[str, str]]:
        """Whether the song is as long as the request asked, or as its parameter's default says."""
        call, rule = exchange.call, exchange.call.contract.protocol.song_length
        asked = duration_of(call.endpoint.request)
        if rule is None or asked is None or not isinstance(call.body, dict):
            return []
        due = call.body.get(asked[0], asked[1].get("default"))
        if due is None or rule.allows(due, seconds):
            return []
        return [("length", f"it is {seconds:.2f} s long; asked were {due:g} s")]

    # ------------------------------------------------------------------ one file

    def _place(self, contract: Contract, url: str) -> UrlVerdict:
        target = self._session.target
        return place_of(url, target.url, contract.hosts.values, live=target.as_live)

    def _look(self, contract: Contract, found: AssetUrl) -> File:
        url, hops = found.url, 0
        address = frozenset({"address"})
        while True:
            place = self._place(contract, url)
            by = (
                ""
                if not hops
                else f"it redirects to {shown(self._session.redactor.url(url))}, and "
            )
            if place.forbidden:
                return File((("address", f"{by}{place.why}; it was not fetched"),), address)
            if not place.allowed:
                return File(seen=address, unknown=f"not fetched: {by}{place.why}")
            following, file = self._fetch(found, url)
            if following is None:
                return replace(file, seen=file.seen | address)
            hops += 1
            if hops > _MOST_REDIRECTS:
                message = f"it redirects more than {_MOST_REDIRECTS} times"
                return File((("answer", message),), address | {"answer"})
            url = following

    def _fetch(self, found: AssetUrl, url: str) -> tuple[str | None, File]:
        """One file: where it redirects to, or what it gave."""
        with _FileRoom(self._large) as room:
            return self._fetched(found, url, room)

    def _fetched(self, found: AssetUrl, url: str, room: _FileRoom) -> tuple[str | None, File]:
        target = self._session.target
        own = place_of(url, target.url, (), live=False).allowed
        got = self._get(url, target.headers if own else (), room, own=own)
        wants_key = got.status in _KEYLESS and own and target.key is not None
        if wants_key:
            headers = (*target.headers, ("Authorization", f"Bearer {target.key}"))
            got = self._get(url, headers, room, own=True)
        if got.following is not None:
            return got.following, File()
        if self._halted and not got.whole:
            return None, File(unknown=_NOT_ANY_MORE)
        if got.status is None:
            return None, File(unknown=f"environment.asset: {got.why}")
        if got.status in _REFUSALS or is_outage(got.status, got.content_type, got.data):
            return None, File(unknown=_unanswered(got.status))
        answered = frozenset({"answer"})
        if got.status != _OK:
            although = ", with the key, too" if wants_key else ""
            return None, File((("answer", f"it answers with {got.status}{although}"),), answered)
        if got.end is not None and got.end.fault_of == "api":
            broken = (("content", f"it breaks off: {got.why}"),)
            return None, File(broken, answered | {"content"})
        if got.end is not None and got.end.fault_of is not None:
            prefix = "environment" if got.end.fault_of == "environment" else "cap"
            return None, File(seen=answered, unknown=f"{prefix}.asset: {got.why}")
        file = _opened(found, got.data, media_type(got.content_type))
        if wants_key:
            note = ("key", "it can be had with the key only")
            file = replace(file, wrong=(note, *file.wrong))
        return None, file

    def _get(self, url: str, headers: Headers, room: _FileRoom, *, own: bool) -> _Got:
        """One GET, read to its end within the bounds."""
        decoder_process.SHARED.start()  # what decodes it starts while it comes
        request = Request("GET", url, headers)
        with (self._own if own else self._others).open(request) as response:
            status, location = response.status, response.header("location")
            if status in _REDIRECTS and location:
                return _Got(status, following=_joined(url, location))
            wanted = status == _OK or status in _KEYLESS
            body = io.BytesIO()  # gives it away whole, without a copy
            for read in response.reads() if wanted else ():
                room.hold(body.tell() + len(read.data))
                body.write(read.data)
            end = response.end
            return _Got(status, content_type_of(response.headers), body.getvalue(), end)


Headers = tuple[tuple[str, str], ...]


class _FileRoom:
    """The room in memory that one file takes, until it has been looked at: what is beyond an
    ordinary file waits until no other is.
    """

    def __init__(self, large: threading.Lock) -> None:
        self._large = large
        self._held = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._held:
            self._large.release()

    def hold(self, size: int) -> None:
        """So many bytes are to be held."""
        if size > _ORDINARY_BYTES and not self._held:
            self._held = self._large.acquire()


@dataclass(frozen=True, slots=True)
class _Got:
    """The answer to one GET: its status (None if there was none), type and body, how it ended, and
    where it redirects to.
    """

    status: int | None
    content_type: str | None = None
    data: bytes = b""
    end: End | None = None
    following: str | None = None

    @property
    def whole(self) -> bool:
        """Whether a file came, to its end."""
        return self.status == _OK and (self.end is None or self.end.fault_of is None)

    @property
    def why(self) -> str:
        return self.end.message if self.end is not None else "no answer"


def _unanswered(status: int) -> str:
    name = status_name(status)
    return f"{http_reason(status)}: a file was answered with {status}{f' {name}' if name else ''}"


#: What a broken rule of an aspect is reported under.
_CODES: Final = {
    "address": "asset.address",
    "answer": "asset.missing",
    "key": "asset.needs_key",
    "media": "asset.media_type",
    "content": "asset.broken",
    "length": "asset.length",
}


def _opened(found: AssetUrl, data: bytes, kind: str) -> File:
    """What a file is that came whole."""
    wrong: list[tuple[str, str]] = []
    seen = {"answer", "key", "media"}
    if not kind.startswith(f"{found.field.kind}/"):
        wrong.append(("media", f"it is sent as {shown(kind) if kind else 'nothing in particular'}"))
    seconds, unknown, note = None, None, None
    try:
        if found.field.kind == "audio":
            seconds = media.audio(data).seconds
        else:
            media.image(data)
        seen.add("content")
    except media.BrokenMedia as error:
        wrong.append(("content", str(error)))
        seen.add("content")
    except media.NotDecoded as error:
        note, unknown = str(error), f"not decoded: {error}"
    except media.CannotDecode as error:
        unknown = f"environment.asset: {error}"
    except media.Unreadable as error:
        unknown = f"cap.asset: {error}"
    return File(tuple(wrong), frozenset(seen), seconds, unknown, note)


def _joined(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError:
        return location


def _rules(contract: Contract, endpoint: Endpoint, found: AssetUrl) -> dict[str, Rule]:
    """The rules about the files of a field, by aspect."""
    return _rules_of(contract, endpoint, found.field.name)


def _rules_of(contract: Contract, endpoint: Endpoint, field: str) -> dict[str, Rule]:
    paths = {
        aspect: f"{contract.api}/{endpoint.name}/asset/{aspect}/{field}"
        for aspect in (*ASPECTS, "length")
    }
    book = contract.rules.rules
    return {aspect: book[path] for aspect, path in paths.items() if path in book}


def _named(
    contract: Contract, endpoint: Endpoint, exchange: Exchange
) -> Iterator[tuple[int | None, AssetUrl]]:
    """Every URL in chunks or a result, with the number of its chunk."""
    fields = assets_of(contract, endpoint.name)
    if endpoint.kind != "stream":
        yield from ((None, each) for each in found_in(fields, exchange.value))
        return
    # Where an event was no chunk, the numbers of the others are not known here.
    exact = len(exchange.chunks) == exchange.judge.events
    for number, (_, chunk) in enumerate(exchange.chunks):
        yield from ((number if exact else None, each) for each in found_in(fields, chunk))
