"""What is seen of an exchange on the way: reads, redirects, times. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Read(NamedTuple):
    """What one socket read added to the body.

    `data`: after de-chunking and content decoding, never empty. `at_ns`: monotonic ns, arrival of
    the newest segment of that read. `last`: the message completed in this same read.
    """

    data: bytes
    at_ns: int
    last: bool


@dataclass(frozen=True, slots=True)
class Hop:
    """One redirect: `location` as sent (None if absent), whether it was followed, and why."""

    status: int
    location: str | None
    followed: bool
    why: str


@dataclass(slots=True)
class Timestamps:
    """When what happened, in monotonic ns; None if it did not.

    `start_ns` is the start of the exchange; after redirects the others are those of the last hop.
    `connected_ns` includes a proxy's tunnel. A reused connection has neither `connected_ns` nor
    `tls_ns`. `sent_ns`: the whole request was handed to the kernel. `first_byte_ns` (of anything
    that answers) and `head_ns` (the head was complete) carry the kernel's stamp; on loopback the
    first byte can be stamped before `sent_ns` was taken.
    """

    start_ns: int
    connected_ns: int | None = None
    tls_ns: int | None = None
    sent_ns: int | None = None
    first_byte_ns: int | None = None
    head_ns: int | None = None
