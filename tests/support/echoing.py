"""A malicious API on a real socket: it answers well, but for one place, where it repeats what it
was sent: the key, the prompt, the user's id.
"""

from __future__ import annotations

import json
import random
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

from soundstage.contract import Contract, load_all
from soundstage.contract.paths import endpoint_at
from soundstage.generation.walk import payloads, plan, random_story

#: What is to be repeated -> the answer. The last is the chunks of a good stream.
Place = Callable[[str, list[dict]], bytes]
_OK = b"HTTP/1.1 200 OK\r\n"
_STREAM = b"Content-Type: text/event-stream\r\n"
_JSON = b"Content-Type: application/json\r\n"


def answer(head: bytes, body: bytes) -> bytes:
    return head + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body


def events(*chunks: object) -> bytes:
    return b"".join(b"data: %s\n\n" % json.dumps(each).encode() for each in chunks)


def _head(field: str) -> Place:
    return lambda said, good: answer(
        _OK + _STREAM + field.replace("X", said).encode() + b"\r\n", events(*good)
    )


def _stream(change: Callable[[str, list[dict]], list[object]]) -> Place:
    return lambda said, good: answer(_OK + _STREAM, events(*change(said, good)))


def _raw(text: str) -> Place:
    return lambda said, good: answer(
        _OK + _STREAM, events(good[0]) + text.replace("X", said).encode() + events(*good[1:])
    )


def _status(line: str, body: str, media: str = "application/json") -> Place:
    def place(said: str, _: list[dict]) -> bytes:
        head = f"HTTP/1.1 {line}\r\nContent-Type: {media}\r\n".replace("X-", "\0")
        return answer(
            head.replace("X", said).replace("\0", "X-").encode(),
            body.replace("X", said).encode(),
        )

    return place


def _chunked(size: str, trailer: str) -> Place:
    def place(said: str, good: list[dict]) -> bytes:
        body = events(*good)
        head = _OK + _STREAM + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        first = size.replace("X", said).encode() or b"%x" % len(body)
        return (
            head
            + first
            + b"\r\n"
            + body
            + b"\r\n0\r\n"
            + trailer.replace("X", said).encode()
            + b"\r\n"
        )

    return place


def _with(**changes: str) -> Place:
    def change(said: str, good: list[dict]) -> list[object]:
        said_in = {name: text.replace("X", said) for name, text in changes.items()}
        return [good[0], {**good[1], **said_in}, *good[2:]]

    return _stream(change)


#: X stands for what is repeated.
PLACES: dict[str, Place] = {
    "error chunk": _stream(
        lambda said, good: [*good[:2], {"error": f"Incorrect API key provided: {said}"}]
    ),
    "error chunk, far back": _stream(lambda said, good: [*good[:2], {"error": "no! " * 45 + said}]),
    "name of a member": _stream(lambda said, good: [{**good[0], said: {said: 1}}, *good[1:]]),
    "stage": _with(stage="X"),
    "id": _with(message_id="X", messageId="X", id="X", userId="X", task_id="X"),
    "mistyped field": _with(index="X", chunkIndex="X", progress="X", version="X"),
    "URL": _with(
        audio_url="https://X.example/X/a.mp3?X-Sig=X#X", stream_url="https://X:X@h.example/"
    ),
    "URL that is none": _with(audio_url="s3://X/?sig=X", stream_url="/files/X.mp3?sig=X"),
    "undocumented text": _with(debug="you sent X, didn't you"),
    "status of a chunk": _with(status="X", message="X"),
    "no object": _stream(lambda said, good: [good[0], said, [said], *good[1:]]),
    "nothing but text": lambda said, _: answer(_OK + _STREAM, said.encode()),
    "broken JSON": _raw('data: {"a": "X\n\n'),
    "no JSON": _raw("data: X\n\n"),
    "broken UTF-8": lambda said, good: answer(
        _OK + _STREAM, b'data: {"a": "\xff ' + said.encode() + b'"}\n\n' + events(*good)
    ),
    "key twice": _raw('data: {"X": 1, "X": 2}\n\n'),
    "name of an event": _raw("event: X\ndata: {}\n\n"),
    "id of an event": _raw("id: X\ndata: {}\n\n"),
    "comment": _raw(": X\n\n"),
    "retry": _raw("retry: X\n\n"),
    "unknown field of an event": _raw("X: X\ndata: {}\n\n"),
    "cut event": lambda said, good: answer(
        _OK + _STREAM, events(*good[:2]) + b"data: " + said.encode()
    ),
    "reason phrase": lambda said, good: answer(
        b"HTTP/1.1 200 you sent %s\r\n" % said.encode() + _STREAM, events(*good)
    ),
    "header": _head("X-Echo: X"),
    "name of a header": _head("X: 1"),
    "link": _head('Link: <https://h.example/?sig=X>; rel="X"'),
    "cookie": _head("Set-Cookie: a=X"),
    "trailing header": _chunked("", "X-Echo: X\r\n"),
    "broken trailer": _chunked("", "no trailer X\r\n"),
    "size of a chunk": _chunked("X", ""),
    "media type": lambda said, good: answer(
        _OK + b"Content-Type: text/%s\r\n" % said.encode(), events(*good)
    ),
    "parameter of the media type": lambda said, good: answer(
        _OK + b"Content-Type: text/event-stream; charset=%s\r\n" % said.encode(), events(*good)
    ),
    "content coding": _head("Content-Encoding: X"),
    "transfer coding": _head("Transfer-Encoding: X"),
    "Keep-Alive": _head("Keep-Alive: timeout=5, X=X"),
    "no HTTP": lambda said, _: f"HTTP/9.9 {said}\r\n\r\n".encode(),
    "redirect": _status("307 X\r\nLocation: http://127.0.0.1:9/X?sig=X#X", ""),
    "redirect that is none": _status("307 X\r\nLocation: http://[X", ""),
    "error": _status("401 X", '{"success": false, "message": "Incorrect API key provided: X"}'),
    "error of a gateway": _status("502 X", "<h1>X</h1>", "text/html"),
    "error nobody knows": _status("418 X", "X", "text/plain"),
    "one document": _status("200 OK", '{"message": "X", "X": ["X"]}'),
}


class Echoing:
    """The server; `forms` are what is repeated, in turn: request N gets form N of place N."""

    def __init__(self, places: list[Place], forms: Callable[[str, dict], list[str]]) -> None:
        self.places, self.forms = places, forms
        self.requests = count()
        self.contracts: list[Contract] = list(load_all().values())
        self.bodies: list[bytes] = []
        self.url = ""

    def answer_to(self, method: str, path: str, headers: dict[str, str], body: bytes) -> bytes:
        found = endpoint_at(self.contracts, method, path)
        if found is None or found[1].request is None:
            return answer(b"HTTP/1.1 404 Not Found\r\n", b"")
        self.bodies.append(body)
        number = next(self.requests)
        try:
            asked = json.loads(body)
        except ValueError:
            asked = {}
        key = headers.get("authorization", "Bearer no-key-was-sent").removeprefix("Bearer ")
        said = self.forms(key, asked if isinstance(asked, dict) else {})
        rng = random.Random(number)
        good = payloads(found[0], plan(found[0], rng), random_story(rng), rng)
        return self.places[number % len(self.places)](
            said[number // len(self.places) % len(said)], good
        )


@contextmanager
def echoing(places: list[Place], forms: Callable[[str, dict], list[str]]) -> Iterator[Echoing]:
    """Such a server on a free port of this machine."""
    api = Echoing(places, forms)

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            method, path, _ = self.rfile.readline().decode("latin-1").split(" ", 2)
            headers = {}
            while (line := self.rfile.readline()).strip():
                name, _, value = line.decode("latin-1").partition(":")
                headers[name.lower()] = value.strip()
            body = self.rfile.read(int(headers.get("content-length", 0)))
            self.wfile.write(api.answer_to(method, path, headers, body))

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = daemon_threads = True
        request_queue_size = 256

        def handle_error(self, *_: object) -> None:
            pass  # whoever hung up early

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        api.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield api
        finally:
            server.shutdown()
            thread.join()
