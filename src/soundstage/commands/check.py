"""`soundstage check`: runs the contract checks against a target, and says pass, fail or why not."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import TextIO

from soundstage import cli
from soundstage.contract import available
from soundstage.errors import UsageError
from soundstage.exchange.run import CheckOptions, open_gate

HELP = "check a target against the contract"

_EXAMPLES = """examples:
  soundstage check --target emulator
  soundstage check --target http://127.0.0.1:8000 --api v6
  SOUNDSTAGE_API_KEY=... soundstage check --target https://api.soundverse.ai --budget 4

A live check costs one generation per version and endpoint. The key is read from
SOUNDSTAGE_API_KEY or --key-file, never from the command line.

exit codes: 0 pass, 1 contract broken, 2 wrong usage, 4 inconclusive, 5 no data,
6 target or environment failed
"""


def parse_args(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="soundstage check",
        description="Check a target against the contract: a test case for every rule.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--target", metavar="URL", help="base URL of the API; `emulator` starts one (free)"
    )
    parser.add_argument(
        "--api", action="append", metavar="API", help=f"{', '.join(available())} (default: all)"
    )
    parser.add_argument(
        "--budget", type=int, metavar="N", help="billable requests that may be sent"
    )
    parser.add_argument("--key-file", metavar="FILE", help="file with the API key")
    parser.add_argument("--out", metavar="DIR", help="folder of the run bundle (default: in runs/)")
    parser.add_argument("--explore", type=int, metavar="N", help="explored requests per endpoint")
    parser.add_argument("--seed", type=int, default=0, help="of the requests (default 0)")
    parser.add_argument("--strict", action="store_true", help="warnings fail, too")
    parser.add_argument("--header", action="append", default=[], metavar="'NAME: VALUE'")
    parser.add_argument(
        "--ca-file", metavar="PEM", help="authorities to trust instead of the system's"
    )
    parser.add_argument("--client-cert", nargs=2, metavar=("CERT", "KEY"), help="PEM files")
    parser.add_argument("--insecure", action="store_true", help="do not verify certificates")
    parser.add_argument(
        "--keep-private", action="store_true", help="do not redact prompts in bundles"
    )
    parser.add_argument(
        "--emulator-args",
        default="--speed 1000",
        metavar="ARGS",
        help="options for --target emulator (default: --speed 1000)",
    )
    parser.add_argument("--on-inconclusive", choices=("fail", "warn"), default="fail")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument("--verbose", action="store_true", help="show pytest's own output")
    parser.add_argument("-k", dest="only", metavar="EXPRESSION", help="only rules that match")
    return parser.parse_args(argv)


def run(args: argparse.Namespace, stdout: TextIO, stderr: TextIO) -> int:
    if not args.target:
        raise UsageError("--target is needed: a base URL, or `--target emulator`, which is free")
    if args.budget is not None and args.budget < 0:
        raise UsageError("--budget: 0 or more")
    options = CheckOptions(
        target=args.target,
        apis=tuple(args.api or available()),
        budget=args.budget,
        key_file=args.key_file,
        out=args.out,
        strict=args.strict,
        seed=args.seed,
        command=shlex.join(["soundstage", "check", *_shown(args)]),
        headers=tuple(_header(text) for text in args.header),
        ca_file=args.ca_file,
        client_cert=tuple(args.client_cert) if args.client_cert else None,
        insecure=args.insecure,
        keep_private=args.keep_private,
        emulator_arguments=tuple(shlex.split(args.emulator_args)),
    )
    with open_gate(options) as gate:
        import pytest

        from soundstage.pytest_plugin import Provided

        provided = Provided(gate)
        if stderr.isatty() and not args.verbose:
            many = ", ".join(options.apis)
            print(f"checking {gate.session.target.url} ({many}) …", file=stderr)
        status = pytest.main(_pytest_arguments(args), plugins=[provided])
        if status == pytest.ExitCode.INTERRUPTED:
            gate.finish(provided.outcomes, cli.INTERRUPTED, interrupted=True)
            raise KeyboardInterrupt
        code = gate.exit_code(provided.outcomes)
        if code in (0, 4, 6) and provided.failures:
            code = 1
        if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            code = {pytest.ExitCode.NO_TESTS_COLLECTED: 5}.get(pytest.ExitCode(status), 70)
        reason = "; ".join(provided.failures[:3]) or None
        gate.finish(provided.outcomes, code, reason=reason)
        assert gate.bundle is not None
        path = gate.bundle.path
    if args.format == "json":
        import io

        cli.run("report", [str(path)], io.StringIO(), stderr)
        print(json.dumps(json.loads((path / "run.json").read_bytes())), file=stdout)
    else:
        cli.run("report", [str(path)], stdout, stderr)
    return 0 if code == 4 and args.on_inconclusive == "warn" else code


def _pytest_arguments(args: argparse.Namespace) -> list[str]:
    arguments = [
        "--pyargs",
        "soundstage.contracts",
        "-p",
        "soundstage.pytest_plugin",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:schemathesis",
        "--import-mode=importlib",
        f"--rootdir={Path.cwd()}",
        "-c",
        "/dev/null",
        "-W",
        "ignore",
    ]
    if not args.verbose:
        arguments += ["-p", "no:terminal"]
    if args.explore is not None:
        arguments += ["--explore", str(args.explore)]
    if args.only:
        arguments += ["-k", args.only]
    return arguments


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise UsageError(f"--header {name!r}: expected 'NAME: VALUE'")
    return name.strip(), value.strip()


def _shown(args: argparse.Namespace) -> list[str]:
    """The arguments as given, without values of headers, which may be secret."""
    shown, hide = [], False
    for word in sys.argv[2:]:
        shown.append(
            "[redacted]"
            if hide
            else word.partition("=")[0]
            if word.startswith("--header=")
            else word
        )
        hide = word == "--header"
    return shown
