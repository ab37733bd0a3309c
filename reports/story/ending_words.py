"""How an exchange ended, and whose doing that was, in words."""

from __future__ import annotations

from typing import Any, Final

from soundstage.saved.transcript import Transcript
from soundstage.wire.end import EndKind
from soundstage.wire.outages import reason_in_words

_WORDS: Final = {
    EndKind.COMPLETE: "the answer came whole",
    EndKind.CLOSED: "the server closed the connection in an orderly way",
    EndKind.TRUNCATED: "the server closed the connection before the answer was whole",
    EndKind.RESET: "the connection was reset",
    EndKind.FRAMING: "what came was not valid HTTP",
    EndKind.CONTENT_ENCODING: "the compressed body was broken or cut",
    EndKind.TLS: "TLS failed",
    EndKind.REFUSED: "the connection was refused",
    EndKind.UNREACHABLE: "the server could not be reached",
    EndKind.CONNECT_TIMEOUT: "no connection in time: we stopped waiting",
    EndKind.IDLE_TIMEOUT: "nothing more came: we stopped waiting",
    EndKind.TOTAL_TIMEOUT: "it took too long: we stopped waiting",
    EndKind.CAP: "it was larger than our limits: we stopped reading",
    EndKind.REDIRECT: "it ended in a redirect that was not followed",
    EndKind.CANCELLED: "we stopped reading",
}
_BROKEN_OFF: Final = "the transcript breaks off here: how it ended nobody saved"


def ending_words(transcript: Transcript) -> str:
    """How the exchange of a transcript ended, with its looks if there are any."""
    if transcript.end is None:
        return _BROKEN_OFF
    if not transcript.followed:
        return _end(transcript.end)
    if transcript.over is None:
        return _BROKEN_OFF
    cut = transcript.over.get("cut")
    if cut is None:
        return "the job was over"
    return f"nobody looked at the job any longer ({reason_in_words(str(cut))})"


def _end(end: dict[str, Any]) -> str:
    try:
        words = _WORDS[EndKind(str(end.get("kind")))]
    except ValueError:
        words = f"it ended: {end.get('kind')}"
    beside = [str(end["message"])] if end.get("message") else []
    beside += [reason_in_words(str(end["cut"]))] if end.get("cut") else []
    return f"{words} ({'; '.join(beside)})" if beside else words
