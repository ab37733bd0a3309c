"""A plain reader on gevent's sockets: bytes are taken as they come, then the clock is read."""

from gevent import monkey

monkey.patch_all()

import json  # noqa: E402  # after the patch
import re  # noqa: E402
import socket  # noqa: E402
import ssl  # noqa: E402
import time  # noqa: E402
from urllib.parse import urlsplit  # noqa: E402

import gevent  # noqa: E402
import httptools  # noqa: E402

from benchmarks.figures import Meter, asked, ramp_s  # noqa: E402

_STAMP = re.compile(rb": (\d+)\ndata: (.*)\n\n")
_REQUEST = b"POST / HTTP/1.1\r\nHost: bench\r\nContent-Length: 0\r\n\r\n"


class Body:
    """What the parser calls."""

    def __init__(self) -> None:
        self.buffer = b""
        self.over = False

    def on_body(self, body: bytes) -> None:
        self.buffer += body

    def on_message_complete(self) -> None:
        self.over = True


def main() -> None:
    options = asked()
    url = urlsplit(options.url)
    tls = ssl.create_default_context(cafile=options.ca) if options.ca else None
    meter, ramp = Meter(options.streams), ramp_s(options.streams)

    def one(wait: float) -> None:
        gevent.sleep(wait)
        sock = socket.create_connection((url.hostname, url.port))
        if tls is not None:
            sock = tls.wrap_socket(sock, server_hostname=url.hostname)
        sock.sendall(_REQUEST)
        body = Body()
        parser = httptools.HttpResponseParser(body)
        while not body.over:
            data = sock.recv(16384)
            now = time.monotonic_ns()
            if not data:
                break
            parser.feed_data(data)
            while (end := body.buffer.find(b"\n\n")) >= 0:
                if found := _STAMP.match(body.buffer[: end + 2]):
                    json.loads(found[2])
                    meter.seen(int(found[1]), now)
                body.buffer = body.buffer[end + 2 :]
        meter.ended()
        sock.close()

    jobs = [gevent.spawn(one, ramp * n / options.streams) for n in range(options.streams)]
    gevent.joinall([gevent.spawn(meter.watch, gevent.sleep), *jobs], raise_error=True)
    meter.report()


main()
