"""`soundstage load`: a load run in this process, its verdict and its report.

Locust is imported when the command runs, not before: importing it patches the sockets of the
whole process, and `--help` has no need of it.
"""

from __future__ import annotations

import argparse
import io
import json
import signal
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from soundstage import cli
from soundstage.config import Config, find_config
from soundstage.errors import UsageError
from soundstage.exchange import consent
from soundstage.exchange.spawn import EMULATOR, is_free, spawned_emulator
from soundstage.exit_codes import ExitCode, with_report
from soundstage.loadtests.load_drives import Drive, measure, search, watched
from soundstage.loadtests.load_options import duration, parse_args, parser, start_buffer
from soundstage.loadtests.merged_options import how_much, parameters, planned, scenario_of
from soundstage.loadtests.schedule.scenario import Scenario
from soundstage.loadtests.schedule.scenario_file import ready
from soundstage.output import visible
from soundstage.output.progress_lines import say_at_once
from soundstage.output.streams import say
from soundstage.process import rubbish, signals
from soundstage.proof.one_conforming import refuse_unkept, unkept_apis
from soundstage.results.layout import free_folder
from soundstage.target_options import (
    confirm_configured,
    connection_of,
    named,
    target_of,
    tell_config,
    tell_unknown_rules,
)

if TYPE_CHECKING:
    from soundstage.loadtests.against.asked_comparison import AskedComparison
    from soundstage.loadtests.run.asked_load import LoadOptions
    from soundstage.loadtests.run.load_run import LoadRun

__all__ = ["HELP", "duration", "parse_args", "parser", "run"]

HELP = "run a load test"


def run(args: argparse.Namespace, stdout: TextIO, stderr: TextIO) -> int:
    """Run the load, report it; returns the exit code (docs/reference/exit-codes.md)."""
    if args.list_scenarios:
        _list(stdout)
        return 0
    if args.locustfile:
        say(str(Path(__file__).with_name("locustfile.py")), stdout)
        return 0
    config = find_config(args.config)
    tell_config(config, "soundstage load", stderr)
    target = target_of(args, config)
    scenario = scenario_of(args, config)
    start_buffer(args)
    refuse_unkept(part.api for part in scenario.parts)
    asked = None
    if args.against is not None:
        from soundstage.loadtests.against.asked_comparison import asked_comparison, with_songs

        asked = asked_comparison(args, scenario)
        scenario = with_songs(scenario, asked.plan.most)
    if args.out is not None:
        free_folder(Path(args.out))
    budget = args.budget if args.budget is not None else config.target.budget
    spends = any(
        not is_free(each) and limit
        for each, limit in ((target, budget), (args.against or EMULATOR, args.against_budget))
    )
    plan = _plan(args, target, scenario, budget, asked if args.dry_run or spends else None)
    if args.dry_run:
        print(plan, file=stdout)
        return 0
    tell_unknown_rules(config, {part.api for part in scenario.parts}, "soundstage load", stderr)
    confirm_configured(args, config, target, stderr)
    if spends:
        if args.yes:
            print(plan, file=stderr)
        else:
            consent.ask(plan, stderr)
    _tell(f"loading {named(target)}: {_how_much(scenario, asked)} …", stderr)

    import locust  # noqa: F401 - patches sockets, and must before anything uses one

    with ExitStack() as stack:
        url = target
        if url == EMULATOR:
            url = _start(args.emulator_args, scenario, stack, stderr)
        options = _options(args, config, scenario, url, budget)
        if target == EMULATOR:
            options = replace(options, started_with=tuple(args.emulator_args))
        options, drive = _drive(args, options, asked, stack, stdout, stderr)
        code, load = _load(options, drive, stderr, args.processes)
    if code == ExitCode.INCONCLUSIVE and args.on_inconclusive == "warn":
        code = ExitCode.PASS
    return with_report(code, _report(args, load, stdout, stderr))


def _how_much(scenario: Scenario, asked: AskedComparison | None) -> str:
    if asked is None:
        return how_much(scenario)
    from soundstage.loadtests.against import against_words

    return against_words.how_much(asked, scenario)


def _drive(
    args: argparse.Namespace,
    options: LoadOptions,
    asked: AskedComparison | None,
    stack: ExitStack,
    stdout: TextIO,
    stderr: TextIO,
) -> tuple[LoadOptions, Drive]:
    """What drives the run, and its options with what that adds to them."""
    if asked is None:
        return options, (
            search(args, stdout, stderr) if args.find_capacity else measure(args, stderr)
        )
    from soundstage.loadtests.against.comparing_run import comparing

    scenario = options.scenario
    return comparing(
        asked,
        args,
        options,
        start=lambda words: _start(words, scenario, stack, stderr),
        watched=lambda load: watched(load, args, stderr),
        stderr=stderr,
    )


def _report(args: argparse.Namespace, load: LoadRun, stdout: TextIO, stderr: TextIO) -> int:
    """Write the reports of what was run, and say what it came to; the exit code of that."""
    shown = io.StringIO() if args.format == "json" else stdout
    if load.unwritten is not None:
        # The bundle has no last word to make a report of.
        reported: int = ExitCode.ENVIRONMENT
        say(_in_a_line(load), shown)
    else:
        reported = cli.run("report", [str(load.bundle.path)], shown, stderr)
    if args.format == "json":
        say(visible.in_json(json.dumps(load.bundle.run)), stdout)
    else:
        for waiver in load.recording.weights.unused():
            say(f"unused waiver: {waiver.describe()}", stdout)
    return reported


def _plan(
    args: argparse.Namespace,
    target: str,
    scenario: Scenario,
    budget: int | None,
    asked: AskedComparison | None,
) -> str:
    """What would be sent to the target, in lines; and until when, of what is compared (`asked`)."""
    if args.find_capacity:
        from soundstage.loadtests.capacity import search_words

        if not scenario.slos:
            raise UsageError("--find-capacity needs an objective: --slo 'complete.p95<2m'")
        return search_words.planned(target, scenario, search_words.limits_of(args), budget)
    plan = planned(target, scenario, budget)
    if args.against is None and args.looks is not None:
        from soundstage.loadtests.against.objective_plan import planned_looks

        plan += "\n" + planned_looks(scenario, args.looks)
    if asked is not None:
        from soundstage.loadtests.against import against_words

        same_key = args.against_key_file is None
        plan += "\n" + against_words.planned(
            asked, scenario, args.against_budget, same_key=same_key
        )
    return plan


def _start(words: list[str], scenario: Scenario, stack: ExitStack, stderr: TextIO) -> str:
    """The URL of an emulator of our own, which ends with `stack`."""
    apis = [part.api for part in scenario.parts if part.api]
    _tell("starting the emulator …", stderr)
    url = stack.enter_context(spawned_emulator(words, apis, left_out=unkept_apis()))
    _tell(f"the emulator listens on {url}", stderr)
    return url


def _tell(text: str, stderr: TextIO) -> None:
    say_at_once(text if stderr.isatty() else f"soundstage load: {text}", stderr)


def _in_a_line(load: LoadRun) -> str:
    """What was judged, where no bundle could be kept of it."""
    recording = load.recording
    found = ", ".join(f"{code} {many:,}" for code, many in recording.codes.most_common(5))
    said = "FAIL  Contract broken" if recording.matrix.broken else "INCOMPLETE  No verdict"
    of = f"{recording.violating:,} of {recording.done:,} exchanges violate"
    return f"{said}: {of}{f' ({found})' if found else ''}"


def _list(stdout: TextIO) -> None:
    found = ready()
    width = max(map(len, found))
    for name, scenario in found.items():
        say(f"{name:<{width}}  {scenario.description}", stdout)
        say(f"{'':<{width}}  {', then '.join(scenario.words())}", stdout)
        say(f"{'':<{width}}  {', '.join(scenario.slos)}", stdout)


def _load(options: LoadOptions, drive: Drive, stderr: TextIO, many: int) -> tuple[int, LoadRun]:
    """The run itself, as `drive` drives it, in this process or on so many others; its exit code,
    and itself.
    """

    import gevent
    from locust.env import Environment

    from soundstage.loadtests.cluster.processes import Processes
    from soundstage.loadtests.generator.sockets import too_few
    from soundstage.loadtests.run import users
    from soundstage.loadtests.run.run_end import conclude
    from soundstage.loadtests.run.run_setup import open_run

    open_loop = options.scenario.users is None
    user: Any = users.ArrivalsUser if open_loop else users.SongUser
    user_class = type("Arrivals" if open_loop else "Songs", (user,), {"host": options.target})
    team = Processes(many, options, user_class) if many > 1 else None
    with ExitStack() as stack:
        if team is not None:
            stack.callback(team.end)
        environment = Environment(user_classes=[user_class], host=options.target)
        # Whoever stops the run after its bundle has begun finds a report in it.
        with signals.held():
            load = team.open(environment) if team is not None else open_run(environment, options)
            for each in signals.signals():
                stack.callback(signal.signal, each, signal.getsignal(each))
                stack.callback(gevent.signal_handler(each, _asked_to_stop, load, each).cancel)
        if (signum := signals.heard()) is not None:
            load.interrupt(signum)
        for warning in load.session.warnings:
            say(f"soundstage load: {warning}", stderr)
        if (lack := too_few(options.scenario.users or 0, many)) is not None:
            say(f"soundstage load: {lack}", stderr)
        runner: Any = (
            environment.create_local_runner() if team is None else team.runner(environment)
        )
        stack.callback(runner.quit)
        users.attach(environment, load, options.scenario.schedule if open_loop else None)
        stack.callback(users.detach, environment)
        with load.bundle, rubbish.seldom():
            if team is not None:
                team.lead(runner)
            drive(load, environment)
            code = conclude(load)
    if many := load.session.client.room.refused:
        exchanges = "1 exchange" if many == 1 else f"{many} exchanges"
        said = "found no room in memory for all of their answers (docs/reference/limits.md)"
        say(f"soundstage load: {exchanges} {said}", stderr)
    why = load.failure or load.unwritten
    if why is not None:
        say(f"soundstage load: stopped early: {why}", stderr)
    return code, load


def _asked_to_stop(load: LoadRun, signum: int) -> None:
    if signals.hear(signum) != "echo":
        load.interrupt(signum)


def _options(
    args: argparse.Namespace, config: Config, scenario: Scenario, url: str, budget: int | None
) -> LoadOptions:
    from soundstage.loadtests.run.asked_load import LoadOptions

    # Players are load, too: runs with and without them are not alike.
    probed = {}
    if args.probe_playback:
        probed = {"probe_playback": args.probe_playback, "start_buffer_s": start_buffer(args)}
    if args.against is not None:
        probed |= {"against": args.against, "gates": args.gate}
        # A load with gaps is another load.
        probed |= {"pause_at_looks": True} if args.pause_at_looks else {}
    return LoadOptions(
        target=url,
        scenario=scenario,
        budget=budget,
        out=args.out,
        command=args.command,
        parameters=tuple({**parameters(scenario), **probed}.items()),
        probe_playback=args.probe_playback,
        start_buffer_s=start_buffer(args),
        config=config,
        **connection_of(args, config),
    )
