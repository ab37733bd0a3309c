"""Ends a load run: what it shows, what voids it, and the last word in its bundle."""

from __future__ import annotations

from typing import Any

from soundstage.errors import BudgetError, SoundstageError, TargetError
from soundstage.exit_codes import ExitCode, with_report
from soundstage.loadtests.run.load_run import LoadRun
from soundstage.process import signals
from soundstage.results import verdicts
from soundstage.results.arrivals.held_streams import BUFFERED, held_words

#: Reasons that are the target's or the environment's, not the contract's.
_ENVIRONMENT = ("api.", "http.", "environment.", "harness.idle_timeout", "harness.total_timeout")
_VERDICTS = {0: "pass", 1: "fail", 3: "fail", 6: "invalid"}
#: The exit code of a search, by what it found.
_OF_CAPACITY = {"found": 0, "at_least": 0, "none": 3, "unfinished": 4}


def conclude(run: LoadRun) -> int:
    """Finish the bundle of a run that is drained; returns the exit code
    (docs/reference/exit-codes.md).
    """
    run.unwatch()
    if run.failure is not None and not isinstance(run.failure, SoundstageError):
        raise run.failure
    session = run.session
    stepped = run.clock_stepped()
    run.bill.settle(run.recording)
    voids = _voids(run, stepped)
    slos = slo_results(run)
    code = _exit_code(run, voids, slos)
    try:
        _finish(run, code, voids, slos, stepped)
    except TargetError as error:
        run.unwritten = error
        code = with_report(code, ExitCode.ENVIRONMENT)
    session.close()
    return code


def _finish(
    run: LoadRun,
    code: int,
    voids: list[dict[str, str]],
    slos: list[dict[str, Any]],
    stepped: bool,
) -> None:
    """The last word in the bundle. Raises TargetError if it cannot be written."""
    recording, session = run.recording, run.session
    sources = [source for source, count in recording.timing.items() if count]
    run.bundle.observed(recording.observed.to_json())
    run.bundle.finish(
        verdict=None if run.interrupted else _VERDICTS.get(code, "inconclusive"),
        exit_code=code,
        reason=_why(run, code, voids, slos),
        rules=recording.matrix.rows(),
        voids=voids,
        totals=_totals(run),
        status="interrupted" if run.interrupted else "complete",
        budget={"limit": session.budget.limit, "spent": run.spent(), **run.bill.cost()},
        clock={
            "source": sources[0] if len(sources) == 1 else "mixed" if sources else "kernel",
            "stepped": stepped,
        },
        slos=slos,
        capacity=run.capacity,
        looks=run.looks,
        workers=run.workers(),
    )


def slo_results(run: LoadRun) -> list[dict[str, Any]]:
    """What is known of each objective by now: the entries of `slos` in run.json.

    Where the run was given up because of one, the usual interval would say too much: it was
    looked at again and again. Then it is missed only if that is shown whatever was looked at.
    """
    entries = []
    invalid = None if run.capacity is not None else run.why_invalid()
    for tally in run.recording.scorecard.tallies:
        entry = verdicts.result(tally) if run.looked_at is None else run.looked_at(tally)
        if invalid is not None:
            # Whatever the times are, they are not the target's alone.
            entry["verdict"], entry["reason"], entry["more"] = verdicts.INCONCLUSIVE, invalid, None
        elif run.given_up is not None and run.given_up[0] is tally:
            why = run.given_up[1]
            entry["verdict"] = verdicts.FAIL if why.missed else verdicts.INCONCLUSIVE
            entry["reason"], entry["more"] = f"given up: {why.reason}", None
        entries.append(entry)
    return entries


def _totals(run: LoadRun) -> dict[str, Any]:
    load = run.loaded()
    return {
        "arrivals_asked": load.asked,
        "arrivals_started": load.started,
        "dropped": load.dropped,
        "late_starts": load.late.late,
        "late_p99_ms": round(load.late.quantile(0.99) * 1000, 3),
        "loop_lag_p50_ms": round(load.lags.quantile(0.5) * 1000, 3),
        "loop_lag_p99_ms": round(load.lags.quantile(0.99) * 1000, 3),
        "cpu_share": round(run.cpu_share(), 4),
        "steal_share": None if load.steal is None else round(load.steal, 4),
        "most_in_flight": run.flights.most,
        "found_no_room": run.session.client.room.refused,
        "outcomes": dict(run.recording.outcomes),
        "violating": run.recording.violating,
        "judged": run.recording.matrix.judged(),
        **run.recording.held.to_json(),
        "seconds": round(run.elapsed_s, 3),
        **run.further_totals(),
    }


def _voids(run: LoadRun, stepped: bool) -> list[dict[str, str]]:
    voids = []
    if isinstance(run.failure, BudgetError):
        # Used up on the way: what was measured until then is right, and there is less of it.
        voids.append({"kind": "budget", "message": str(run.failure)})
    elif run.failure is not None:
        voids.append({"kind": "incomplete", "message": str(run.failure)})
    voids += [{"kind": "incomplete", "message": message} for message in run.missing()]
    voids += run.further_voids
    # The trials of a search are valid or not each by itself.
    if run.capacity is None and (why := run.why_invalid()) is not None:
        voids.append({"kind": "generator", "message": why})
    if stepped:
        message = "the system's clock was set during the run: its times are not to be trusted"
        voids.append({"kind": "clock", "message": message})
    reasons = run.recording.matrix.reasons()
    if reasons and not run.recording.matrix.judged() and not run.interrupted:
        reason, many = reasons[0]
        if reason.startswith(_ENVIRONMENT):
            message = f"no answer could be judged: {reason} ({many} times)"
            voids.append({"kind": "target", "message": message})
    return voids


def _exit_code(run: LoadRun, voids: list[dict[str, str]], slos: list[dict[str, Any]]) -> int:
    if run.interrupted:
        return signals.code(run.stopped_by)
    if run.recording.matrix.broken:
        return ExitCode.BROKEN
    if any(void["kind"] != "budget" for void in voids):
        return ExitCode.ENVIRONMENT
    if not run.recording.done:
        return ExitCode.NO_DATA
    if run.capacity is not None:
        return _OF_CAPACITY[run.capacity["verdict"]]
    kept = verdicts.overall([*slos, *([run.looks] if run.looks else [])])
    if kept == verdicts.FAIL:
        return ExitCode.SLOW
    whole = run.recording.matrix.judged() and not voids
    met = whole and kept == verdicts.PASS
    return ExitCode.PASS if met else ExitCode.INCONCLUSIVE


def _why(
    run: LoadRun, code: int, voids: list[dict[str, str]], slos: list[dict[str, Any]]
) -> str | None:
    """Why the run came to this end, in a sentence; where it passed, what to know of its times, and
    None if there is nothing.
    """
    if code == ExitCode.BROKEN:
        return run.recording.broken()
    reason = None if code == ExitCode.PASS else _reason(run, voids, slos)
    held = held_words(run.recording.held.to_json())
    if held is None or reason is None:
        return reason or held
    return reason if BUFFERED in reason else f"{reason}; {held}"


def _reason(run: LoadRun, voids: list[dict[str, str]], slos: list[dict[str, Any]]) -> str | None:
    if voids:
        return voids[0]["message"]
    if run.capacity is not None:
        return str(run.capacity["reason"])
    for said in (verdicts.FAIL, verdicts.INCONCLUSIVE):
        if run.looks is not None and run.looks["verdict"] == said:
            return f"gates {run.looks['reason']}"
        for entry in slos:
            if entry["verdict"] == said:
                return f"SLO {verdicts.describe(entry)}"
    reasons = run.recording.matrix.reasons()
    return reasons[0][0] if reasons else None
