"""Every command hands its parser out without parsing anything (`cli.parsers`)."""

from __future__ import annotations

import pytest

from soundstage import cli
from soundstage.arguments import Parser

PARSERS = dict(cli.parsers())


def test_every_command_gives_its_parser():
    assert list(PARSERS) == list(cli.COMMANDS)


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_a_parser_is_named_as_its_command(name):
    parser = PARSERS[name]
    assert isinstance(parser, Parser)
    assert parser.prog == f"soundstage {name}"


@pytest.mark.parametrize("command", ["check", "record", "doctor", "load"])
def test_what_an_emulator_is_told_comes_behind_what_makes_it_fast(command: str) -> None:
    """Who asks for a seed does not ask for a slow emulator; who names a speed gets that one."""
    parser = PARSERS[command]
    usual = parser.get_default("emulator_args")
    words = ["--target", "emulator"]
    assert parser.parse_args(words).emulator_args == usual
    given = parser.parse_args([*words, "--emulator-args", "--seed 3"]).emulator_args
    assert given == [*usual, "--seed", "3"]
    assert bool(usual) == (command != "load")


def test_of_options_of_an_emulator_that_stand_twice_the_last_counts() -> None:
    words = ["--profile", "instant", "--speed", "100", "--profile", "slow", "--speed", "2"]
    args = PARSERS["emulate"].parse_args(words)
    assert (args.profile, args.speed) == ("slow", 2)


@pytest.mark.parametrize("columns", [60, 140])
def test_help_is_as_wide_as_the_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    options = PARSERS["load"].format_help().partition("\nexamples:")[0].splitlines()
    described = [line for line in options if line.startswith("  --")]
    assert columns // 2 < max(map(len, described)) < columns
