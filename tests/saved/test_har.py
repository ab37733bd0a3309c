"""HTTP archives as tools write, cut and clean them: each entry is read as far as it can be."""

from __future__ import annotations

import base64
import copy
import gzip
import io
import json
import random
import zipfile
from pathlib import Path
from typing import Any

import pytest
from tests.support.saved_files import GOOD, URL, entry
from tests.support.saved_files import har as archive

from soundstage.errors import UsageError
from soundstage.saved import har, saved_file

PARTIAL = {"size": 600, "mimeType": "text/event-stream", "text": GOOD[:600].decode()}
NOTHING: dict[str, Any] = {"size": 0, "mimeType": "x-unknown"}


def read(*entries: Any) -> list[har.ArchiveEntry]:
    return har.read(archive(*entries), "f")


def asked(url: Any, method: Any = "POST") -> dict[str, Any]:
    return {**entry(), "request": {"method": method, "url": url}}


def packed(data: bytes, **content: Any) -> dict[str, Any]:
    text = base64.b64encode(data).decode()
    return {"mimeType": "text/event-stream", "encoding": "base64", "text": text, **content}


@pytest.mark.parametrize(
    ("change", "media"),
    [
        ({}, "text/event-stream"),
        ({"content": {"text": "x"}}, "text/event-stream"),
        ({"content": {"text": "x", "mimeType": "x-unknown"}}, "text/event-stream"),
        ({"content": {"text": "x", "mimeType": "text/plain"}}, "text/event-stream"),
        ({"headers": [], "content": {"text": "x", "mimeType": "text/plain"}}, "text/plain"),
        ({"headers": [], "content": {"text": "x", "mimeType": "x-unknown"}}, None),
        ({"headers": ..., "content": {"text": "x"}}, None),
        ({"headers": {"Content-Type": "text/html"}}, "text/html"),
        ({"headers": {"Content-Type": ["text/html"]}}, "text/html"),
        ({"headers": [None, {"name": "content-type", "value": "text/html"}]}, "text/html"),
        ({"headers": "content-type: text/html", "content": {"text": "x"}}, None),
    ],
)
def test_the_type_is_the_headers_else_the_archives(change: Any, media: str | None) -> None:
    (found,) = read(entry(**change))
    assert found.exchange is not None
    headers = found.exchange.header["response"]["headers"]
    assert next((v for k, v in headers if k.lower() == "content-type"), None) == media


@pytest.mark.parametrize(
    ("status", "number"),
    [(200, 200), ("200", 200), ("200 OK", 200), (200.0, 200), (0, None), (-1, None), (None, None),
     ("", None), (True, None), ([200], None), (10**30, None), (1e300, None)],
)  # fmt: skip
def test_a_status_is_a_number_or_none_came(status: Any, number: int | None) -> None:
    (found,) = read(entry(status=status))
    assert found.exchange is not None
    assert found.exchange.header["response"]["status"] == number


@pytest.mark.parametrize("wait", [-1, None, "soon", [], float("nan"), float("inf"), 10**400, True])
def test_a_time_that_is_none_is_zero(wait: Any) -> None:
    one = entry()
    for one["timings"] in ({"wait": wait}, wait):
        (found,) = read(one)
        assert found.exchange is not None
        assert found.exchange.pieces == [(0.0, GOOD, False)]


@pytest.mark.parametrize(
    "content",
    [
        packed(GOOD),
        packed(gzip.compress(GOOD, mtime=0)),
        {"text": gzip.compress(GOOD, mtime=0).decode("latin-1")},
        {"text": GOOD.decode(), "encoding": "utf-8"},
        packed(GOOD, text=base64.encodebytes(GOOD).decode().rstrip("=\n")),
    ],
)
def test_a_body_is_decoded_and_decompressed(content: Any) -> None:
    (found,) = read(entry(content=content))
    assert found.exchange is not None
    assert (found.exchange.body, found.exchange.doubt) == (GOOD, None)


@pytest.mark.parametrize(
    ("change", "doubt", "replayed"),
    [
        ({"content": {"size": 0, "text": ""}}, "archive.no_body", False),
        ({"content": {"size": 999}}, "archive.no_body", False),
        ({"content": {"size": -1, "text": None}}, "archive.no_body", False),
        ({"content": ...}, "archive.no_body", False),
        ({"content": ..., "status": 500}, "archive.no_body", False),
        ({"content": ..., "status": 204}, None, True),
        ({"content": ..., "status": 302}, None, True),
        ({"content": ..., "status": 304}, "archive.not_modified", False),
        ({"content": ..., "headers": [{"name": "content-length", "value": "0"}]}, None, True),
        ({"content": {**PARTIAL, "size": 5000}}, "archive.cut_body", True),
        ({"content": PARTIAL}, None, True),
        ({"content": packed(gzip.compress(GOOD, mtime=0)[:-9])}, "archive.cut_body", True),
        ({"content": NOTHING, "status": 0}, "archive.no_answer", False),
    ],
)
def test_a_body_that_the_archive_lacks_is_doubted(
    change: Any, doubt: str | None, replayed: bool
) -> None:
    (found,) = read(entry(**change))
    assert found.exchange is not None
    assert found.exchange.doubt == doubt
    if found.exchange.doubt != "archive.no_answer":
        assert (found.exchange.end is not None) == replayed


@pytest.mark.parametrize(
    ("error", "kind", "fault"),
    [
        ("net::ERR_ABORTED", "cancelled", None),
        ("net::ERR_NETWORK_CHANGED", "cancelled", None),
        ("net::ERR_INTERNET_DISCONNECTED", "cancelled", None),
        ("net::ERR_BLOCKED_BY_CLIENT", "cancelled", None),
        ("net::ERR_CERT_DATE_INVALID", "cancelled", None),
        ("NS_BINDING_ABORTED", "cancelled", None),
        ("cancelled", "cancelled", None),
        ("what nobody knows", "cancelled", None),
        ({"message": "net::ERR_FAILED"}, "cancelled", None),
        ("net::ERR_CONNECTION_RESET", "reset", "api"),
        ("net::ERR_CONTENT_LENGTH_MISMATCH", "truncated", "api"),
        ("net::ERR_INCOMPLETE_CHUNKED_ENCODING", "truncated", "api"),
        ("net::ERR_INVALID_CHUNKED_ENCODING", "framing", "api"),
        ("net::ERR_HTTP2_PROTOCOL_ERROR", "framing", "api"),
        ("net::ERR_CONTENT_DECODING_FAILED", "content_encoding", "api"),
        ("NS_ERROR_NET_PARTIAL_TRANSFER", "truncated", "api"),
        (None, "complete", None),
        ("", "complete", None),
        (0, "complete", None),
        ("net::OK", "complete", None),
    ],
)
def test_an_error_is_whose_doing_it_was(error: Any, kind: str, fault: str | None) -> None:
    inner = entry(content=PARTIAL, _error=error)
    outer = {**entry(content=PARTIAL), "_error": error}
    playwrights = entry(content=PARTIAL, _failureText=error)
    for found in read(inner, outer, playwrights):
        assert found.exchange is not None
        assert found.exchange.end is not None
        assert (found.exchange.end["kind"], found.exchange.end["fault_of"]) == (kind, fault)
        expected = "archive.client_error" if kind == "cancelled" else None
        assert found.exchange.doubt == expected


def test_a_connection_that_was_reset_before_any_head_is_the_environments() -> None:
    reset, empty = read(
        entry(status=0, content=NOTHING, _error="net::ERR_CONNECTION_RESET"),
        entry(status=0, content=NOTHING, _error="net::ERR_EMPTY_RESPONSE"),
    )
    assert reset.exchange is not None
    assert empty.exchange is not None
    assert reset.exchange.end is not None
    assert empty.exchange.end is not None
    assert reset.exchange.end["fault_of"] == "environment"
    assert empty.exchange.end["fault_of"] == "api"


@pytest.mark.parametrize(
    ("odd", "says"),
    [
        (None, "it is null, no object"),
        ("entry", "it is a string, no object"),
        (17, "it is a number, no object"),
        ([], "it is a list, no object"),
        ({}, "it has no request"),
        ({**entry(), "request": None}, "it has no request"),
        (asked(None), "its request has no method and URL"),
        (asked(URL, 3), "its request has no method and URL"),
        (asked("https://[REDACTED]/collect"), "its URL is none"),
        ({**entry(), "response": None}, "it has no response"),
        (entry(content={"text": {"a": 1}}), "the text of its body is an object, no string"),
        (entry(content=packed(b"", text="%%%")), "its body is said to be base64 and is not"),
        (entry(content={"text": "\x1f\ufffd\b"}), "its body is compressed, and was saved as if"),
        (
            entry(content=packed(gzip.compress(GOOD, mtime=0)[:50] + b"\xff" * 50)),
            "corrupt gzip data",
        ),
    ],
)
def test_an_odd_entry_says_why_and_spoils_no_other(odd: Any, says: str) -> None:
    def wanted(method: str, path: str) -> bool:
        return path.endswith("/v6/generate/song")

    first, second = har.read(archive(odd, entry()), "f", wanted=wanted)
    assert first.exchange is None
    assert first.problem is not None
    assert says in first.problem
    assert second.problem is None
    assert second.exchange is not None
    assert second.exchange.body == GOOD


@pytest.mark.parametrize(
    "url", [URL, "/v6/generate/song", "https://[REDACTED]/v6/generate/song?key=1", f" {URL}#a"]
)
def test_the_path_of_a_url_is_read_whatever_became_of_its_host(url: str) -> None:
    (found,) = read(asked(url))
    assert (found.path, found.problem) == ("/v6/generate/song", None)
    assert found.exchange is not None


def test_only_what_is_wanted_is_read() -> None:
    found = har.read(archive(entry(content={"text": 3})), "f", wanted=lambda method, path: False)
    assert (found[0].exchange, found[0].problem) == (None, None)


def test_a_redirect_that_another_entry_follows_is_marked() -> None:
    def redirect(status: int, location: str) -> Any:
        headers = [{"name": "Location", "value": location}]
        return entry(status=status, headers=headers, content=NOTHING)

    there = asked("https://b.example/v6/songs")
    found = read(redirect(307, "https://b.example/v6/songs"), redirect(308, "/nowhere"), there)
    assert [each.followed for each in found] == [True, False, False]
    assert found[1].exchange is not None
    assert found[1].exchange.end is not None
    assert found[1].exchange.end["fault_of"] == "harness"
    (found_other,) = read(redirect(302, "/login"))
    assert found_other.exchange is not None
    assert found_other.exchange.end is not None
    assert found_other.exchange.end["fault_of"] == "api"


def test_an_archive_is_told_wherever_its_log_stands() -> None:
    for raw in (archive(entry(), meta={"by": "x"}), b"\xef\xbb\xbf \r\n" + archive(entry())):
        assert len(saved_file.read(raw, "f").entries) == 1
    assert not har.looks_like_har(b'{"log":"data: x","stream":"stdout"}')
    assert not har.looks_like_har(b'{"status": "log"}')


# --- bodies beside the archive --------------------------------------------------------------------


def attached(name: str) -> dict[str, Any]:
    return entry(content={"mimeType": "text/event-stream", "_file": name})


def test_attached_bodies_are_read_beside_the_archive_and_nowhere_else(tmp_path: Path) -> None:
    folder = tmp_path / "saved"
    (folder / "bodies").mkdir(parents=True)
    for place in (folder / "a.sse", folder / "bodies" / "b.sse", tmp_path / "outside.sse"):
        place.write_bytes(GOOD)
    (folder / "link.sse").symlink_to(tmp_path / "outside.sse")
    (folder / "loop.sse").symlink_to(folder / "loop.sse")
    inside = ["a.sse", "bodies/b.sse"]
    outside = ["../outside.sse", str(tmp_path / "outside.sse"), "link.sse", "loop.sse", "bodies",
               "none.sse", "..\\outside.sse", "a\0b"]  # fmt: skip
    file = folder / "saved.har"
    file.write_bytes(archive(*map(attached, inside + outside)))
    found = saved_file.read_file(str(file)).entries
    bodies = [each.exchange.body for each in found if each.exchange is not None]
    assert bodies == [GOOD] * len(inside) + [b""] * len(outside)
    (folder / "a.sse").write_bytes(GOOD * 9)
    bounded = saved_file.read_file(str(file), limit=len(GOOD) * 2).entries[0]
    assert bounded.exchange is not None
    assert len(bounded.exchange.body) == len(GOOD) * 2 + 1


def test_an_archive_in_a_zip_has_its_bodies_there() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("run/har.har", archive(attached("b.sse"), attached("../c.sse")))
        zipped.writestr("run/b.sse", GOOD)
        zipped.writestr("c.sse", GOOD)
    found = saved_file.read(file.getvalue(), "f")
    assert found.notes == ["zip"]
    assert [each.exchange.body for each in found.entries if each.exchange] == [GOOD, b""]
    with zipfile.ZipFile(file, "a") as zipped:
        zipped.writestr("other.har", archive())
    with pytest.raises(UsageError, match="f: a zip archive with 2 HAR files"):
        saved_file.read(file.getvalue(), "f")


# --- any bytes ------------------------------------------------------------------------------------

ODD = [None, True, -1, 0, 10**30, 1e308, "", "x", "\ud800", [], {}, [None], {"a": 1}, "net::ERR_X"]


def mutated(value: Any, rng: random.Random) -> Any:
    """A value with one of its parts replaced or left out."""
    value = copy.deepcopy(value)
    places: list[tuple[Any, Any]] = []

    def walk(inner: Any) -> None:
        keys: Any = inner.keys() if isinstance(inner, dict) else range(len(inner))
        for key in keys:
            places.append((inner, key))
            if isinstance(inner[key], dict | list):
                walk(inner[key])

    walk(value)
    if not places:
        return value
    holder, key = rng.choice(places)
    if rng.random() < 0.2:
        del holder[key]
    else:
        holder[key] = rng.choice(ODD)
    return value


def test_no_archive_is_our_bug() -> None:
    rng = random.Random(10)
    good = {"log": {"entries": [entry(content=packed(GOOD)), entry(_error="net::ERR_FAILED")]}}
    for number in range(600):
        broken = mutated(mutated(good, rng), rng) if number % 2 else mutated(good, rng)
        raw = bytearray(json.dumps(broken).encode())
        if number % 5 == 0:
            raw[rng.randrange(len(raw))] = rng.randrange(256)
        try:
            found, said = saved_file.read(bytes(raw), "f").entries, ""
        except UsageError as error:
            found, said = [], str(error)
        assert "\n" not in said
        assert all(each.exchange or each.problem for each in found)
