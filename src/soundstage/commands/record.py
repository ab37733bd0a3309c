"""`soundstage record`: asks a target for songs, and saves every exchange as a transcript."""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from soundstage.arguments import Parser, between, whole
from soundstage.commands.interruptible import interruptible_exchange
from soundstage.config import find_config
from soundstage.contract import Contract, available, load, load_sound
from soundstage.contract.endpoint_words import endpoint_words, is_meant
from soundstage.contract.protocol import Endpoint
from soundstage.doctor.preflight import preflight
from soundstage.errors import BudgetError, TargetError, UsageError
from soundstage.exchange import consent
from soundstage.exchange.client import Call, Exchange
from soundstage.exchange.filled_paths import names_in
from soundstage.exchange.patience import LONGEST_TIMEOUT_S, Patience, TimeUpError
from soundstage.exchange.requests import request_body, sent_body
from soundstage.exchange.session import Session, open_session
from soundstage.exchange.spawn import EMULATOR, FREE_HERE, is_free, spawned_emulator
from soundstage.output.streams import json_line, say
from soundstage.output.visible import in_json, lines, own
from soundstage.output.written_files import create, print_document
from soundstage.proof.one_conforming import unkept_apis
from soundstage.saved.encodings import to_utf8
from soundstage.target_options import (
    add_config_option,
    add_target_options,
    apis_of,
    confirm_configured,
    connection_of,
    target_of,
    tell_config,
)

HELP = "save the answers of a target as transcripts"

#: To the beginning of the line.
_BACK = own("\r")
_EXAMPLES = """examples:
  soundstage record --target emulator --out recordings
  soundstage record --target http://127.0.0.1:8000 --api v6 --endpoint stream --count 5 --out r
  SOUNDVERSE_API_KEY=... soundstage record --target https://api.soundverse.ai --api v6 \\
      --endpoint stream --budget 1 --out recordings
  soundstage record --target emulator --api v6 --body song.json --out - | soundstage show -

then:
  soundstage lint recordings/*.ndjson
  soundstage emulate --replay recordings

Each exchange becomes DIR/NNN-API-ENDPOINT.ndjson (a job with all looks at its state until it is
over), with keys, prompts, lyrics, ids of users and the queries of URLs taken out. Recording never
judges: what was recorded may violate the contract.

exit codes: 0 recorded, 2 wrong usage, 6 target or environment failed, or no budget
"""
#: In the place of a folder: standard output.
_PRINTED = "-"
#: A body of more bytes is no request for a song.
_LARGEST_BODY = 16 * 2**20
#: What is recorded where nothing else is said.
_USUAL = "stream"
#: After so many exchanges in a row that came to no end no more are asked for.
_MOST_TIMEOUTS = 3


@dataclass(frozen=True, slots=True)
class Wanted:
    """One exchange to record."""

    contract: Contract
    endpoint: Endpoint
    body: Any


def parser() -> Parser:
    """The options of `soundstage record`, before anything is parsed."""
    options = Parser(
        prog="soundstage record",
        description="Ask a target for songs, and save every exchange as a transcript.",
        epilog=_EXAMPLES,
    )
    add = options.add_argument
    add_target_options(options, emulator_args="--speed 100")
    add_config_option(options)
    text = "folder for the transcripts, new or empty; - prints the transcript of one exchange"
    add("--out", metavar="DIR", help=text)
    add("--api", action="append", metavar="API", help=f"{', '.join(available())} (default: all)")
    words = endpoint_words(load_sound()[0].values(), _is_recorded)
    text = f"only endpoints of this name or kind ({', '.join(words)}; repeatable; default: stream)"
    add("--endpoint", action="append", choices=words, metavar="NAME", help=text)
    add("--count", type=_count, default=1, metavar="N", help="of each endpoint (default 1)")
    text = "JSON to send, - is stdin (default: made up from the request schema)"
    add("--body", metavar="FILE", help=text)
    add("--seed", type=whole, default=0, help="of made-up requests (default 0)")
    text = "time for all of it (default: any; three timeouts in a row end it)"
    add("--timeout", type=between(0.1, LONGEST_TIMEOUT_S), metavar="SECONDS", help=text)
    add("--format", choices=("text", "json"), default="text")
    return options


def parse_args(argv: list[str]) -> argparse.Namespace:
    return parser().parse_args(argv)


def run(args: argparse.Namespace, stdout: TextIO, stderr: TextIO) -> int:
    config = find_config(args.config)
    tell_config(config, "soundstage record", stderr)
    target = target_of(args, config)
    args.api = apis_of(args.api, config)
    if args.budget is None:
        args.budget = config.target.budget
    if not args.out:
        raise UsageError("--out DIR is needed: where the transcripts go")
    wanted = _wanted(args)
    if args.dry_run:
        print(_planned(target, args.budget, wanted), file=stdout)
        return 0
    confirm_configured(args, config, target, stderr)
    if args.out == _PRINTED and len(wanted) != 1:
        places = ", ".join(f"{each.contract.api} {each.endpoint.name}" for each in wanted)
        raise UsageError(f"--out -: one exchange, not {places}: say --api and --endpoint")
    folder = None if args.out == _PRINTED else _empty_folder(args.out)
    with ExitStack() as stack:
        url = target
        if url == EMULATOR:
            served = spawned_emulator(args.emulator_args, left_out=unkept_apis())
            url = stack.enter_context(served)
        session = open_session(url, budget=args.budget, **connection_of(args, config))
        stack.callback(session.close)
        _afford(session, wanted)
        contracts = list(dict.fromkeys(each.contract for each in wanted))
        for warning in (*session.warnings, *preflight(session, contracts)):
            say(f"soundstage record: {warning}", stderr)
        if not session.budget.free and not args.yes:
            consent.ask(_planned(target, args.budget, wanted), stderr)
        patience = stack.enter_context(Patience(args.timeout, session.cut))
        return _record(session, patience, wanted, folder, args.format, stdout, stderr)


def _planned(target: str, budget: int | None, wanted: list[Wanted]) -> str:
    """What would be sent, and how much of it is billable, in words."""
    sent = Counter(
        f"{each.endpoint.method} {each.endpoint.path} ({each.contract.api} {each.endpoint.name})"
        for each in wanted
    )
    head = [f"{target}:", *(f"  {many} x {what}" for what, many in sent.items())]
    billable = sum(each.endpoint.billed for each in wanted)
    limit = "no budget" if budget is None else f"a budget of {budget}"
    here = f": {FREE_HERE}" if is_free(target) else ""
    return lines([*head, f"{billable} billable requests, {limit}{here}"])


def _record(
    session: Session,
    patience: Patience,
    wanted: list[Wanted],
    folder: Path | None,
    form: str,
    stdout: TextIO,
    stderr: TextIO,
) -> int:
    failed: list[str] = []
    in_a_row = 0
    for number, each in enumerate(wanted, start=1):
        asked = f"{number - 1} of {len(wanted)} were asked for"
        try:
            patience.check()
        except TimeUpError as error:
            raise TargetError(f"{error}: {asked}") from error
        if in_a_row == _MOST_TIMEOUTS:
            raise TargetError(f"{in_a_row} in a row ran into a timeout: {asked}; {failed[0]}")
        progress = _RecordProgress(f"{number} of {len(wanted)}", stderr)
        call = Call(
            each.contract,
            each.endpoint,
            each.body,
            scenario="record",
            confirm=1,
            on_chunk=progress.looked if each.endpoint.kind == "job" else None,
        )
        exchange, interrupted = interruptible_exchange(session, call)
        in_a_row = in_a_row + 1 if exchange.outcome == "timeout" else 0
        name = f"{number:03}-{each.contract.api}-{each.endpoint.name}.ndjson"
        transcript = exchange.transcript(session.redactor).to_bytes()
        if folder is None:
            print_document(in_json(transcript.decode()), stdout)
        else:
            try:
                create(folder / name, transcript)
            except OSError as error:
                raise TargetError(f"{folder / name}: cannot write: {error.strerror}") from error
        progress.over()
        row = _row(exchange, _PRINTED if folder is None else str(folder / name))
        told = stderr if folder is None else stdout
        say(json_line(row, told) if form == "json" else _line(row), told, flush=True)
        if interrupted is not None:
            raise interrupted
        cut = patience.over() and exchange.outcome == "cut"
        if exchange.response.status is None or cut or exchange.outcome in ("timeout", "refused"):
            failed.append(f"{name}: {_why(exchange)}")
    if failed:
        raise TargetError(f"{len(failed)} of {len(wanted)} got no answer to record: {failed[0]}")
    return 0


class _RecordProgress:
    """What a terminal shows while one exchange is recorded."""

    def __init__(self, which: str, stderr: TextIO) -> None:
        self._which, self._stderr = which, stderr
        self._looks = 0
        self._say(f"{which} …")

    def looked(self, _: dict[str, Any]) -> None:
        """A look at a job has shown its state."""
        self._looks += 1
        self._say(f"{self._which} …, look {self._looks}")

    def over(self) -> None:
        """The exchange is over."""
        self._say("")

    def _say(self, text: str) -> None:
        if self._stderr.isatty():
            self._stderr.write(f"{_BACK}{text}")
            self._stderr.flush()


def _row(exchange: Exchange, file: str) -> dict[str, Any]:
    complete = exchange.milestones.get("complete")
    return {
        "file": file,
        "api": exchange.call.contract.api,
        "endpoint": exchange.call.endpoint.name,
        "verdict": exchange.verdict.value,
        "reason": exchange.reason,
        "outcome": exchange.outcome,
        "http_status": exchange.response.status,
        "complete": None if complete is None else round(complete, 6),
        "events": exchange.judge.events,
        "looks": len(exchange.looks),
        "violations": sum(each.times for each in exchange.violations),
    }


def _line(row: dict[str, Any]) -> str:
    took = "n/a" if row["complete"] is None else f"{row['complete']:.3f} s"
    said = row["verdict"]
    if row["verdict"] == "violates":
        said += f" ({row['violations']})"
    elif row["reason"]:
        said += f" ({row['reason']})"
    events = f"  {row['events']} events" if row["events"] else ""
    looks = f"  {row['looks']} looks" if row["looks"] else ""
    return f"{said:<12}  TTC {took:>9}{events}{looks}  {row['file']}"


def _why(exchange: Exchange) -> str:
    if exchange.outcome == "refused":
        return f"refused with {exchange.response.status}"
    end = exchange.end
    return end.message if end is not None and end.message else exchange.outcome


def _wanted(args: argparse.Namespace) -> list[Wanted]:
    """What to record, round after round: what ends early has some of each endpoint."""
    words = args.endpoint or [_USUAL]
    given = _body(args.body) if args.body else None
    rng = random.Random(args.seed)
    makers = [
        (contract, endpoint)
        for contract in map(load, args.api)
        for endpoint in contract.endpoints.values()
        if _is_recorded(endpoint)
    ]
    endpoints = [pair for pair in makers if any(is_meant(pair[1], word) for word in words)]
    if args.out == _PRINTED and len(endpoints) > 1:
        # One is asked for: a name is that of one endpoint, where it is a kind of others.
        endpoints = [pair for pair in endpoints if pair[1].name in words] or endpoints
    if not endpoints:
        apis = ", ".join(args.api)
        there = " or ".join(dict.fromkeys(endpoint.name for _, endpoint in makers))
        instead = f": say --endpoint {there}" if there else ""
        said = " or ".join(words)
        raise UsageError(f"no endpoint of the name or kind {said} in {apis}{instead}")
    return [
        Wanted(
            contract, endpoint, sent_body(endpoint, given or request_body(contract, endpoint, rng))
        )
        for _ in range(args.count)
        for contract, endpoint in endpoints
    ]


def _is_recorded(endpoint: Endpoint) -> bool:
    """Whether an endpoint can be asked for something by itself: it makes something, and nothing
    that another gives stands in its path or query.
    """
    return endpoint.makes_songs and not names_in(endpoint)


def _body(file: str) -> Any:
    try:
        raw = sys.stdin.buffer.read(_LARGEST_BODY + 1) if file == "-" else Path(file).read_bytes()
        if len(raw) > _LARGEST_BODY:
            raise UsageError(f"--body {file}: larger than {_LARGEST_BODY // 2**20} MiB")
        value = json.loads(to_utf8(raw)[0].decode("utf-8-sig"))
    except OSError as error:
        raise UsageError(f"--body {file}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--body {file}: not JSON: {error}") from error
    if not isinstance(value, dict):
        raise UsageError(f"--body {file}: not a JSON object")
    return value


def _afford(session: Session, wanted: list[Wanted]) -> None:
    """Raise BudgetError, before anything is sent, if the budget does not cover all of it."""
    billable = sum(each.endpoint.billed for each in wanted)
    left = session.budget.left
    if left is not None and left < billable:
        limit = "" if session.budget.limit is None else f", the budget is {left}"
        raise BudgetError(
            f"{billable} billable requests would go to {session.target.url}{limit}: "
            f"give --budget {billable}, or ask for less"
        )


def _empty_folder(name: str) -> Path:
    folder = Path(name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise UsageError(f"--out {folder}: not empty; recordings need a folder of their own")
    except OSError as error:
        raise UsageError(f"--out {folder}: {error.strerror}") from error
    return folder


def _count(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 999:
        raise argparse.ArgumentTypeError(f"{number}: from 1 to 999")
    return number
