"""A slip of the pen is answered with what may have been meant, and a key is never said."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import pytest
from command_run import run_here

from soundstage import cli
from soundstage.arguments import Parser
from soundstage.near_names import did_you_mean, near_names, sayable

#: What is no key of anybody, and looks like one.
KEY = "sk-live-4f9a8b7c6d5e4f3a2b1c"


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("chekc", "check"),
        ("Check", "check"),
        ("comapre a b", "compare"),
        ("--versoin", "--version"),
        ("check --targt emulator", "--target"),
        ("check --tar emulator", "--target"),
        ("check --target=emulator --buget=3", "--budget"),
        ("load --raet 3", "--rate"),
        ("report x --format htlm", "html"),
        ("runs lsit", "list"),
        ("runs trend --fromat html", "--format"),
        ("runs --kind chck", "check"),
        ("completion zhs", "zsh"),
        ("record --target emulator --out x --endpoint strem", "stream"),
        ("emulate --profile realstic", "realistic"),
        ("emulate --error rate_limt", "rate_limit"),
        ("emulate --fault ordr/streaming/skipped", "order/streaming/skipped"),
        ("faults --only ordr/streaming/skipped", "order/streaming/skipped"),
        ("schema --api V6", "v6"),
        ("check --target emulator --api V6", "v6"),
        ("explain stage.ordr", "stage.order"),
        ("load --target emulator --scenario smok", "smoke"),
        ("load --target emulator --traffic v6.strem", "v6.stream"),
        ("compare --allow profil a b", "profile"),
    ],
)
def test_a_name_that_nothing_has_is_answered_with_the_one_that_was_meant(line, meant):
    run = run_here(*line.split())
    assert run.returncode == 2, run
    assert run.stderr.count("\n") == 1
    assert f"did you mean {meant}" in run.stderr


@pytest.mark.parametrize(
    "line",
    [
        f"{KEY}",
        f"--api-key={KEY} check",
        f"check --api-key {KEY}",
        f"check --api-key={KEY}",
        f"check {KEY}",
        f"runs {KEY}",
        f"report x --format {KEY}",
        f"completion {KEY}",
    ],
)
def test_a_key_that_was_given_in_good_faith_is_not_said(line):
    run = run_here(*line.split())
    assert run.returncode == 2
    assert run.stderr.count("\n") == 1
    assert KEY not in run.stdout + run.stderr
    assert "4f9a8b" not in run.stderr


@pytest.mark.parametrize("line", ["check --targ emulator", "load --dura 5s", "runs list --lim 3"])
def test_an_option_that_is_cut_short_is_refused(line):
    assert "unrecognized arguments" in run_here(*line.split()).stderr


def test_what_is_far_from_everything_is_answered_with_what_there_is():
    assert did_you_mean("xyzzy", ["list", "show"]) == ""
    assert "there are init, demo" in run_here("xyzzy").stderr
    assert near_names("emulator", ["check"]) == []


def test_what_it_begins_with_is_nearer_than_what_is_alike():
    assert near_names("--tar", ["--rate", "--target"]) == ["--target"]
    assert near_names("--", ["--rate"]) == []


def test_a_word_that_is_no_key_is_said_as_it_came():
    for word in ("emulator", "http://127.0.0.1:8000", "v6/stream/index", "2026-11-28"):
        assert sayable(word) == word


def parsers() -> Iterator[Parser]:
    """Those of all commands, and of their subcommands."""
    found = [parser for _, parser in cli.parsers()]
    while found:
        yield (parser := found.pop())
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                found += action.choices.values()


def test_no_help_shows_what_only_the_formatter_reads():
    for parser in parsers():
        text = parser.format_help()
        assert "%%" not in text, parser.prog
        assert "%(" not in text, parser.prog


def test_no_parser_takes_an_option_that_is_cut_short():
    assert not any(parser.allow_abbrev for parser in parsers())


def test_the_help_of_all_says_how_to_ask_for_the_version():
    assert "-V, --version" in cli.usage()
    assert run_here("-V").stdout == run_here("--version").stdout
