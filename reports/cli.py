"""`soundstage report`: run bundles in, reports out. Only this file of the room touches disks."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from soundstage.arguments import Parser
from soundstage.errors import SoundstageError, UsageError
from soundstage.exit_codes import ExitCode, worst
from soundstage.output.streams import say
from soundstage.output.written_files import check_place, print_document, put, put_within
from soundstage.reports.formats.own_page import is_own_page
from soundstage.results.run_history import resolve

if TYPE_CHECKING:
    from soundstage.reports.run.findings import Report

HELP = "turn run bundles into HTML, JUnit, Markdown or JSON"

_EPILOG = """\
examples:
  soundstage report runs/2026-11-21T08-36-15-check-3f2a
      writes report.html, junit.xml and summary.md into the bundle, prints a summary
  soundstage report runs/* --format markdown >> "$GITHUB_STEP_SUMMARY"
  soundstage report runs/nightly --format json | jq .summary.endpoints
  soundstage report latest --format sarif --output soundstage.sarif

exit codes: 0 written, 2 wrong usage or not a bundle, 5 the bundle holds nothing, 6 it could not be
written.
A report never gates: the run did that. Interrupted bundles are reported as such.
"""


def parser() -> Parser:
    """The options of `soundstage report`, before anything is parsed."""
    options = Parser(
        prog="soundstage report",
        description=HELP[0].upper() + HELP[1:] + ".",
        epilog=_EPILOG,
    )
    options.add_argument(
        "bundles", nargs="+", metavar="BUNDLE", help="folder of a run, its id, a pin, or: latest"
    )
    options.add_argument(
        "--format",
        choices=("html", "junit", "markdown", "json", "sarif", "annotations"),
        help="print this one instead of writing all into the bundle; sarif: for code scanning, "
        "annotations: workflow commands of GitHub Actions",
    )
    options.add_argument(
        "--output", metavar="FILE", help="with --format: where to, - is standard output (default)"
    )
    return options


def parse_args(argv: list[str]) -> argparse.Namespace:
    """The arguments after `soundstage report`."""
    options = parser()
    args = options.parse_args(argv)
    if args.output is not None and args.format is None:
        options.error("--output needs --format")
    return args


def run(args: argparse.Namespace, stdout: TextIO, stderr: TextIO) -> int:
    """Write what `args` asks for; returns 0, 5 when no bundle holds anything, or 6 when something
    could not be written: what there is to say is printed all the same.
    """
    # None of it is needed to say how the command is called.
    from soundstage.reports.formats.all_formats import formatted
    from soundstage.reports.formats.text import print_summary
    from soundstage.reports.run.findings import read_report
    from soundstage.results.bundle import Bundle

    to_file = args.output not in (None, "-")
    if to_file:
        check_place(Path(args.output), "--output")
    paths = _bundles(args.bundles, stderr)
    if args.format in ("html", "junit") and len(paths) > 1:
        raise UsageError(f"--format {args.format} takes one bundle, not {len(paths)}")
    reports = [read_report(Bundle.open(path)) for path in paths]
    codes: list[int] = []
    if args.format is None:
        for index, (path, report) in enumerate(zip(paths, reports, strict=True)):
            codes.append(_write_all(path, report, stderr))
            if index:
                stdout.write("\n")
            print_summary(report, stdout)
            if codes[-1] == ExitCode.PASS:
                say(f"report: {path / 'report.html'}", stdout)
    else:
        text = formatted(args.format, reports)
        if to_file:
            put(Path(args.output), text)
        else:
            print_document(text, stdout, orders=args.format == "annotations")
    empty = [path for path, report in zip(paths, reports, strict=True) if report.empty]
    for path in empty:
        say(f"{path}: no data: it holds no exchange and no rule", stderr)
    codes.append(ExitCode.NO_DATA if len(empty) == len(reports) else ExitCode.PASS)
    return worst(codes)


def _bundles(words: list[str], stderr: TextIO) -> list[Path]:
    """The folders of these words. A shell's pattern for all that is in a folder of runs also names
    the files in it, such as the page of all runs: they are passed over, and said.
    """
    files = [each for each in words if Path(each).is_file()]
    if len(files) < len(words):
        for each in files:
            what = "a page" if is_own_page(Path(each)) else "a file"
            say(f"soundstage report: {each}: {what}, no bundle: passed over", stderr)
        words = [each for each in words if each not in files]
    return [resolve(each) for each in words]


def _write_all(path: Path, report: Report, stderr: TextIO) -> int:
    """Leave the files of a report in its bundle. What cannot be left is said in one line, and
    gives the exit code: the rest of the reports are written nevertheless.
    """
    from soundstage.reports.formats.all_formats import FILES

    try:
        for name, render in FILES.items():
            put_within(path, name, render(report))
    except SoundstageError as error:
        say(f"soundstage report: {error}", stderr)
        # The folder is there, since the bundle was read from it.
        return ExitCode.ENVIRONMENT
    return ExitCode.PASS
