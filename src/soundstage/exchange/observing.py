"""What exchanges and transcripts showed, as `Observed`: which of them count, and how many are
looked at under load.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from soundstage.conformance.observed import Observed
from soundstage.conformance.observing import Chunk, observe_result, observe_stream
from soundstage.contract import Contract
from soundstage.errors import NoDataError, UsageError
from soundstage.exchange.client import Exchange
from soundstage.exchange.judge import Judge
from soundstage.wire import transcript as transcripts
from soundstage.wire.content_type import content_type_of
from soundstage.wire.ending import End, EndKind

_OK = 200
_SECOND_NS = 1_000_000_000
#: More than this of a transcript is not read (design 4.17).
_LARGEST = 64 * 2**20
#: Looked at under load: so many exchanges of each endpoint in a second.
EACH_SECOND = 2


def observe(exchange: Exchange) -> Observed:
    """What one exchange showed; nothing if it was refused, failed below HTTP, or should have been
    answered with an error. Its chunks must have been kept.
    """
    call = exchange.call
    if call.expect_error or exchange.response.status != _OK:
        return Observed()
    whole = exchange.outcome in ("ok", "failed") and exchange.judge.failed is None
    return _observe(exchange.judge, exchange.chunks, whole=whole)


def _observe(judge: Judge, chunks: Sequence[Chunk], *, whole: bool) -> Observed:
    contract, endpoint = judge.contract, judge.endpoint
    if endpoint.kind == "stream":
        if not judge.streaming or not chunks:
            return Observed()
        return observe_stream(
            contract,
            endpoint,
            chunks,
            framing=judge.framing,
            whole=whole,
            broken=(each.rule for each in judge.violations),
        )
    if judge.value is None or judge.error_name is not None:
        return Observed()
    return observe_result(contract, endpoint, judge.value)


class Sampler:
    """Chooses the exchanges that are looked at: the first few of each endpoint in every second, as
    looking at all of them would cost a load generator too much.
    """

    def __init__(self, each_second: int = EACH_SECOND) -> None:
        self._each_second = each_second
        self._seconds: dict[tuple[str, str], tuple[int, int]] = {}

    def due(self, api: str, endpoint: str, now_ns: int) -> bool:
        """Whether the exchange that starts now (monotonic ns) is one of them."""
        second = now_ns // _SECOND_NS
        begun, many = self._seconds.get((api, endpoint), (second, 0))
        if begun != second:
            many = 0
        self._seconds[api, endpoint] = (second, many + 1)
        return many < self._each_second


def observe_transcripts(files: Iterable[Path], contracts: dict[str, Contract]) -> Observed:
    """What the exchanges in transcripts showed (`soundstage record` writes them).

    Raises UsageError for a file that is none, NoDataError if none of them shows anything.
    """
    whole = Observed()
    for file in files:
        whole.merge(_of_transcript(file, contracts))
    if not whole.exchanges:
        raise NoDataError("no transcript holds a successful answer of an API that is known")
    return whole


def _of_transcript(file: Path, contracts: dict[str, Contract]) -> Observed:
    try:
        with file.open("rb") as opened:
            raw = opened.read(_LARGEST + 1)
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror or error}") from error
    if len(raw) > _LARGEST:
        raise UsageError(f"{file}: a transcript of more than {_LARGEST // 2**20} MiB")
    if not transcripts.looks_like_transcript(raw):
        raise UsageError(f"{file}: not a transcript; `soundstage record` writes them")
    transcript = transcripts.read(raw, str(file))
    header, response = transcript.header, transcript.header.get("response") or {}
    contract = contracts.get(str(header.get("api")))
    endpoint = contract.endpoints.get(str(header.get("endpoint"))) if contract else None
    if contract is None or endpoint is None or header.get("expect") == "error":
        return Observed()
    if response.get("status") != _OK:
        return Observed()
    chunks: list[Chunk] = []
    judge = Judge(
        contract,
        endpoint,
        on_event=lambda _, seen: (
            chunks.append((seen.stage, seen.chunk)) if seen.chunk is not None else None
        ),
    )
    judge.head(_OK, content_type_of(response.get("headers", ())))
    for _, piece, _ in transcript.pieces:
        judge.feed(piece)
    end, cut = _end(transcript.end)
    judge.close(end, cut=cut)
    orderly = cut is None and (end is None or end.fault_of is None)
    return _observe(judge, chunks, whole=orderly and judge.failed is None)


def _end(row: dict[str, object] | None) -> tuple[End | None, str | None]:
    if row is None:
        return None, "transcript.incomplete"
    cut = row.get("cut")
    try:
        kind = EndKind(str(row.get("kind")))
    except ValueError:
        return None, str(cut) if cut else None
    fault = row.get("fault_of")
    message = str(row.get("message", ""))
    end = End(kind, message, 0, fault)  # type: ignore[arg-type]
    return end, str(cut) if cut else None
