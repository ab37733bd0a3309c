"""The reference says what the program does: what is made says all, what is written is held."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import command_reference
import file_reference
import made_parts
import pytest

from soundstage import cli
from soundstage.assets import asset_checks, playback
from soundstage.conformance import bounded_violations, fields, violations
from soundstage.conformance.judge import Caps
from soundstage.contract import load_all
from soundstage.doctor.free_requests import LIMITS as FREE_LIMITS
from soundstage.exchange import filled_paths, session
from soundstage.exit_codes import ExitCode
from soundstage.gate import contract_check, sender
from soundstage.generation import samples
from soundstage.loadtests.generator import lag, sockets
from soundstage.loadtests.run import playback_probe
from soundstage.loadtests.schedule.scenario import Part, Scenario, seconds
from soundstage.process import memory
from soundstage.untrusted import json_text
from soundstage.wire.settings import Limits

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs/reference"
PARSERS = dict(cli.parsers())
FILES = sorted(
    {
        words[0]
        for page in REFERENCE.rglob("*.md")
        for name, words in made_parts.marks(page.read_text())
        if name == "file"
    }
)


def options(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """All options of a command, and of its sub-commands."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for each in action.choices.values():
                yield from options(each)
        elif not isinstance(action, argparse._HelpAction):
            yield action


# --- commands -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_the_page_of_a_command_says_all_its_options(name: str) -> None:
    page = (REFERENCE / f"commands/{name}.md").read_text()
    assert ("command", [name]) in list(made_parts.marks(page))
    assert f"$ soundstage {name}" in page  # with a real output
    made = made_parts.made(page)
    said = re.findall(r"^````\{option\} ([^\s,]+)", made, re.MULTILINE)
    assert set(said) == {
        each.option_strings[0] if each.option_strings else each.metavar or each.dest
        for each in options(PARSERS[name])
    }


def test_every_page_of_a_command_is_in_the_list() -> None:
    index = (REFERENCE / "commands/index.md").read_text()
    assert index.partition(":hidden:\n")[2].split("\n```")[0].split() == list(cli.COMMANDS)
    pages = {page.stem for page in (REFERENCE / "commands").glob("*.md")}
    assert pages == {*cli.COMMANDS, "index"}


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_the_help_of_a_command_says_its_exit_codes(name: str) -> None:
    found = command_reference._CODES.search(PARSERS[name].epilog or "")
    assert found is not None
    numbers = {int(number) for number in re.findall(r"(?:^|,\s)(\d+) ", found[1])}
    assert {ExitCode.PASS, ExitCode.USAGE} <= numbers <= set(ExitCode)


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_an_option_says_what_it_does_and_what_it_is_where_it_is_left_out(name: str) -> None:
    for action in options(PARSERS[name]):
        assert action.help or action.choices, action
        usual = action.default not in command_reference._UNSAID
        # Of choices the site says it; a terminal shows the choices.
        assert not usual or action.choices or "default" in (action.help or "").lower(), action


def test_every_exit_code_stands_on_its_page() -> None:
    table = (REFERENCE / "exit-codes.md").read_text().partition("\n\nA signal")[0]
    numbers = [
        int(word) for row in re.findall(r"^\| ([\d, ]+) \|", table, re.M) for word in row.split(",")
    ]
    assert sorted(numbers) == sorted(ExitCode)


# --- contracts and files --------------------------------------------------------------------------


def test_every_api_version_has_a_page_with_all_its_rules() -> None:
    contracts = load_all()
    assert {page.stem for page in (REFERENCE / "rules").glob("*.md")} == {*contracts, "index"}
    for api, contract in contracts.items():
        made = made_parts.made((REFERENCE / f"rules/{api}.md").read_text())
        shown = re.findall(r"^````\{rule\} (.*)$", made, re.MULTILINE)
        assert shown == [rule.id for rule in contract.rules]


@pytest.mark.parametrize("name", FILES)
def test_every_key_of_a_file_has_its_meaning(name: str) -> None:
    rows = re.findall(
        r"^\| `([^`]*)`\{#(.*?)\} \|.*\| (.*) \|$", file_reference.of_file(name), re.M
    )
    for part in file_reference.schema_of(name).get("$defs", {}):
        made = file_reference.of_file(name, part)
        rows += re.findall(r"^\| `([^`]*)`\{#(.*?)\} \|.*\| (.*) \|$", made, re.M)
    assert rows
    assert not [place for _, place, meaning in rows if not meaning]


def test_every_file_with_a_schema_has_its_keys_on_a_page() -> None:
    assert {*file_reference.FILE_SCHEMAS, "protocol"} == set(FILES)


def test_the_defaults_of_a_scenario_are_those_that_its_schema_says() -> None:
    known = file_reference.schema_of("scenario")["properties"]
    said = {key: value["default"] for key, value in known.items() if "default" in value}
    usual = Scenario()
    for key in ("warmup", "drain", "timeout", "idle_timeout"):
        assert seconds(str(said.pop(key))) == getattr(usual, f"{key}_s")
    assert said.pop("arrivals") == usual.process
    assert said == {key: getattr(usual, key) for key in ("seed", "abort_on_hopeless")}
    part = {k: v.get("default") for k, v in known["traffic"]["items"]["properties"].items()}
    assert part == {"api": None, "endpoint": Part("").endpoint, "weight": Part("").weight}


def test_a_page_cannot_ask_for_what_nobody_makes() -> None:
    with pytest.raises(KeyError):
        made_parts.made("<!-- made: nothing -->\n<!-- end -->\n")


def test_what_is_made_of_strategies_and_fixtures_names_all() -> None:
    made = made_parts.made((REFERENCE / "pytest.md").read_text())
    for name in (*samples.__all__, "gate", "holds", "explore", "emulator", "emulator_options"):
        assert re.search(rf"^````\{{(strategy|fixture)\}} {name}$", made, re.MULTILINE), name


# --- environment and limits -----------------------------------------------------------------------

#: Files that go through variables by names that they hold themselves, and read no other.
_BY_LIST = {"outgoing.py", "decoder_process.py", "isolation.py", "contract_folders.py"}
_USE = re.compile(r"environ(?:\.get\(|\.pop\(|\[)([^,)\]]+)|env_var=([^,)]+)|getenv\(([^,)]+)")
_CONSTANT = re.compile(r'^(\w*VARIABLE)(?:: Final)? = "(\w+)"', re.MULTILINE)


def test_every_variable_that_is_read_is_on_the_page() -> None:
    page = (REFERENCE / "environment.md").read_text()
    told = set(re.findall(r"`([A-Za-z_]{4,})`", "".join(re.findall(r"^\| (`.*?) \|", page, re.M))))
    sources = [
        path.read_text()
        for folder in ("src", "loadtests", "reports", "contracts")
        for path in (ROOT / folder).rglob("*.py")
        if path.name not in _BY_LIST
    ]
    listed = [path.read_text() for path in (ROOT / "src").rglob("*.py") if path.name in _BY_LIST]
    constants = {
        name: value for text in sources + listed for name, value in _CONSTANT.findall(text)
    }
    read = set(constants.values())
    for text in sources:
        for use in _USE.finditer(text):
            word = next(filter(None, use.groups())).strip()
            if word != '"HTTP_" + name.upper(' and not word.startswith('"REQUEST_'):  # of WSGI
                read.add(word.strip('"') if '"' in word else constants[word])
    # Python reads the width; pytest and Locust the others themselves.
    assert told == read | {"COLUMNS", "LOCUST_HOST"}


def mib(many: int) -> str:
    return f"{many // 2**20} MiB"


def kib(many: int) -> str:
    return f"{many // 2**10} KiB"


WORDS = {3: "three", 10: "ten", 100: "hundred", 1_000: "a thousand", 3_600: "an hour"}
_TRANSPORT, _CAPS, _SAID = Limits(), Caps(), bounded_violations.SAID
LIMITS = [
    f"nested deeper than {_CAPS.json_depth} levels",
    f"| an event | {mib(_CAPS.event_bytes)} |",
    f"values in one event, result or error | {json_text.MOST_VALUES:,} |",
    f"events of a stream | {_CAPS.events:,} (",
    f"| the body | {mib(_TRANSPORT.body_bytes)} |",
    f"| the head | {kib(_TRANSPORT.head_bytes)} |",
    f"{session.TIMEOUT_S:g} s, and {session.IDLE_TIMEOUT_S:g} s without a byte",
    f"{mib(asset_checks.MOST_BYTES)}, {asset_checks.TOTAL_S:g} s, {asset_checks.MOST_URLS} of one",
    f"about two {WORDS[(_SAID.places + _SAID.repeated) // 2]} are",
    f"up to {WORDS[_SAID.of_a_place]} of the same place",
    f"longer than {violations.LONGEST_PATH} characters",
    f"messages longer than {violations.LONGEST_MESSAGE} ",
    f"After {WORDS[fields.MOST_EXPLAINED]} faults of one chunk",
    f"`soundstage doctor` | {kib(FREE_LIMITS.body_bytes)}, {FREE_LIMITS.total_s:g} s |",
    f"{mib(playback.MOST_BYTES)} and {playback.TOTAL_S:g} s a track, ",
    f"{playback_probe.MOST_TRACKS} tracks; {playback_probe.REST_S:g} s without music",
    f"at most {mib(memory.MOST_BYTES)} of their answers",
    f"below {kib(memory.FREE_BYTES)} an exchange",
    f"less {sockets._OURS})",
    f"more than {lag.DROPPED_SHARE:.0%} of them",
    f"{WORDS[int(contract_check._TIMEOUT_S)]} if nobody says",
    f"{WORDS[int(session.TIMEOUT_S / 60)]} minutes more for each request",
    f"After {WORDS[sender.MOST_TIMEOUTS]} requests that ran into a timeout",
    f"more than {filled_paths.LONGEST:,} characters",
]


def test_every_limit_on_the_page_is_that_of_the_code() -> None:
    page = " ".join((REFERENCE / "limits.md").read_text().split())
    for phrase in LIMITS:
        assert phrase in page, phrase
        page = page.replace(phrase, "")
    # Statuses, exit codes and percent-encodings are no limits.
    assert not set(re.findall(r"(?<![\w%])\d[\d,]*\b", page)) - {"401", "403", "4", "1"}
