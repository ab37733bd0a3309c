"""Scenarios: files that are wholly understood or refused, and options that win over them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from shlex import split

import pytest

import made_up_api
from soundstage.config import Config, TargetDefaults
from soundstage.contract import available
from soundstage.errors import ContractDataError, UsageError
from soundstage.loadtests import cli, merged_options
from soundstage.loadtests.schedule.arrivals import Piece, RecordedArrivals, expected
from soundstage.loadtests.schedule.scenario import Part, Scenario, seconds, span
from soundstage.loadtests.schedule.scenario_file import find_scenario, parse_scenario, ready
from soundstage.results import slo

_WHOLE = """
description = "Everything at once."
arrivals = "constant"
warmup = "10s"
drain = 5
timeout = "2m"
idle_timeout = "500ms"
max_in_flight = 7
seed = 3
corpus = "prompts.txt"
slo = ["complete.p95<2m", "violations==0"]
abort_on_hopeless = true

[[traffic]]
api = "v6"
weight = 3

[[traffic]]
endpoint = "sync"

[[phase]]
kind = "constant"
rate = 2
duration = "30s"

[[phase]]
kind = "ramp"
from = 2
to = 4.5
duration = "1m"

[[phase]]
kind = "steps"
rates = [1, 0]
each = "10s"

[[phase]]
kind = "spike"
rate = 1
peak = 9
before = "5s"
during = "1s"
after = 0

[[phase]]
kind = "soak"
rate = 1
rise = "10s"
duration = "1h"

[[phase]]
kind = "replay"
file = "times.txt"
pace = 2
"""
_PHASE = '[[phase]]\nkind = "constant"\nrate = 1\nduration = "5s"\n'


def asked(options: str, config: Config | None = None) -> Scenario:
    return merged_options.scenario_of(cli.parse_args(split(options)), config or Config())


def test_a_scenario_may_say_everything(tmp_path: Path) -> None:
    (tmp_path / "times.txt").write_text("# seconds\n4\n0\n\n2.5\n")
    found = parse_scenario(_WHOLE, tmp_path / "all.toml")
    assert found == Scenario(
        name="all",
        description="Everything at once.",
        phases=(
            Piece(30.0, 2, 2),
            Piece(60.0, 2, 4.5),
            Piece(10.0, 1, 1),
            Piece(10.0, 0, 0),
            Piece(5.0, 1, 1),
            Piece(1.0, 9, 9),
            Piece(10.0, 0.0, 1),
            Piece(3590.0, 1, 1),
            RecordedArrivals((0.0, 1.25, 2.0), found.phases[-1].seconds),
        ),
        process="constant",
        warmup_s=10.0,
        drain_s=5.0,
        timeout_s=120.0,
        idle_timeout_s=0.5,
        max_in_flight=7,
        seed=3,
        parts=(Part("v6", "stream", 3.0), Part("", "sync", 1.0)),
        corpus=str(tmp_path / "prompts.txt"),
        slos=("complete.p95<2m", "violations==0"),
        abort_on_hopeless=True,
    )
    assert found.warmed()[0] == Piece(10.0, 2, 2)
    assert found.words()[:3] == ["2/s for 30 s", "2 to 4.5/s in 1 min", "1/s for 10 s"]


def test_a_closed_loop_has_users_and_a_duration() -> None:
    found = parse_scenario('users = 4\nduration = "1m"', Path("closed.toml"))
    assert (found.users, found.length, found.phases) == (4, 60.0, ())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("users = [", "not TOML"),
        ("rate = 3\n" + _PHASE, "the file: 'rate' is not known; there are description, arrivals"),
        ("", "the file: either phases, or users with a duration"),
        ("users = 3", "the file: either phases, or users with a duration"),
        ("users = 3\nduration = 5\n" + _PHASE, "either phases, or users"),
        ("phase = []", "[phase]: [] has less than 1 item"),
        ('[[phase]]\nkind = "ramp"\nto = 1', '[phase][0]: "from" is a required property'),
        (_PHASE.replace("duration", "duraton"), "'duraton' is not known; there are kind, rate"),
        (_PHASE.replace("duration", "duraton"), "did you mean duration?"),
        (
            _PHASE + '[[phase]]\nkind = "rampp"',
            "[phase][1][kind]: 'rampp' is none of constant, ramp",
        ),
        (_PHASE.replace("5s", "5 parsecs"), "[phase][0][duration]: '5 parsecs' is no duration"),
        (_PHASE.replace("rate = 1", "rate = inf"), '[phase][0][rate]: "inf" is not of type'),
        (_PHASE.replace("rate = 1", "rate = -1"), "[phase][0][rate]: -1 is less than"),
        (_PHASE.replace("rate = 1", "rate = 0"), "[phase]: no arrivals at all"),
        (_PHASE + "peak = 3", "[phase][0]: 'peak' is not known; there are kind, rate"),
        ("seed = 1979-05-27\n" + _PHASE, "[seed]"),
        ("[[traffic]]\nweight = 0\n" + _PHASE, "[traffic][0][weight]: 0 is less than"),
        ('[[traffic]]\napi = "v0"\n' + _PHASE, "[traffic][0]: no contract for 'v0': there are"),
        ('[[traffic]]\napi = "v6"\nendpoint = "?"\n' + _PHASE, "[traffic][0]: v6 has no endpoint"),
        ('slo = ["complete.p95<30"]\n' + _PHASE, "[slo][0]: SLO 'complete.p95<30': not underst"),
        ('[[phase]]\nkind = "replay"\nfile = "none.txt"', "none.txt: cannot read: No such file"),
        (
            '[[phase]]\nkind = "soak"\nrate = 1\nrise = "9s"\nduration = "9s"',
            "[phase][0]: rise: shorter than the duration",
        ),
        (
            'warmup = 3\n[[phase]]\nkind = "ramp"\nfrom = 0\nto = 3\nduration = 9',
            "[warmup]: a warm-up goes at the rate with which the phases begin, and that is 0",
        ),
        ("users = 3\nduration = 5\nmax_in_flight = 3", "[max_in_flight]: users have at most one"),
    ],
)
def test_a_file_that_is_not_understood_is_refused_with_place_and_reason(
    text: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as refused:
        parse_scenario(text, tmp_path / "my.toml")
    assert str(refused.value).startswith(str(tmp_path))
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_objectives_of_nothing_that_is_loaded_are_refused_before_anything_is_asked(
    tmp_path: Path,
) -> None:
    with pytest.raises(UsageError, match="did you mean streaming_ready"):
        asked("--api v6 --slo streaming_redy.p95<30s")
    file = tmp_path / "my.toml"
    file.write_text('slo = ["v6.complete.p95<2m"]\n' + _PHASE)
    assert asked(f"--scenario {file}").slos
    with pytest.raises(UsageError, match=r"my\.toml: SLO .*: no API in this run is called 'v6'"):
        asked(f"--scenario {file} --api v5")


@pytest.mark.parametrize("name", ["smoke", "steady", "ramp", "spike", "soak"])
def test_five_scenarios_come_along_and_fit_every_version(name: str) -> None:
    found = find_scenario(name)
    assert found == ready()[name]
    assert found.description
    assert expected(found.phases) > 0
    catalogue = {
        ("v6", "stream"): ["streaming_ready", "complete"],
        ("v5", "stream"): ["audio", "complete"],
    }
    assert slo.resolve(found.slos, catalogue)


def test_whether_songs_play_has_to_be_probed_to_be_an_objective() -> None:
    slos = "--slo goodput(complete<=2m,playable)>=90%"
    assert asked(f"{slos} --probe-playback").slos
    for probing in ("", "--probe-playback 10%"):
        with pytest.raises(UsageError, match="--probe-playback"):
            asked(f"{slos} {probing}")
    with pytest.raises(UsageError, match="nothing in this run can be played"):
        asked(f"{slos} --probe-playback --endpoint sync")


def test_a_scenario_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(UsageError, match="smoke, spike, steady, ramp, soak"):
        find_scenario("smok")
    with pytest.raises(UsageError, match="no such file"):
        find_scenario("nowhere/my.toml")


def test_options_win_over_a_scenario(tmp_path: Path) -> None:
    file = tmp_path / "my.toml"
    file.write_text('slo = ["violations==0"]\nwarmup = "2s"\nseed = 5\n' + _PHASE + _PHASE)
    plain = asked(f"--scenario {file}")
    assert (plain.length, plain.seed, plain.warmup_s, plain.name) == (10.0, 5, 2.0, "my")
    assert asked(f"--scenario {file} --seed 0").seed == 0
    assert asked(f"--scenario {file} --slo ok_rate>=9%").slos == ("ok_rate>=9%",)
    assert asked(f"--scenario {file} --warmup 0").warmup_s == 0.0
    assert asked(f"--scenario {file} --duration 1m").phases == (Piece(30.0, 1, 1),) * 2
    assert asked(f"--scenario {file} --rate 7").phases == (Piece(10.0, 7, 7),)
    closed = asked(f"--scenario {file} --users 3")
    assert (closed.users, closed.length, closed.phases) == (3, 10.0, ())


def test_a_search_is_an_open_loop_even_where_the_scenario_is_none(tmp_path: Path) -> None:
    file = tmp_path / "closed.toml"
    file.write_text('users = 3\nduration = "5s"\nslo = ["violations==0"]')
    found = asked(f"--scenario {file} --find-capacity")
    assert (found.users, found.slos) == (None, ("violations==0",))
    assert found.phases


def test_without_a_scenario_there_are_defaults() -> None:
    found = asked("")
    assert found.phases == (Piece(30.0, 5.0, 5.0),)
    assert [part.api for part in found.parts] == list(available())
    assert {part.endpoint for part in found.parts} == {"stream"}
    assert (found.process, found.slos, found.max_in_flight) == ("poisson", (), None)


def test_the_mixture_comes_from_options_then_the_scenario_then_the_configuration(
    tmp_path: Path,
) -> None:
    config = Config(target=TargetDefaults(api=("v6",)))
    assert asked("", config).parts == (Part("v6"),)
    assert asked("--api v5 --endpoint sync", config).parts == (Part("v5", "sync"),)
    assert asked("--traffic v6.stream=3 --traffic v5.sync").parts == (
        Part("v6", "stream", 3.0),
        Part("v5", "sync", 1.0),
    )
    file = tmp_path / "my.toml"
    file.write_text('[[traffic]]\napi = "v5"\n[[traffic]]\napi = "v6"\nweight = 2\n' + _PHASE)
    assert asked(f"--scenario {file}", config).parts == (Part("v5"), Part("v6", weight=2.0))
    assert asked(f"--scenario {file} --api v6").parts == (Part("v6", weight=2.0),)
    with pytest.raises(UsageError, match="the scenario loads none of it"):
        asked(f"--scenario {file} --api v7")


@pytest.mark.parametrize("text", ["v6=0", "v6=x", "=3", "v6=-1"])
def test_a_part_that_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"expected API\[.ENDPOINT\]\[=WEIGHT\]"):
        asked(f"--traffic {text}")


@pytest.fixture
def dotted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Contracts called v7 and v7.1, each with the endpoints `tune` and `once`."""
    made_up_api.folder(tmp_path, "no-tracks")
    for api in ("v7", "v7.1"):
        shutil.copytree(tmp_path / "no-tracks", tmp_path / api)
        file = tmp_path / api / "protocol.json"
        file.write_text(file.read_text().replace('"no-tracks"', f'"{api}"', 1))
    monkeypatch.setenv("SOUNDSTAGE_SCHEMAS", str(tmp_path))
    return tmp_path


def test_the_name_of_an_api_may_hold_dots(dotted: Path) -> None:
    words = "--traffic v7.1.stream=2 --traffic v7.1 --traffic v7.once=0.5 --traffic v7.1.tune"
    assert asked(words).parts == (
        Part("v7.1", "stream", 2.0),
        Part("v7.1", "stream", 1.0),
        Part("v7", "once", 0.5),
        Part("v7.1", "tune", 1.0),
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("v7.1.strem=1", "v7.1 has no endpoint 'strem' that makes songs; there are tune, once"),
        ("v7.1.tun", "there are tune, once; did you mean v7.1.tune?"),
        ("v7.2.tune", "v7 has no endpoint '2.tune' that makes songs"),
        ("v8.tune", "there is no API of that name; there are no-tracks, v5, v6, v7, v7.1"),
        ("v6.status", "v6 has no endpoint 'status' that makes songs; there are stream, sync"),
        ("v6.", "v6 has no endpoint '' that makes songs"),
    ],
)
def test_a_part_that_no_contract_has_is_refused_with_what_was_meant(
    dotted: Path, text: str, said: str
) -> None:
    with pytest.raises(UsageError) as refused:
        asked(f"--traffic {text}")
    assert str(refused.value).startswith(f"--traffic {text!r}: ")
    assert said in str(refused.value)


def test_a_part_that_may_mean_two_things_is_refused(dotted: Path) -> None:
    (dotted / "v7.1").rename(dotted / "v7.once")
    file = dotted / "v7.once" / "protocol.json"
    file.write_text(file.read_text().replace('"v7.1"', '"v7.once"', 1))
    said = "'once' of v7 or 'stream' of v7.once: say --api and --endpoint"
    with pytest.raises(UsageError, match=re.escape(said)):
        asked("--traffic v7.once")
    assert asked("--traffic v7.once.tune").parts == (Part("v7.once", "tune"),)
    assert asked("--traffic v7.sync").parts == (Part("v7", "sync"),)


def test_a_broken_contract_is_no_hindrance_to_another_whose_name_begins_alike(
    dotted: Path,
) -> None:
    (dotted / "v7" / "errors.json").write_text("{")
    assert asked("--traffic v7.1.stream").parts == (Part("v7.1"),)
    with pytest.raises(ContractDataError, match=r"v7/errors\.json"):
        asked("--traffic v7.tune")


def test_a_replay_takes_its_times_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "times.txt"
    file.write_text("0.5\n0.25\n")
    found = asked(f"--replay {file} --warmup 1s")
    assert list(found.schedule()) == [0.25, 0.5], "a replay has its warm-up within"
    text = f'[[phase]]\nkind = "replay"\nfile = "{file.name}"'
    replayed = parse_scenario(text, tmp_path / "my.toml")
    with pytest.raises(UsageError, match="a replay lasts as long as its file says"):
        replayed.over(5.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1\nsoon\n", ":2: 'soon'"),
        ("-1", ":1: '-1'"),
        ("nan", "'nan'"),
        ("", "no arrivals in it"),
    ],
)
def test_a_file_of_times_that_is_not_one_is_refused(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "times.txt"
    file.write_text(text)
    with pytest.raises(UsageError) as refused:
        asked(f"--replay {file}")
    assert said in str(refused.value)


def test_the_plan_says_how_many_how_long_where_and_what_it_costs() -> None:
    scenario = asked("--rate 2 --duration 5m --warmup 1m --traffic v6.stream=3 --traffic v5.sync")
    plan = merged_options.planned("https://api.example.invalid", scenario, 1000)
    assert "2/s for 5 min: about 720 requests in 6 min" in plan
    assert "to v6 stream (weight 3), v5 sync (weight 1)" in plan
    assert "about 720 billable requests (generations); a budget of 1000" in plan
    scant = merged_options.planned("https://api.example.invalid", scenario, 700)
    assert "a budget of 700, which is less: the run ends when it is spent" in scant
    closed = merged_options.planned("http://h", asked("--users 3 --duration 1m"), None)
    assert "3 users, one request after another, for 1 min" in closed
    assert "no budget" in closed


@pytest.mark.parametrize(
    ("duration_s", "text"),
    [
        (0.5, "500 ms"),
        (30, "30 s"),
        (90, "1.5 min"),
        (100, "100 s"),
        (450, "7.5 min"),
        (3600, "1 h"),
    ],
)
def test_durations_in_words(duration_s: float, text: str) -> None:
    assert span(duration_s) == text


def test_durations_are_read() -> None:
    assert [seconds(text) for text in ("30s", "2m", "500ms", "1h", "7")] == [30, 120, 0.5, 3600, 7]
    with pytest.raises(ValueError, match="no duration"):
        seconds("soon")
