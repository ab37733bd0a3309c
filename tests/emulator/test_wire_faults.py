"""What the faults of the wire do to a connection, octet by octet, as a plain socket sees it; and
that our own client says of each what the catalogue says (`soundstage faults`, over sockets).
"""

from __future__ import annotations

import gc
import itertools
import json
import random
import socket
import struct
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from soundstage.contract import Contract, load_all
from soundstage.emulator import Emulator, Options, running
from soundstage.emulator.http.asgi import FarEnd
from soundstage.generation.faults.catalogue import wire_faults
from soundstage.proof.wire_trials import found_on_the_wire

CONTRACTS = load_all()
each_contract = pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS)
TRACKED = next(contract for contract in CONTRACTS.values() if contract.protocol.tracks)
#: A stage that every stream has.
STAGE = next(s.name for s in TRACKED.protocol.stages if s.times[0] and not s.failure)
PATIENCE_S = 20.0


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running(Options(profile="instant", seed=4)) as started:
        yield started.url


@dataclass
class Seen:
    """What came on a connection: each read with its time, and how it ended."""

    reads: list[tuple[float, bytes]] = field(default_factory=list)
    end: str = "open"

    @property
    def raw(self) -> bytes:
        return b"".join(data for _, data in self.reads)

    @property
    def head(self) -> bytes:
        return self.raw.partition(b"\r\n\r\n")[0].lower()

    @property
    def gaps(self) -> list[float]:
        """The seconds between a read and the next."""
        return [after - before for (before, _), (after, _) in itertools.pairwise(self.reads)]

    @property
    def prefixes(self) -> list[bytes]:
        """What had come by the end of each read."""
        return list(itertools.accumulate(data for _, data in self.reads))

    @property
    def body(self) -> bytes:
        return self.raw.partition(b"\r\n\r\n")[2]


def payload_of(contract: Contract) -> dict[str, Any]:
    return dict(next(each.payload for each in contract.examples if each.of == "request"))


def asked(
    url: str,
    fault: str,
    contract: Contract = TRACKED,
    *,
    kind: str = "stream",
    until: bytes | None = None,
    seconds: float = PATIENCE_S,
) -> Seen:
    """Everything that comes on one connection until it ends, `until` has come, or time is over."""
    endpoint = contract.endpoint_of_kind(kind)
    assert endpoint is not None
    place = urlsplit(url)
    body = json.dumps(payload_of(contract)).encode()
    head = (
        f"POST {endpoint.path} HTTP/1.1\r\nHost: {place.netloc}\r\nAuthorization: Bearer k\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
        f"Soundstage-Fault: {fault}\r\n\r\n"
    )
    seen = Seen()
    began = time.monotonic()
    with socket.create_connection((place.hostname, place.port), timeout=seconds) as sock:
        sock.sendall(head.encode() + body)
        while until is None or until not in seen.raw:
            sock.settimeout(max(0.01, began + seconds - time.monotonic()))
            try:
                data = sock.recv(65536)
            except ConnectionResetError:
                seen.end = "reset"
                break
            except TimeoutError:
                break
            if not data:
                seen.end = "closed"
                break
            seen.reads.append((time.monotonic() - began, data))
    return seen


def chunks_in(body: bytes) -> tuple[list[bytes], bytes]:
    """The HTTP chunks of a body, and what follows the last that is whole."""
    found = []
    while True:
        size, line, rest = body.partition(b"\r\n")
        if not line or not size or set(size) - set(b"0123456789abcdef"):
            return found, body
        length = int(size, 16)
        if rest[length : length + 2] != b"\r\n":
            return found, body
        found.append(rest[:length])
        body = rest[length + 2 :]
        if length == 0:
            return found, body


def payloads_in(chunks: list[bytes]) -> list[dict[str, Any]]:
    events = b"".join(chunks).split(b"\n\n")
    return [json.loads(event.removeprefix(b"data: ")) for event in events if event]


@pytest.mark.parametrize("kind", ["stream", "sync"])
def test_a_reset_comes_in_the_middle_of_a_chunk(url: str, kind: str) -> None:
    seen = asked(url, "wire/reset", kind=kind)
    assert seen.end == "reset"
    _, rest = chunks_in(seen.body)
    size, _, begun = rest.partition(b"\r\n")
    assert 0 < len(begun) < int(size, 16)


def test_a_fault_strikes_at_the_stage_and_the_track_that_were_named(url: str) -> None:
    stage = next(s for s in TRACKED.protocol.stages if s.per_track and not s.ends)
    tracks = TRACKED.protocol.tracks
    assert tracks is not None
    for track in tracks.values:
        seen = asked(url, f"wire/reset@{stage.name}#{track}")
        before, rest = chunks_in(seen.body)
        cut = rest.partition(b"\r\n")[2]
        told = payloads_in(before)
        shown = [payload.get(tracks.field.name) for payload in told if tracks.field.name in payload]
        others = [value for value in tracks.values if value != track]
        assert seen.end == "reset"
        assert set(shown) <= set(others)
        assert cut.startswith(b"data: {")


def test_what_is_cut_is_closed_in_good_order(url: str) -> None:
    seen = asked(url, "wire/cut")
    assert seen.end == "closed"
    assert not seen.raw.endswith(b"0\r\n\r\n")


def test_a_stall_lasts_as_long_as_it_was_asked_to(url: str) -> None:
    seen = asked(url, f"wire/stall=0.5@{STAGE}")
    assert seen.end == "closed"
    assert seen.raw.endswith(b"0\r\n\r\n")
    before = [told for told, gap in zip(seen.prefixes, seen.gaps, strict=False) if gap >= 0.4]
    assert any(not told.endswith(b"\n\n\r\n") for told in before), "no pause inside a chunk"


def test_a_stall_lasts_for_an_hour_unless_told_otherwise(url: str) -> None:
    seen = asked(url, "wire/stall", seconds=0.5)
    assert seen.end == "open"
    assert not seen.raw.endswith(b"\n\n\r\n")


@each_contract
def test_a_character_is_split_over_two_segments(url: str, contract: Contract) -> None:
    seen = asked(url, "wire/split_character=0.5", contract)
    b"".join(chunks_in(seen.body)[0]).decode()
    halves = 0
    for told in seen.prefixes:
        try:
            b"".join(chunks_in(told.partition(b"\r\n\r\n")[2])[0]).decode()
        except UnicodeDecodeError as error:
            halves += error.reason == "unexpected end of data"
    assert halves, "no read ends inside a character"


def test_a_drip_sends_one_octet_at_a_time(url: str) -> None:
    seen = asked(url, f"wire/drip=0.001@{STAGE}")
    chunks, _ = chunks_in(seen.body)
    dripped = [chunk for chunk in chunks if len(chunk) == 1]
    assert len(dripped) > 50
    assert len(seen.reads) > 20, "the octets came all at once"
    assert payloads_in(chunks)


@pytest.mark.parametrize("kind", ["stream", "sync"])
def test_a_body_that_never_ends_goes_on_after_all_was_said(url: str, kind: str) -> None:
    seen = asked(url, "wire/never_ends=0.01", kind=kind, seconds=0.7)
    assert seen.end == "open"
    chunks, rest = chunks_in(seen.body)
    assert rest == b""
    assert chunks[-1] in (b": still here\n\n", b" ")
    assert chunks[-2] == chunks[-1]


def test_a_connection_that_is_kept_open_says_nothing_more(url: str) -> None:
    seen = asked(url, "wire/kept_open", seconds=0.7)
    assert seen.end == "open"
    chunks, rest = chunks_in(seen.body)
    assert rest == b""
    assert payloads_in(chunks)
    assert not seen.raw.endswith(b"0\r\n\r\n")


def test_headers_come_late(url: str) -> None:
    seen = asked(url, "wire/late_headers=0.3")
    assert seen.reads[0][0] >= 0.29
    assert seen.raw.endswith(b"0\r\n\r\n")


def test_no_answer_is_a_close_or_a_reset(url: str) -> None:
    assert asked(url, "wire/no_answer") == Seen([], "closed")
    assert asked(url, "wire/reset_early") == Seen([], "reset")


@pytest.mark.parametrize(
    ("fault", "what"),
    [
        ("chunk_size", b"xyz\r\n"),
        ("chunk_without_size", b"\r\ndata: "),
        ("no_last_chunk", b""),
    ],
)
def test_http_chunks_are_malformed(url: str, fault: str, what: bytes) -> None:
    seen = asked(url, f"wire/{fault}")
    assert seen.end == "closed"
    assert b"transfer-encoding: chunked" in seen.head
    whole, rest = chunks_in(seen.body)
    assert rest.startswith(what)
    assert b"" not in whole


def test_an_http_chunk_is_longer_than_it_says(url: str) -> None:
    _, rest = chunks_in(asked(url, "wire/chunk_too_long").body)
    size, _, data = rest.partition(b"\r\n")
    assert 0 < int(size, 16) < len(data) - 2


@pytest.mark.parametrize(("fault", "more"), [("above", 16), ("below", -16)])
@pytest.mark.parametrize("kind", ["stream", "sync"])
def test_a_content_length_is_wrong(url: str, fault: str, more: int, kind: str) -> None:
    seen = asked(url, f"wire/content_length_{fault}", kind=kind)
    (length,) = [
        int(line.partition(b":")[2])
        for line in seen.head.split(b"\r\n")
        if line.startswith(b"content-length")
    ]
    assert b"transfer-encoding" not in seen.head
    assert length - len(seen.body) == more
    assert seen.end == "closed"


@pytest.mark.parametrize("kind", ["stream", "sync"])
def test_gzip_is_whole_cut_or_corrupt(url: str, kind: str) -> None:
    def body(fault: str) -> bytes:
        seen = asked(url, fault, kind=kind)
        labelled = b"content-encoding: gzip" in seen.head
        assert labelled == (fault != "wire/gzip_unlabelled")
        assert seen.raw.endswith(b"0\r\n\r\n")
        return b"".join(chunks_in(seen.body)[0])

    for fault in ("wire/gzip", "wire/gzip_unlabelled"):
        coder = zlib.decompressobj(31)
        text = coder.decompress(body(fault))
        assert coder.eof
        assert text.startswith((b"data: {", b"{"))
    coder = zlib.decompressobj(31)
    assert coder.decompress(body("wire/gzip_truncated"))
    assert not coder.eof
    with pytest.raises(zlib.error, match="invalid block type"):
        zlib.decompressobj(31).decompress(body("wire/gzip_corrupt"))


def test_gzip_can_be_read_chunk_by_chunk(url: str) -> None:
    coder = zlib.decompressobj(31)
    chunks, _ = chunks_in(asked(url, "wire/gzip").body)
    texts = [coder.decompress(chunk) for chunk in chunks]
    assert all(text.endswith(b"\n\n") for text in texts if text)
    assert sum(map(bool, texts)) > 5


def test_what_is_buffered_comes_in_one_piece(url: str) -> None:
    chunks, _ = chunks_in(asked(url, "wire/buffered").body)
    assert len(chunks) == 2
    assert len(payloads_in(chunks)) > 5


# --- in place of the API --------------------------------------------------------------------------


@each_contract
def test_a_proxy_answers_before_the_api_sees_the_request(url: str, contract: Contract) -> None:
    charges = httpx.get(url + "/_emulator/health").json()["charges"]
    for name, status in (("html_502", 502), ("html_504", 504)):
        seen = asked(url, f"wire/{name}", contract)
        assert seen.raw.startswith(b"HTTP/1.1 %d " % status)
        assert b"content-type: text/html" in seen.head
        assert str(status).encode() in seen.body
    for status in (429, 503):
        seen = asked(url, f"wire/retry_after_{status}=17", contract)
        assert seen.raw.startswith(b"HTTP/1.1 %d " % status)
        assert b"\r\nretry-after: 17" in seen.head
        json.loads(seen.body)
    assert httpx.get(url + "/_emulator/health").json()["charges"] == charges


@pytest.mark.parametrize("status", [307, 308])
def test_a_redirect_leads_to_the_answer(url: str, status: int) -> None:
    endpoint = TRACKED.endpoint_of_kind("sync")
    assert endpoint is not None
    headers = {"Authorization": "Bearer k", "Soundstage-Fault": f"wire/redirect_{status}"}
    with httpx.Client(follow_redirects=True) as client:
        answer = client.post(url + endpoint.path, json=payload_of(TRACKED), headers=headers)
    assert [each.status_code for each in answer.history] == [status]
    assert answer.status_code == 200
    assert answer.request.method == "POST"
    assert "soundstage-fault-missed" not in answer.headers


def test_a_redirect_elsewhere_names_a_host_that_cannot_exist(url: str) -> None:
    seen = asked(url, "wire/redirect_elsewhere")
    (place,) = [
        line.partition(b": ")[2].decode()
        for line in seen.head.split(b"\r\n")
        if line.startswith(b"location")
    ]
    host = urlsplit(place).hostname
    assert host is not None
    assert host.endswith(".invalid")


# --- counted, reported, survived ------------------------------------------------------------------


def test_without_a_connection_the_fault_is_reported_and_the_answer_whole() -> None:
    import asyncio

    app = Emulator(Options(profile="instant", seed=1))

    async def exchange(fault: str) -> tuple[httpx.Response, dict[str, Any]]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://inside") as client:
            endpoint = TRACKED.endpoint_of_kind("stream")
            assert endpoint is not None
            headers = {"Authorization": "Bearer k", "Soundstage-Fault": fault}
            answer = await client.post(endpoint.path, json=payload_of(TRACKED), headers=headers)
            return answer, (await client.get("/_emulator/health")).json()["faults"]

    answer, counts = asyncio.run(exchange("wire/reset"))
    assert answer.status_code == 200
    assert answer.headers["soundstage-fault-missed"] == "wire/reset"
    assert payloads_in([answer.content])
    assert counts["wire/reset"] == {"applied": 0, "not_applicable": 1}
    # What needs no connection of its own works in process, too.
    answer, counts = asyncio.run(exchange("wire/gzip"))
    assert answer.headers["content-encoding"] == "gzip"
    assert payloads_in([answer.content])
    assert counts["wire/gzip"] == {"applied": 1, "not_applicable": 0}


def answers_under_way() -> int:
    gc.collect()
    return sum(isinstance(each, FarEnd) for each in gc.get_objects())


def test_a_client_that_leaves_frees_an_answer_that_waits_for_an_hour(url: str) -> None:
    before = answers_under_way()
    for fault in ("wire/stall", "wire/never_ends=3600", "wire/late_headers=3600"):
        asked(url, fault, until=b"data: ", seconds=0.3)
    deadline = time.monotonic() + 10
    while answers_under_way() > before and time.monotonic() < deadline:
        asked(url, "wire/gzip")
    assert answers_under_way() <= before


def test_a_reset_client_leaves_no_traceback(url: str, caplog: pytest.LogCaptureFixture) -> None:
    """The far end resets while a fault is being played; then the emulator still answers."""
    place = urlsplit(url)
    endpoint = TRACKED.endpoint_of_kind("stream")
    assert endpoint is not None
    body = json.dumps(payload_of(TRACKED)).encode()
    head = (
        f"POST {endpoint.path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        "Soundstage-Fault: wire/drip=0.001\r\n\r\n"
    )
    sock = socket.create_connection((place.hostname, place.port), timeout=5)
    sock.sendall(head.encode() + body)
    sock.recv(1000)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
    assert asked(url, "wire/gzip").end == "closed"
    assert caplog.text == ""


@each_contract
@pytest.mark.proof
def test_our_client_says_what_the_catalogue_says(contract: Contract) -> None:
    """A sample of them; all are tried by `soundstage faults`, whose tests run it."""
    faults = random.Random(contract.api).sample(
        [fault for fault in wire_faults(contract) if not fault.timed], 6
    )
    for fault, finding in found_on_the_wire(contract, faults, seed=9):
        assert finding.caught, f"{fault.name}: {finding.found}"
