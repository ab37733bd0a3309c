"""What people save, read as what it is: every form of one stream gives the stream's bytes."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import random
import tarfile
import zipfile
import zlib
from pathlib import Path

import pytest
from tests.support.saved_files import GOOD, HEAD, chunked, chunks, entry, har

from soundstage.errors import UsageError
from soundstage.saved import saved_file
from soundstage.saved.transcript import Transcript


def packed(data: bytes) -> bytes:
    """gzip without the time of day, so that every worker collects the same tests."""
    return gzip.compress(data, mtime=0)


TEXT = GOOD.decode()
LINES = GOOD.split(b"\n")[:-1]
STAMP = b"2026-11-26T10:00:00.123456789Z "


def lined(prefix: bytes) -> bytes:
    """The stream with a prefix before each line, in which %d is the line's number."""
    numbered = b"%d" in prefix
    return b"".join(
        (prefix % number if numbered else prefix) + line + b"\n"
        for number, line in enumerate(LINES, 10)
    )


def deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def headed(*fields: bytes, body: bytes = GOOD, status: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return b"\r\n".join([status, b"content-type: text/event-stream", *fields, b"", b""]) + body


#: name -> (bytes of the file, what is said to be in it)
FORMS: dict[str, tuple[bytes, list[str]]] = {
    "as curl -N saves it": (GOOD, []),
    "UTF-16 LE, marked": (TEXT.encode("utf-16"), ["UTF-16"]),
    "UTF-16 BE, marked": (b"\xfe\xff" + TEXT.encode("utf-16-be"), ["UTF-16"]),
    "UTF-16 LE": (TEXT.encode("utf-16-le"), ["UTF-16"]),
    "UTF-16 BE": (TEXT.encode("utf-16-be"), ["UTF-16"]),
    "UTF-32, marked": (TEXT.encode("utf-32"), ["UTF-32"]),
    "UTF-32 BE": (TEXT.encode("utf-32-be"), ["UTF-32"]),
    "gzip": (packed(GOOD), ["gzip"]),
    "gzip of two members": (packed(GOOD[:99]) + packed(GOOD[99:]), ["gzip"]),
    "gzip with padding": (packed(GOOD) + b"\0" * 512, ["gzip"]),
    "gzip of UTF-16": (packed(TEXT.encode("utf-16")), ["gzip", "UTF-16"]),
    "gzip of gzip": (packed(packed(GOOD)), ["gzip", "gzip"]),
    "zlib": (zlib.compress(GOOD), ["zlib"]),
    "bzip2": (bz2.compress(GOOD), ["bzip2"]),
    "xz": (lzma.compress(GOOD), ["xz"]),
    "chunks without a head": (chunked(GOOD), ["the framing of chunks"]),
    "docker logs -t": (lined(STAMP), ["a timestamp before each line"]),
    "timestamps, blanks lost": (
        b"\n".join(line.rstrip() for line in lined(STAMP).split(b"\n")),
        ["a timestamp before each line"],
    ),
    "kubelet's log": (
        lined(b"2026-11-26T10:00:00.123456789+00:00 stdout F "),
        ["a timestamp before each line"],
    ),
    "syslog": (lined(b"Nov 26 10:00:%d host app[7]: "), ["a prefix of syslog before each line"]),
    "times": (lined(b"[10:00:%d] "), ["a time before each line"]),
    "seconds": (lined(b"17641512%d.123 "), ["a timestamp before each line"]),
    "Compose": (lined(b"api-1  | "), ["“api-1  |” before each line"]),
    "grep -n": (lined(b"%d:"), ["a line number before each line"]),
    "cat -n": (lined(b"    %d\t"), ["a line number before each line"]),
    "Python's logging": (
        lined(b"2026-11-26 10:00:%d,123 INFO client: "),
        ["a timestamp and “INFO client:” before each line"],
    ),
    "a quoted mail": (lined(b"> "), ["“>” before each line"]),
    "a pasted block": (lined(b"    "), ["blanks before each line"]),
}  # fmt: skip


@pytest.mark.parametrize(("raw", "notes"), FORMS.values(), ids=FORMS.keys())
def test_every_form_of_a_stream_gives_its_bytes_and_says_what_was_undone(
    raw: bytes, notes: list[str]
) -> None:
    found = saved_file.read(raw, "f")
    assert (found.form, found.has_head, found.notes) == ("response", False, notes)
    assert found.body == GOOD
    assert found.exchange is not None
    assert found.exchange.doubt is None


@pytest.mark.parametrize("codec", ["utf-16", "utf-32", "utf-8-sig"])
def test_transcripts_and_archives_are_read_in_any_encoding_and_compressed(codec: str) -> None:
    transcript = Transcript({"api": "v6"}, [(0.5, GOOD, False)], {"kind": "closed"}).to_bytes()
    for raw in (transcript.decode().encode(codec), packed(transcript)):
        found = saved_file.read(raw, "f")
        assert (found.form, found.body) == ("transcript", GOOD)
    for raw in (har(entry()).decode().encode(codec), packed(har(entry()))):
        found = saved_file.read(raw, "f")
        assert found.form == "archive"
        assert found.entries[0].exchange is not None
        assert found.entries[0].exchange.body == GOOD


def test_a_mark_before_events_stays_and_one_before_json_goes() -> None:
    assert saved_file.read(b"\xef\xbb\xbf" + GOOD, "f").body == b"\xef\xbb\xbf" + GOOD
    assert saved_file.read(b'\xef\xbb\xbf{"a": 1}', "f").body == b'{"a": 1}'


# --- heads ----------------------------------------------------------------------------------------

#: name -> (bytes of the file, how many heads are said to be there)
HEADED: dict[str, tuple[bytes, int]] = {
    "curl -i": (headed(), 1),
    "with LF": (headed().replace(b"\r\n", b"\n"), 1),
    "HTTP/1.0": (headed(status=b"HTTP/1.0 200 OK"), 1),
    "HTTP/2": (headed(status=b"HTTP/2 200 "), 1),
    "HTTP/2.0": (headed(status=b"HTTP/2.0 200"), 1),
    "HTTP/3": (headed(status=b"HTTP/3 200"), 1),
    "a folded field": (headed(b"x-a: 1\r\n  2"), 1),
    "marked": (b"\xef\xbb\xbf" + headed(), 1),
    "100 Continue": (b"HTTP/1.1 100 Continue\r\n\r\n" + headed(), 2),
    "early hints": (b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + headed(), 2),
    "a redirect that was followed": (b"HTTP/2 307\r\nlocation: /b\r\n\r\n" + headed(), 2),
    "a proxy": (b"HTTP/1.1 200 Connection established\r\n\r\n" + headed(), 2),
    "a proxy that asks first": (
        b"HTTP/1.1 407 Auth\r\n\r\nHTTP/1.1 200 Connection established\r\n\r\n" + headed(),
        3,
    ),
    "gzip": (headed(b"content-encoding: gzip", body=packed(GOOD)), 1),
    "deflate as zlib": (headed(b"content-encoding: deflate", body=zlib.compress(GOOD)), 1),
    "raw deflate": (headed(b"content-encoding: deflate", body=deflated(GOOD)), 1),
    "a coding that curl undid": (headed(b"content-encoding: gzip"), 1),
    "chunks": (headed(b"transfer-encoding: chunked", body=chunked(GOOD)), 1),
    "chunks that curl undid": (headed(b"transfer-encoding: chunked"), 1),
    "chunks of gzip": (
        headed(
            b"transfer-encoding: chunked",
            b"content-encoding: gzip",
            body=chunked(packed(GOOD)),
        ),
        1,
    ),
    "timestamps": (
        b"\n".join(STAMP + line.rstrip(b"\r") for line in headed().split(b"\n")[:-1]) + b"\n",
        1,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("raw", "heads"), HEADED.values(), ids=HEADED.keys())
def test_the_head_is_taken_off_and_the_last_one_counts(raw: bytes, heads: int) -> None:
    found = saved_file.read(raw, "f")
    assert found.has_head
    assert found.body == GOOD
    assert found.exchange is not None
    assert found.exchange.doubt is None
    response = found.exchange.header["response"]
    assert response["status"] == 200
    assert ["content-type", "text/event-stream"] in response["headers"]
    assert (f"{heads} response heads" if heads > 1 else "a response head") in found.notes


@pytest.mark.parametrize(
    "raw",
    [
        b"*   Trying 10.0.0.1:443...\n> POST /v6/generate/song HTTP/1.1\n> Host: api.example\n> \n"
        b"} [20 bytes data]\n< HTTP/1.1 200 OK\n< content-type: text/event-stream\n< \n"
        b"{ [99 bytes data]\n" + GOOD + b"* Connection #0 to host api.example left intact\n",
        b"POST /v6/generate/song HTTP/1.1\r\nHost: api.example\r\n\r\n"
        b'{"prompt": "x"}\n\n\n' + HEAD + GOOD,
    ],
    ids=["curl -v", "http -v"],
)  # fmt: skip
def test_a_request_that_was_printed_tells_what_was_asked(raw: bytes) -> None:
    found = saved_file.read(raw, "f")
    assert found.body == GOOD
    assert found.exchange is not None
    url = "http://api.example/v6/generate/song"
    assert found.exchange.header["request"] == {"method": "POST", "url": url}


def test_words_of_curl_that_follow_a_json_body_on_its_line_go() -> None:
    raw = b'< HTTP/2 200\n< \n{"a": 1}* Connection #0 to host api.example left intact\n'
    assert saved_file.read(raw, "f").body == b'{"a": 1}'


@pytest.mark.parametrize(
    ("raw", "doubt"),
    [
        (packed(GOOD)[:-30], "file.truncated"),
        (bz2.compress(GOOD)[:-30], "file.truncated"),
        (headed(b"content-encoding: gzip", body=packed(GOOD)[:-9]), "file.truncated"),
        (headed(b"transfer-encoding: chunked", body=chunked(GOOD)[:900]), "file.truncated"),
        (headed(b"content-length: 99999"), "file.shorter_than_announced"),
        (headed(b"content-length: %d" % len(GOOD)).replace(b"\r\n", b"\n"), None),
        (headed(b"content-length: %d" % (len(GOOD) + GOOD.count(b"\n"))), None),
        (headed(body=b""), "file.no_body"),
        (headed(b"content-length: 0", body=b""), None),
    ],
)
def test_a_body_that_is_not_whole_is_doubted_not_blamed_on_the_api(
    raw: bytes, doubt: str | None
) -> None:
    exchange = saved_file.read(raw, "f").exchange
    assert exchange is not None
    assert exchange.doubt == doubt


def test_what_a_file_unpacks_to_is_bounded() -> None:
    bomb = packed(b"data: " + bytes(3_000_000))
    assert len(saved_file.read(bomb, "f", limit=1000).body) == 1001
    with pytest.raises(UsageError, match="f: a HAR file of more than 0 MiB"):
        saved_file.read(packed(har(entry())), "f", limit=500)


# --- what holds no response -----------------------------------------------------------------------


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("stream.sse", GOOD)
    return file.getvalue()


def tarred() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        info = tarfile.TarInfo("stream.sse")
        info.size = len(GOOD)
        archive.addfile(info, io.BytesIO(GOOD))
    return file.getvalue()


DOCKER = "".join(
    json.dumps({"log": f"{line}\n", "stream": "stdout", "time": "2026-11-26T10:00:00Z"}) + "\n"
    for line in TEXT.split("\n")
).encode()
METER = b"  % Total    % Received % Xferd  Average Speed   Time\n\r  0     0    0     0"


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (zipped(), "a zip archive: unpack it"),
        (tarred(), "a tar archive: unpack it"),
        (b"PK\x03\x04 broken", "a broken zip archive"),
        (b"%PDF-1.7", "a PDF document"),
        (b"\x89PNG\r\n\x1a\n", "an image"),
        (b"ID3\x04", "audio"),
        (b"\xd4\xc3\xb2\xa1" + bytes(20), "a packet capture"),
        (b"2043:9:websocket;0:~8:response;", "a dump of mitmproxy's flows"),
        (b"\x28\xb5\x2f\xfd....", "compressed with zstd, which is not read here: `zstd -d`"),
        (packed(GOOD)[:40] + b"\xff" * 40, "corrupt gzip data"),
        (packed(GOOD) + b"and more", "corrupt gzip data (other bytes follow its end)"),
        (headed(b"content-encoding: br", body=random.Random(1).randbytes(99)), "(br)"),
        (headed() + headed(), "more than one answer in one file"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "nothing but the head of a 100"),
        (METER + GOOD, "curl's progress meter is in it"),
        (headed(body=METER + GOOD), "curl's progress meter is in it"),
        (b"curl: (6) Could not resolve host: api.example\n", "curl's own messages"),
        (GOOD[:400] + b"\ncurl: (18) transfer closed\n", "curl's own messages"),
        (b"== Info: Trying\n=> Send header, 9 bytes\n", "curl's trace"),
        ("\n".join(map(repr, chunks())).encode(), "Python dicts as `print` writes them"),
        ("\n".join(map(repr, LINES)).encode(), "Python bytes as `print` writes them"),
        (DOCKER, "in the form of Docker's json-file"),
        (b"interactions:\n- request:\n", "a cassette of recorded interactions"),
    ],
)  # fmt: skip
def test_what_can_be_no_response_is_named_with_what_to_do(raw: bytes, says: str) -> None:
    with pytest.raises(UsageError) as refused:
        saved_file.read(raw, "f")
    assert str(refused.value).startswith("f: ")
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "raw",
    [
        GOOD.replace(b"data: ", b"data: data: ", 1),
        b"{'a': 1}".join([b"data: ", b"\n\n"]),
        b": a comment\n\n" + GOOD,
        b"\n".join((STAMP if number % 2 else b"") + line for number, line in enumerate(LINES)),
        b"Internal Server Error\n",
        b"<html></html>",
        b"x^y",
        b"17\n",
        b"",
    ],
)
def test_what_may_be_what_the_api_sent_is_left_as_it_is(raw: bytes) -> None:
    found = saved_file.read(raw, "f")
    assert (found.body, found.notes) == (raw, [])


def test_a_file_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.sse").write_bytes(GOOD)
    assert saved_file.read_file(str(tmp_path / "a.sse")).body == GOOD
    for name, says in (
        ("", "a folder; give the files in it"),
        ("*.sse.gz", "no file is called so; the pattern matched nothing"),
        ("none", "No such file or directory"),
        ("a\0b", "embedded null byte"),
    ):
        with pytest.raises(UsageError, match=says):
            saved_file.read_file(str(tmp_path / name))


def test_no_bytes_are_more_than_a_wrong_usage() -> None:
    """Good files of every form, with bytes changed, cut out and put in at random."""
    rng = random.Random(10)
    forms = [raw for raw, _ in FORMS.values()] + [raw for raw, _ in HEADED.values()]
    for _ in range(400):
        raw = bytearray(rng.choice(forms))
        for _ in range(rng.randrange(1, 6)):
            at = rng.randrange(len(raw))
            raw[at : at + rng.choice((0, 1, 40))] = rng.randbytes(rng.choice((0, 1, 3)))
        said = ""
        try:
            saved_file.read(bytes(raw), "f")
        except UsageError as error:
            said = str(error)
        assert "\n" not in said
