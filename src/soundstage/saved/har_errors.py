"""What archives write where an answer did not come whole, and whose doing that was. A table.

Chromium's names are those of net/base/net_error_list.h, Firefox's those of its NS_ERROR codes.
"""

from __future__ import annotations

from typing import Any, Final

from soundstage.output.cutting import head
from soundstage.wire.end import EndKind

#: The server, or its connection: the answer broke a rule of HTTP.
_SERVER: Final = {
    "ERR_CONNECTION_RESET": EndKind.RESET,
    "ERR_CONNECTION_CLOSED": EndKind.TRUNCATED,
    "ERR_CONTENT_LENGTH_MISMATCH": EndKind.TRUNCATED,
    "ERR_INCOMPLETE_CHUNKED_ENCODING": EndKind.TRUNCATED,
    "ERR_EMPTY_RESPONSE": EndKind.TRUNCATED,
    "ERR_RESPONSE_HEADERS_TRUNCATED": EndKind.TRUNCATED,
    "ERR_INVALID_CHUNKED_ENCODING": EndKind.FRAMING,
    "ERR_INVALID_HTTP_RESPONSE": EndKind.FRAMING,
    "ERR_INVALID_RESPONSE": EndKind.FRAMING,
    "ERR_HTTP2_PROTOCOL_ERROR": EndKind.FRAMING,
    "ERR_HTTP2_FRAME_SIZE_ERROR": EndKind.FRAMING,
    "ERR_HTTP2_COMPRESSION_ERROR": EndKind.FRAMING,
    "ERR_HTTP2_FLOW_CONTROL_ERROR": EndKind.FRAMING,
    "ERR_HTTP2_STREAM_CLOSED": EndKind.TRUNCATED,
    "ERR_SPDY_PROTOCOL_ERROR": EndKind.FRAMING,
    "ERR_RESPONSE_HEADERS_MULTIPLE_CONTENT_LENGTH": EndKind.FRAMING,
    "ERR_RESPONSE_HEADERS_MULTIPLE_LOCATION": EndKind.FRAMING,
    "ERR_CONTENT_DECODING_FAILED": EndKind.CONTENT_ENCODING,
    "ERR_CONTENT_DECODING_INIT_FAILED": EndKind.CONTENT_ENCODING,
    "NS_ERROR_NET_RESET": EndKind.RESET,
    "NS_ERROR_NET_INTERRUPT": EndKind.TRUNCATED,
    "NS_ERROR_NET_PARTIAL_TRANSFER": EndKind.TRUNCATED,
    "NS_ERROR_NET_EMPTY_RESPONSE": EndKind.TRUNCATED,
    "NS_ERROR_INVALID_CONTENT_ENCODING": EndKind.CONTENT_ENCODING,
    "NS_ERROR_CORRUPTED_CONTENT": EndKind.FRAMING,
}
#: Where archives put the name: Chromium's and sitespeed's `_error`, Playwright's `_failureText`.
_PLACES: Final = ("_error", "error", "_failureText", "_fetchError")
#: What Charles and others say of a transfer that is in order.
_GOOD: Final = frozenset({"", "0", "none", "null", "complete", "ok", "success", "net::ok", "ns_ok"})


def error_of(entry: dict[str, Any], response: dict[str, Any]) -> str | None:
    """The error that an entry or its response names, in one line; None if it names none."""
    for holder in (response, entry):
        for place in _PLACES:
            if (text := _text(holder.get(place))) is not None:
                return text
    status = entry.get("_charlesStatus")
    if isinstance(status, str) and status.lower() not in _GOOD:
        return f"Charles: {head(status, 60)}"
    return None


def end_of(error: str) -> EndKind | None:
    """How the server ended an answer with this error; None where it was the client's doing, its
    network's, or nobody knows whose.
    """
    name = error.strip().upper().removeprefix("NET::").partition(" ")[0]
    return _SERVER.get(name)


def _text(value: object) -> str | None:
    if isinstance(value, dict):
        value = value.get("message") or value.get("name") or value.get("code") or "an error"
    if value is None or isinstance(value, bool | list) or value == 0:
        return None
    if not isinstance(value, str | int | float):
        return "an error"
    text = head(" ".join(str(value).split()), 200)
    return None if text.lower() in _GOOD else text
