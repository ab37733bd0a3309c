"""What exchanges and transcripts showed, as `Observed`: which of them count, and how many are
looked at under load.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from soundstage.conformance.judge import Caps, Judge
from soundstage.contract import Contract
from soundstage.contract.paths import endpoint_at
from soundstage.contract.protocol import Endpoint
from soundstage.errors import NoDataError, UsageError
from soundstage.exchange.client import Exchange
from soundstage.linting.answer_origin import AnswerOrigin, asked_at
from soundstage.linting.saved_answers import judge_told
from soundstage.observed.facts import UNKNOWN, Observed
from soundstage.observed.recorder import Chunk, observe_result, observe_stream
from soundstage.saved import saved_file as saved_files
from soundstage.saved.transcript import Transcript

_OK = 200
_SECOND_NS = 1_000_000_000
_IN_OWN_WORDS = ("value/", "extra/", f"stage/{UNKNOWN}")
#: Looked at under load: so many exchanges of each endpoint in a second.
EACH_SECOND = 2


def observe(exchange: Exchange) -> Observed:
    """What one exchange showed; nothing if it was refused, failed below HTTP, or should have been
    answered with an error. Its chunks must have been kept.
    """
    call = exchange.call
    if call.expect_error or not call.endpoint.is_success(exchange.response.status):
        return Observed()
    whole = exchange.outcome in ("ok", "failed") and exchange.judge.failed is None
    found = _observe(exchange.judge, exchange.chunks, whole=whole)
    found.merge(_of_states(exchange))
    # All that it tells in the API's own words: values, and names that are not documented.
    own = (
        each
        for endpoints in found.apis.values()
        for facts in endpoints.values()
        for each in facts.counts
        if each.startswith(_IN_OWN_WORDS)
    )
    hiding = exchange.hiding(exchange.redactor)
    if hiding.may_hold("\n".join(own).encode("utf-8", "surrogatepass")):
        found = Observed.of(hiding.document(found.to_json()))
    return found


def _of_states(exchange: Exchange) -> Observed:
    """What looks at the state of its generation showed."""
    return _of_looks(exchange.call.contract, exchange.call.endpoint, exchange.states)


def _of_looks(contract: Contract, endpoint: Endpoint, states: Sequence[Chunk]) -> Observed:
    tie = endpoint.looked_up_by
    if not states or (tie is None and not endpoint.sampled):
        return Observed()
    status = endpoint if tie is None else contract.endpoints[tie.endpoint]
    return observe_stream(contract, status, states, framing=None, whole=False)


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
    if endpoint.sampled:
        seen = judge.seen
        states = [(seen.stage, seen.chunk)] if seen is not None and seen.chunk is not None else []
        return _of_looks(contract, endpoint, states)
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


def observe_transcripts(
    files: Iterable[Path], contracts: dict[str, Contract], within: Path | None = None
) -> Observed:
    """What the exchanges in transcripts (`soundstage record` writes them) and in HTTP archives
    showed. `within`: the user named this folder and not the files.

    Raises UsageError for a file that is none, NoDataError if none of them shows anything.
    """
    whole = Observed()
    for file in files:
        whole.merge(_of_file(file, contracts, within))
    if not whole.exchanges:
        raise NoDataError("no transcript holds a successful answer of an API that is known")
    return whole


def _of_file(file: Path, contracts: dict[str, Contract], within: Path | None) -> Observed:
    def wanted(method: str, path: str) -> bool:
        return endpoint_at(contracts.values(), method, path) is not None

    saved = saved_files.read_file(str(file), wanted=wanted, within=within)
    exchanges = [entry.exchange for entry in saved.entries if not entry.followed]
    if saved.form == "response":
        raise UsageError(f"{file}: not a transcript; `soundstage record` writes them")
    found = Observed()
    for exchange in [saved.exchange, *exchanges]:
        if exchange is not None:
            found.merge(_of_exchange(exchange, contracts))
    return found


def _of_exchange(exchange: Transcript, contracts: dict[str, Contract]) -> Observed:
    header, response = exchange.header, exchange.header.get("response") or {}
    asked = asked_at(exchange, list(contracts.values())) if "api" not in header else None
    contract = asked[0] if asked else contracts.get(str(header.get("api")))
    name = asked[1].name if asked else str(header.get("endpoint"))
    endpoint = contract.endpoints.get(name) if contract else None
    if contract is None or endpoint is None or header.get("expect") == "error":
        return Observed()
    if not endpoint.is_success(response.get("status")):
        return Observed()
    chunks: list[Chunk] = []
    judged = judge_told(
        AnswerOrigin(contract, endpoint, endpoint.kind),
        exchange,
        Caps(),
        on_event=lambda _, seen: (
            chunks.append((seen.stage, seen.chunk)) if seen.chunk is not None else None
        ),
    )
    end = exchange.end
    orderly = end is not None and end.get("cut") is None and end.get("fault_of") is None
    whole = orderly and exchange.doubt is None and judged.judge.failed is None
    found = _observe(judged.judge, chunks, whole=whole)
    found.merge(_of_looks(contract, endpoint, judged.states))
    return found
