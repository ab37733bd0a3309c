"""`soundstage schema`: prints a contract for other tools, and for people."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from soundstage.arguments import Parser, at_most
from soundstage.commands.new_files.file_schemas import FILE_SCHEMAS, file_schema
from soundstage.contract import Contract, available, load, load_sound
from soundstage.contract.diagram import listing, mermaid
from soundstage.contract.json_schema.plain import for_strict_readers
from soundstage.contract.openapi import DIALECT, document, schemas
from soundstage.errors import ContractDataError, UsageError
from soundstage.exit_codes import ExitCode
from soundstage.output import visible
from soundstage.output.streams import say
from soundstage.output.written_files import print_document, put

HELP = "print a contract: OpenAPI, JSON Schema, diagram; or the schema of a file"
#: Draws of one value, after which nobody believes in it any more.
_MOST_TRIES = 1_000_000

_EXAMPLES = """examples:
  soundstage schema --api v6                        # stages and rules, to read
  soundstage schema --api v6 --format openapi --output v6.openapi.json
  soundstage schema --api v6 --format mermaid       # a diagram of the protocol
  soundstage schema --api v6 --format jsonschema | jq '."$defs" | keys'
  soundstage schema --observed runs/2026-11-21T08-36-15-check-3f2a     # inferred from a run
  soundstage schema --observed recordings/ --docs-diff --format markdown
  soundstage schema --prove my/contracts/songs      # can it be kept, and what is left unsaid?
  soundstage schema --of config --output soundstage.schema.json   # what soundstage.toml may say

openapi is OpenAPI 3.2, one JSON document a version: `itemSchema` describes the chunks of a stream,
the extension x-soundstage-protocol their order, tracks, index and all else that OpenAPI cannot say.
openapi-3.1 is for readers that know no 3.2: a stream is a text there, and x-soundstage-chunk points
to the schema of its chunks.

jsonschema is JSON Schema 2020-12 and nothing else, so that strict validators (Ajv) take it;
--with-basis keeps what each constraint rests on (x-basis, x-source).

--observed prints the schemas that chunks and results were seen to have, with what they were seen to
have in x-observed (docs/reference/drift.md); with --format jsonschema without it, for strict
validators. --docs-diff says what the documentation says otherwise, and what it should be changed
to.

--of prints the JSON Schema of a file, for editors and validators: soundstage.toml (config),
scenario.toml, profiles, accounts and triggers of the emulator; run.json (run; those of its rows are
in its $defs), observed.json and transcripts. `#:schema ./soundstage.schema.json` as the first line
of a TOML file makes Taplo and Even Better TOML complete and check it.

--prove answers: proved (exit code 0), contradictory (1), not proved within --tries (4). Proved is a
contract of which requests, streams, jobs and results were made up and judged conforming, with its
emulator over a connection too, and whose faults are all killed (`soundstage faults`).

exit codes: 0 printed, or proved, 1 contradictory, 2 wrong usage or no such contract, 4 not proved,
6 it could not be written
"""


def parser() -> Parser:
    """The options of `soundstage schema`, before anything is parsed."""
    options = Parser(
        prog="soundstage schema",
        description="Print a contract, or the schema of a file, for other tools and for people.",
        epilog=_EXAMPLES,
    )
    text = f"{', '.join(available())} (repeatable; default: all)"
    options.add_argument("--api", action="append", metavar="API", help=text)
    options.add_argument(
        "--format",
        choices=(*FORMATS, "markdown", "json"),
        help="default: text; jsonschema with --observed. markdown and json: of --docs-diff",
    )
    text = "keep x-basis, x-source, x-observed and formats in JSON Schemas"
    options.add_argument("--with-basis", action="store_true", help=text)
    text = "run bundle, observed.json, transcript, or folder of transcripts (repeatable)"
    options.add_argument("--observed", action="append", metavar="PLACE", help=text)
    text = "with --observed: where the documentation and what was seen differ"
    options.add_argument("--docs-diff", action="store_true", help=text)
    text = (
        "say whether a contract can be kept: DIR is its folder, or a folder of contracts "
        "(default: those of --api)"
    )
    options.add_argument("--prove", nargs="?", const="", metavar="DIR", help=text)
    text = "of a file, not of a contract: %(choices)s"
    options.add_argument("--of", choices=FILE_SCHEMAS, metavar="FILE", help=text)
    text = "with --prove: draws of a value until it is given up (default: %(default)s)"
    options.add_argument("--tries", type=at_most(_MOST_TRIES), default=200, metavar="N", help=text)
    text = "where to, - is standard output (default); one version only"
    options.add_argument("--output", metavar="FILE", default="-", help=text)
    return options


def parse_args(argv: list[str]) -> argparse.Namespace:
    return parser().parse_args(argv)


def run(args: argparse.Namespace, stdout: TextIO, stderr: TextIO) -> int:
    if args.of is not None:
        return _of_file(args, stdout)
    if args.prove is not None:
        return _proved(args, stdout, stderr)
    errors: list[ContractDataError] = []
    schemas_only = args.format == "jsonschema" or (args.observed and args.format is None)
    if args.with_basis and (args.docs_diff or not schemas_only):
        raise UsageError("--with-basis: of --format jsonschema")
    if args.observed:
        from soundstage.commands import observed_schema

        texts = observed_schema.texts(args)
    elif args.docs_diff or args.format in ("markdown", "json"):
        raise UsageError(
            f"{'--docs-diff' if args.docs_diff else f'--format {args.format}'}: "
            "say with --observed PLACE what was seen"
        )
    else:
        if args.api:
            contracts = [load(api) for api in dict.fromkeys(args.api)]
        else:
            sound, broken = load_sound()
            contracts, errors = list(sound.values()), list(broken.values())
        write = FORMATS[args.format or "text"]
        if args.with_basis:
            write = _with_basis
        texts = [write(contract) for contract in contracts]
    if args.output == "-":
        separate = "\n" if args.format in (None, "text", "markdown") else ""
        if args.format in (None, "text"):
            stdout.write(separate.join(texts))
        else:
            print_document(separate.join(texts), stdout)
    elif len(texts) + len(errors) > 1:
        raise UsageError("--output takes one version: say which with --api")
    else:
        put(Path(args.output), texts[0])
    for error in errors:
        say(f"soundstage schema: {error}", stderr)
    return ExitCode.USAGE if errors else ExitCode.PASS


def _of_file(args: argparse.Namespace, stdout: TextIO) -> int:
    for option in ("api", "format", "with_basis", "observed", "docs_diff", "prove"):
        if getattr(args, option) not in (None, False):
            raise UsageError(f"--of {args.of}: of a file: no --{option.replace('_', '-')}")
    text = file_schema(args.of)
    if args.output == "-":
        print_document(text, stdout)
    else:
        put(Path(args.output), text)
    return ExitCode.PASS


def _proved(args: argparse.Namespace, stdout: TextIO, stderr: TextIO) -> int:
    if args.format not in (None, "text", "json"):
        raise UsageError(f"--prove: --format text or json, not {args.format}")
    for option in ("with_basis", "observed", "docs_diff"):
        if getattr(args, option):
            raise UsageError(f"--prove: nothing is printed, so no --{option.replace('_', '-')}")
    if args.output != "-":
        raise UsageError("--prove: the answer goes to standard output, so no --output")
    if not args.tries:
        raise UsageError("--tries 0: at least one is needed to find anything")
    from soundstage.commands import prove

    return prove.run(args, stdout, stderr)


def _openapi(contract: Contract) -> str:
    return _json(document(contract))


def _openapi_3_1(contract: Contract) -> str:
    return _json(document(contract, "3.1"))


def _jsonschema(contract: Contract) -> str:
    return _json(for_strict_readers(_bundle(contract)))


def _with_basis(contract: Contract) -> str:
    return _json(_bundle(contract))


def _bundle(contract: Contract) -> dict[str, Any]:
    """All schemas of a contract as the definitions of one."""
    definitions = _pointing_inside(schemas(contract))
    return {"$schema": DIALECT, "title": contract.title, "$defs": definitions}


def _pointing_inside(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: inner.replace("#/components/schemas/", "#/$defs/")
            if key == "$ref" and isinstance(inner, str)
            else _pointing_inside(inner)
            for key, inner in value.items()
        }
    return [_pointing_inside(inner) for inner in value] if isinstance(value, list) else value


def _json(value: Any) -> str:
    # ASCII, since a document in a pipe meets any locale.
    return visible.in_json(json.dumps(value, indent=2)) + "\n"


FORMATS: dict[str, Callable[[Contract], str]] = {
    "text": listing,
    "openapi": _openapi,
    "openapi-3.1": _openapi_3_1,
    "jsonschema": _jsonschema,
    "mermaid": mermaid,
}
