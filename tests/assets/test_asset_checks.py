"""The files behind URLs as the gate sees them: what it fetches, never fetches, and says of them."""

from __future__ import annotations

import gzip
import json
import random
import socket
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from command_run import CommandRun, run_here
from emulated import served
from other_files import other_files

from soundstage.assets.asset_checks import AssetChecks
from soundstage.conformance.violations import Verdict
from soundstage.contract import load_all
from soundstage.contract.asset_fields import duration_of
from soundstage.contract.roles import assets_of
from soundstage.emulator.files import mp3
from soundstage.emulator.files.cover import cover
from soundstage.emulator.files.songs import song
from soundstage.emulator.options import Options
from soundstage.exchange.client import Call, Exchange
from soundstage.exchange.requests import request_body
from soundstage.exchange.session import open_session

CONTRACTS = load_all()
V = next(c for c in CONTRACTS.values() if duration_of(c.endpoints["sync"].request))
DURATION = (duration_of(V.endpoints["sync"].request) or ("", {}))[0]
SYNC = V.endpoints["sync"]
EXAMPLE = next(each.payload for each in V.examples if each.of == "response")
AUDIO, ART = (
    next(name for name, field in assets_of(V, "sync").items() if field.kind == kind)
    for kind in ("audio", "image")
)
SONG = song("a song", "", 0, 2 * mp3.RATE).piece(0, 10**6)
COVER = cover("a", "b")


def answer(body: bytes, kind: str, status: str = "200 OK", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"Content-Type: {kind}"] if kind else []
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


@pytest.fixture
def examined(
    raw_server: Callable[..., Any], tmp_path: Path
) -> Callable[..., tuple[Exchange, AssetChecks, Any]]:
    """A synchronous answer of a server on loopback whose files are what is given; `urls` replaces
    URLs in the answer (a path is put on the server itself).
    """

    def examine(
        urls: dict[str, str], *files: bytes, seconds: int = 2, **session_options: Any
    ) -> tuple[Exchange, AssetChecks, Any]:
        ready: list[bytes] = []
        steps = [("call", lambda sock: sock.sendall(ready[0]))]
        server = raw_server(
            [("send", answer(b"{}", "application/json", "404 Not Found"))],
            steps,
            *([("send", file)] for file in files),
        )
        placed = {n: server.url(u) if u.startswith("/") else u for n, u in urls.items()}
        ready.append(answer(json.dumps({**EXAMPLE, **placed}).encode(), "application/json"))
        key = tmp_path / "key"
        key.write_text("sk-secret")
        session = open_session(server.url("").rstrip("/"), key_file=str(key), **session_options)
        body = {**request_body(V, SYNC, random.Random(1)), DURATION: seconds}
        exchange = session.client.exchange(Call(V, SYNC, body))
        assert {violation.code for violation in exchange.violations} <= {"asset.host"}
        checks = AssetChecks(session)
        exchange.in_assets = checks.examine(exchange)
        return exchange, checks, server

    return examine


def codes(exchange: Exchange) -> list[tuple[str, str]]:
    return [(violation.code, violation.path) for violation in exchange.violations]


GOOD = {AUDIO: "/song.mp3?Signature=abc", ART: "/art.webp"}


def ordered(audio: bytes, art: bytes) -> list[bytes]:
    """Answers in the order in which the example names the files."""
    names = [name for name in EXAMPLE if name in (AUDIO, ART)]
    return [{AUDIO: audio, ART: art}[name] for name in names]


def test_files_that_are_as_they_should_be_break_no_rule(examined: Callable[..., Any]) -> None:
    exchange, checks, server = examined(
        GOOD, *ordered(answer(SONG, "audio/mpeg"), answer(COVER, "image/webp"))
    )
    assert codes(exchange) == []
    assert exchange.verdict is Verdict.CONFORMS
    rules = [rule for rule in V.rules if "/sync/asset/" in rule.id]
    assert len(rules) == 11
    assert all(checks.exercised(rule) and checks.unknown(rule) is None for rule in rules)
    fetched = server.requests[2:]
    assert [request.method for request in fetched] == ["GET", "GET"]
    assert not any("authorization" in request.headers for request in fetched)
    assert not any(b"sk-secret" in request.raw for request in fetched)


PAGE = answer(b"<html>502</html>", "text/html")


@pytest.mark.parametrize(
    ("audio", "art", "expected"),
    [
        (answer(b"no", "text/plain", "404 Not Found"), COVER, ["asset.missing"]),
        (answer(b"", "audio/mpeg"), COVER, ["asset.broken"]),
        (PAGE, COVER, ["asset.media_type", "asset.broken"]),
        (answer(SONG, "binary/octet-stream"), COVER, ["asset.media_type"]),
        (answer(SONG, ""), COVER, ["asset.media_type"]),
        (answer(SONG, "audio/mpeg")[:-900], COVER, ["asset.broken"]),
        (answer(SONG, "audio/mpeg"), COVER[:400], ["asset.broken"]),
        (answer(SONG, "audio/mpeg"), SONG, ["asset.broken"]),
        (answer(b"x", "", "301 Moved", Location="/elsewhere"), COVER, ["asset.missing"]),
    ],
    ids=[
        "not there", "empty", "a page", "octets", "no type", "cut off", "half a cover",
        "a song for a cover", "a redirect to nothing",
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_a_violation_of_its_rule(
    audio: bytes, art: bytes, expected: list[str], examined: Callable[..., Any]
) -> None:
    files = ordered(audio, answer(art, "image/webp"))
    if b"/elsewhere" in audio:
        files.insert(files.index(audio) + 1, answer(b"gone", "text/plain", "410 Gone"))
    exchange, _, _ = examined(GOOD, *files)
    assert [code for code, _ in codes(exchange)] == expected
    assert exchange.verdict is (
        Verdict.CONFORMS if expected == ["asset.media_type"] else Verdict.VIOLATES
    )
    for violation in exchange.in_assets:
        assert violation.path in (f"/{AUDIO}", f"/{ART}")
        assert violation.rule in {rule.id for rule in V.rules}
        assert "Signature=abc" not in violation.message


def test_the_wrong_length_is_told_in_seconds(examined: Callable[..., Any]) -> None:
    files = ordered(answer(SONG, "audio/mpeg"), answer(COVER, "image/webp"))
    exchange, _, _ = examined(GOOD, *files, seconds=8)
    (found,) = exchange.in_assets
    assert (found.code, found.severity) == ("asset.length", "warning")
    assert "2.00 s" in found.message
    assert "asked were 8 s" in found.message


@pytest.mark.parametrize(
    ("asked", "seconds", "allowed"),
    [
        (30, 25.0, True), (30, 24.9, False), (30, 35.0, True), (30, 35.1, False), (2, 2.0, True),
        (180, 162.0, True), (180, 161.9, False), (180, 198.0, True), (180, 198.1, False),
    ],
)  # fmt: skip
def test_a_length_is_a_target_within_a_tenth_and_five_seconds_at_least(
    asked: int, seconds: float, allowed: bool
) -> None:
    length = V.protocol.song_length
    assert length is not None
    assert length.allows(asked, seconds) is allowed


DENIED = ["401 Unauthorized", "403 Forbidden"]


@pytest.mark.parametrize("status", DENIED)
def test_a_file_on_the_apis_own_host_that_needs_the_key_is_a_note(
    status: str, examined: Callable[..., Any]
) -> None:
    denied = answer(b'{"detail": "no"}', "application/json", status)
    files = ordered(denied, answer(COVER, "image/webp"))
    files.insert(files.index(denied) + 1, answer(SONG, "audio/mpeg"))
    exchange, checks, server = examined(GOOD, *files)
    assert codes(exchange) == [("asset.needs_key", f"/{AUDIO}")]
    assert exchange.in_assets[0].severity == "info"
    assert exchange.verdict is Verdict.CONFORMS
    for aspect in ("answer", "content", "key"):
        assert checks.exercised(V.rules[f"{V.api}/sync/asset/{aspect}/{AUDIO}"])
    keys = [request.headers.get("authorization") for request in server.requests[2:]]
    assert sorted(map(str, keys)) == ["Bearer sk-secret", "None", "None"]


@pytest.mark.parametrize("status", DENIED)
def test_a_file_that_is_refused_with_the_key_too_is_not_there(
    status: str, examined: Callable[..., Any]
) -> None:
    denied = answer(b'{"detail": "no"}', "application/json", status)
    files = ordered(denied, answer(COVER, "image/webp"))
    files.insert(files.index(denied) + 1, denied)
    exchange, _, _ = examined(GOOD, *files)
    assert codes(exchange) == [("asset.missing", f"/{AUDIO}")]
    assert "with the key, too" in exchange.in_assets[0].message


OUTAGES = [
    "408 Request Timeout", "429 Too Many Requests", "499 Client Closed", "500 Oh",
    "502 Bad Gateway", "503 Service Unavailable", "504 Gateway Timeout", "509 Bandwidth",
    "522 Timed Out", "530 Origin", "599 Proxy",
]  # fmt: skip


@pytest.mark.parametrize("status", OUTAGES)
def test_an_outage_of_the_storage_leaves_its_rules_open(
    status: str, examined: Callable[..., Any]
) -> None:
    files = ordered(answer(b"", "", status), answer(COVER, "image/webp"))
    exchange, checks, _ = examined(GOOD, *files)
    assert codes(exchange) == []
    rule = V.rules[f"{V.api}/sync/asset/content/{AUDIO}"]
    assert not checks.exercised(rule)
    unknown = checks.unknown(rule)
    assert unknown is not None
    assert unknown.startswith(f"http.{status[:3]}: a file was answered with {status[:3]}")
    assert checks.exercised(V.rules[f"{V.api}/sync/asset/content/{ART}"])


def test_a_file_that_is_too_large_or_too_slow_leaves_its_rules_open(
    examined: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("soundstage.assets.asset_checks.MOST_BYTES", 10_000)
    files = ordered(answer(SONG, "audio/mpeg"), answer(COVER, "image/webp"))
    exchange, checks, _ = examined(GOOD, *files)
    assert codes(exchange) == []
    unknown = checks.unknown(V.rules[f"{V.api}/sync/asset/content/{AUDIO}"])
    assert unknown is not None
    assert unknown.startswith("cap.asset: ")


CRASHES_VORBIS = (
    b"OggS\0\2" + bytes(8) + b"\1" + bytes(11) + b"\1\x1e"
    b"\1vorbis" + bytes(4) + b"\1\x80\xbb\0\0" + bytes(4) + b"\0\xfa\0\0" + bytes(4) + b"\xb8\1"
    b"OggS\0\0" + bytes(8) + b"\1\0\0\0\1" + bytes(7) + b"\1\x14"
    b"\3vorbis\0\0\0\0\0\0\0\x20\1\0\0\0a"
).ljust(128, b"\0")  # fmt: skip
OTHERS = {
    "Ogg Vorbis": (AUDIO, CRASHES_VORBIS),
    "FLAC": (AUDIO, b"fLaC\0\0\0\x22" + bytes(90)),
    "AAC": (AUDIO, (b"\xff\xf1\x50\x80\x04\x1f\xfc" + bytes(25)) * 40),
    "MP4 or M4A": (AUDIO, b"\0\0\0\x18ftypM4A " + bytes(90)),
    "AVIF": (ART, b"\0\0\0\x18ftypavif" + bytes(90)),
    "GIF": (ART, b"GIF89a\xff\xff\xff\xff" + bytes(90)),
    "SVG": (ART, b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_file_of_another_format_is_noted_and_nothing_more(
    name: str, examined: Callable[..., Any]
) -> None:
    field, data = OTHERS[name]
    song = answer(data if field == AUDIO else SONG, "audio/ogg")
    art = answer(data if field == ART else COVER, "image/svg+xml")
    exchange, checks, _ = examined(GOOD, *ordered(song, art))
    assert codes(exchange) == [("asset.not_decoded", f"/{field}")]
    (note,) = exchange.in_assets
    assert note.severity == "info"
    assert note.message.endswith(f": it is {name}, which is not decoded here")
    assert exchange.verdict is Verdict.CONFORMS
    rule = V.rules[f"{V.api}/sync/asset/content/{field}"]
    assert note.rule == rule.id
    assert not checks.exercised(rule)
    assert checks.unknown(rule) == f"not decoded: it is {name}, which is not decoded here"
    assert checks.exercised(V.rules[f"{V.api}/sync/asset/media/{field}"])


def test_a_cover_that_would_fill_the_memory_leaves_its_rule_open(
    examined: Callable[..., Any],
) -> None:
    bomb = bytes.fromhex("524946461a000000574542505650384c0e0000002f3e9fcf07071011fd0f4444ff03")
    files = ordered(answer(SONG, "audio/mpeg"), answer(bomb, "image/webp"))
    exchange, checks, _ = examined(GOOD, *files)
    assert codes(exchange) == []
    unknown = checks.unknown(V.rules[f"{V.api}/sync/asset/content/{ART}"])
    assert unknown == "cap.asset: it is 7999 by 7999 pixels large"


@pytest.mark.parametrize(
    ("grown", "reason"), [(60_000, None), (80_000_000, "cap.asset: the body is larger than")]
)
def test_a_packed_file_is_unpacked_within_bounds(
    grown: int, reason: str | None, examined: Callable[..., Any]
) -> None:
    packed = gzip.compress(SONG + bytes(grown), 9)
    song = answer(packed, "audio/mpeg", Content_Encoding="gzip")
    exchange, checks, _ = examined(GOOD, *ordered(song, answer(COVER, "image/webp")))
    assert codes(exchange) == []
    unknown = checks.unknown(V.rules[f"{V.api}/sync/asset/content/{AUDIO}"])
    assert unknown is None if reason is None else unknown.startswith(reason)


@contextmanager
def listening() -> Iterator[socket.socket]:
    """A socket on another port of this machine; nobody should ever knock there."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener
        with pytest.raises(BlockingIOError):
            listener.accept()


FOREIGN = [
    "http://127.0.0.1:{port}/song.mp3",
    "http://localhost:{port}/song.mp3",
    "http://[::ffff:127.0.0.1]:{port}/song.mp3",
    "http://2130706433:{port}/song.mp3",
    "http://x@127.0.0.1:{port}/song.mp3",
    "http://169.254.169.254/latest/meta-data/",
    "http://10.11.12.13/song.mp3",
    "http://storage.internal/song.mp3",
]


@pytest.mark.parametrize("url", FOREIGN)
@pytest.mark.parametrize("live", [False, True], ids=["local", "live"])
def test_a_url_that_leads_inside_is_a_violation_and_is_not_fetched(
    url: str, live: bool, examined: Callable[..., Any]
) -> None:
    with listening() as listener:
        port = listener.getsockname()[1]
        exchange, checks, server = examined(
            {AUDIO: url.format(port=port), ART: "/art.webp"},
            answer(COVER, "image/webp"),
            treat_as_live=live,
            budget=5,
        )
        assert ("asset.address", f"/{AUDIO}") in codes(exchange)
        (found,) = exchange.in_assets
        assert (found.severity, found.rule) == ("error", f"{V.api}/sync/asset/address/{AUDIO}")
        assert "was not fetched" in found.message
        assert len(server.requests) == 3
        assert not checks.exercised(V.rules[f"{V.api}/sync/asset/answer/{AUDIO}"])


def test_a_redirect_that_leads_inside_is_a_violation_and_is_not_followed(
    examined: Callable[..., Any],
) -> None:
    with listening() as listener:
        port = listener.getsockname()[1]
        for status in ("302 Found", "307 Temporary Redirect"):
            away = answer(b"", "", status, Location=f"http://127.0.0.1:{port}/song.mp3")
            exchange, _, _ = examined(GOOD, *ordered(away, answer(COVER, "image/webp")))
            assert codes(exchange) == [("asset.address", f"/{AUDIO}")]
            assert "redirects" in exchange.in_assets[0].message


def test_a_redirect_on_the_same_server_is_followed_and_a_loop_ends(
    examined: Callable[..., Any],
) -> None:
    hop = answer(b"", "", "302 Found", Location="/there.mp3")
    files = ordered(hop, answer(COVER, "image/webp"))
    files.insert(files.index(hop) + 1, answer(SONG, "audio/mpeg"))
    exchange, _, _ = examined(GOOD, *files)
    assert codes(exchange) == []
    loop = [hop] * 5
    art = [answer(COVER, "image/webp")]
    files = loop + art if ordered(hop, art[0])[0] is hop else art + loop
    exchange, _, _ = examined(GOOD, *files)
    assert codes(exchange) == [("asset.missing", f"/{AUDIO}")]
    assert "redirects more than 4 times" in exchange.in_assets[0].message


@pytest.mark.parametrize(
    "url", ["https://storage.soundverse.ai/a.mp3", "https://cdn.example/a.mp3"]
)
def test_the_live_hosts_are_left_alone_while_the_target_is_another(
    url: str, examined: Callable[..., Any]
) -> None:
    exchange, checks, server = examined({AUDIO: url, ART: "/art.webp"}, answer(COVER, "image/webp"))
    assert codes(exchange) == []
    assert len(server.requests) == 3
    unknown = checks.unknown(V.rules[f"{V.api}/sync/asset/content/{AUDIO}"])
    assert unknown is not None
    assert unknown.startswith("not fetched: its host is")


def check(*arguments: str) -> CommandRun:
    return run_here("check", *arguments, "--explore", "0")


@pytest.mark.proof
def test_an_api_that_names_another_port_is_red_in_the_whole_bundle(tmp_path: Path) -> None:
    """The emulator puts the Host that it is asked by into its URLs; here it is a wrong one."""
    bundle = tmp_path / "run"
    contract = next(iter(reversed(CONTRACTS.values())))
    with listening() as listener, served(Options(profile="instant", seed=3)) as url:
        other = f"127.0.0.1:{listener.getsockname()[1]}"
        done = check(
            *("--target", url, "--api", contract.api, "--header", f"Host: {other}"),
            *("--out", str(bundle)),
        )
    assert done.returncode == 1, done.stdout + done.stderr
    field = next(iter(assets_of(contract, "stream")))
    rule = f"{contract.api}/stream/asset/address/{field}"
    root = ET.parse(bundle / "junit.xml").getroot()
    failed = {c.attrib["name"] for c in root.iter("testcase") if c.find("failure") is not None}
    assert rule in failed
    assert all("/asset/address/" in name for name in failed - {"run/verdict"}), failed
    assert rule in (bundle / "report.html").read_text()
    rows = [json.loads(line) for line in (bundle / "violations.ndjson").read_text().splitlines()]
    found = next(row for row in rows if row["rule"] == rule)
    assert (found["code"], found["severity"]) == ("asset.address", "error")
    assert found["chunk"] is not None
    assert found["path"] == f"/{field}"


@pytest.mark.parametrize(
    ("files", "code", "expected"),
    [
        ({".mp3": CRASHES_VORBIS, ".webp": b"GIF89a" + bytes(90)}, 0, "not_exercised"),
        ({".mp3": b"<html>502</html>", ".webp": COVER}, 1, "failed"),
    ],
    ids=["other formats", "a page"],
)
@pytest.mark.proof
def test_a_check_ends_in_order_whatever_the_files_are(
    files: dict[str, bytes], code: int, expected: str, tmp_path: Path
) -> None:
    bundle = tmp_path / "run"
    with (
        served(Options(profile="instant", seed=3)) as emulator,
        other_files(emulator, files) as url,
    ):
        done = check("--target", url, "--api", V.api, "--out", str(bundle))
    assert done.returncode == code, done.stdout + done.stderr
    rows = [json.loads(line) for line in (bundle / "rules.ndjson").read_text().splitlines()]
    content = {row["rule"]: row for row in rows if f"/asset/content/{AUDIO}" in row["rule"]}
    assert {row["outcome"] for row in content.values()} == {expected}
    if code == 0:
        assert {row["reason"] for row in content.values()} == {
            "not decoded: it is Ogg Vorbis, which is not decoded here"
        }
        assert "not decoded here" in (bundle / "junit.xml").read_text()


@pytest.mark.proof
def test_the_emulators_own_files_pass_the_whole_check(tmp_path: Path) -> None:
    bundle = tmp_path / "run"
    emulator = "--profile instant --seed 3"
    done = check("--target", "emulator", "--emulator-args", emulator, "--out", str(bundle))
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [json.loads(line) for line in (bundle / "rules.ndjson").read_text().splitlines()]
    outcomes = {row["rule"]: row["outcome"] for row in rows if "/asset/" in row["rule"]}
    asked = {rule.id for each in CONTRACTS.values() for rule in each.rules if "/asset/" in rule.id}
    assert outcomes == dict.fromkeys(asked, "passed")
    assert len(asked) > 30
