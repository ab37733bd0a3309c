"""What `soundstage schema --observed` prints: inferred schemas, or what the page says otherwise."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

from soundstage.contract import Contract, load, load_sound
from soundstage.contract.json_schema.plain import for_strict_readers
from soundstage.errors import NoDataError, UsageError
from soundstage.observed.facts import Observed
from soundstage.observed.inferred import document
from soundstage.output import visible
from soundstage.results.bundle import OBSERVED, RUN, TRANSCRIPTS, Bundle, read_observed

_SCHEMAS = (None, "jsonschema")
_DIFFS = (None, "text", "markdown", "json")


def texts(args: argparse.Namespace) -> list[str]:
    """What is to be printed, a text for each API version. Raises SoundstageError for places that
    cannot be read or show nothing.
    """
    allowed = _DIFFS if args.docs_diff else _SCHEMAS
    if args.format not in allowed:
        names = ", ".join(name for name in allowed if name)
        option = "--docs-diff" if args.docs_diff else "--observed"
        raise UsageError(f"--format {args.format}: {option} prints {names}")
    contracts, broken = ({api: load(api) for api in args.api}, {}) if args.api else load_sound()
    seen = read(args.observed, contracts)
    apis = [api for api in contracts if seen.apis.get(api)]
    for error in (error for api, error in broken.items() if seen.apis.get(api) or not apis):
        raise error
    if not apis:
        wanted = ", ".join(contracts)
        raise NoDataError(f"--observed {' '.join(args.observed)}: no answer of {wanted} was seen")
    if not args.docs_diff:
        found = [document(api, seen.apis[api]) for api in apis]
        if args.format == "jsonschema" and not args.with_basis:
            found = [for_strict_readers(each) for each in found]
        return [visible.in_json(json.dumps(each, indent=2)) + "\n" for each in found]
    return [_diff(contracts[api], seen, args.format or "text") for api in apis]


def _diff(contract: Contract, seen: Observed, form: str) -> str:
    docs_diff = import_module("soundstage.reports.drift.docs_diff")
    differences = docs_diff.against(seen, contract)
    if form == "json":
        rows = [each.to_json() for each in differences]
        differing = {"api": contract.api, "differences": rows}
        return visible.in_json(json.dumps(differing, indent=2)) + "\n"
    show = docs_diff.markdown if form == "markdown" else docs_diff.text
    shown: str = show(contract, seen, differences)
    return shown


def read(places: Iterable[str], contracts: dict[str, Contract]) -> Observed:
    """What was seen at these places, put together: run bundles, `observed.json` files, transcripts
    and folders of them. Of a run that did not come to its end the transcripts are read.
    """
    whole = Observed()
    for place in places:
        whole.merge(_read(Path(place), contracts))
    return whole


def _read(path: Path, contracts: dict[str, Contract]) -> Observed:
    if path.is_file():
        if path.name.endswith(".json"):
            return Observed.of(read_observed(path))
        return _of_transcripts([path], contracts)
    if not path.is_dir():
        raise UsageError(f"--observed {path}: no such file or folder")
    folder = path
    if (path / RUN).is_file():
        found = Bundle.open(path).observed()
        if found is not None:
            return Observed.of(found)
        folder = path / TRANSCRIPTS
    files = sorted(folder.glob("*.ndjson"))
    if not files:
        raise NoDataError(f"{folder}: neither {OBSERVED} nor a transcript to read")
    return _of_transcripts(files, contracts, within=path)


def _of_transcripts(
    files: list[Path], contracts: dict[str, Contract], within: Path | None = None
) -> Observed:
    from soundstage.observed.exchanges import observe_transcripts

    return observe_transcripts(files, contracts, within)
