"""What a load run was asked to do, and against what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from soundstage.config import Config
from soundstage.loadtests.schedule.scenario import Scenario
from soundstage.results.listening.listened import START_BUFFER_S


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """The terms of one run. `out` is the folder of the bundle, None
    for a new one below runs/; `command` and `parameters` stand in the bundle. `probe_playback`: of
    this share of the exchanges the tracks are played while they are being made, each from when
    `start_buffer_s` of music are there. `config` has the severities and waivers. `started_with`:
    the options of the emulator that was started for the run, None where the target was there
    before. `check` is given the facts of the run before anything of it is kept, and raises what
    speaks against them; `pair` says which arm of which pair of runs it is; `budget_option` is how
    its budget is given.
    """

    target: str
    scenario: Scenario = field(default_factory=Scenario)
    budget: int | None = None
    key_file: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    ca_file: str | None = None
    client_cert: tuple[str, str] | None = None
    insecure: bool = False
    keep_private: bool = False
    out: str | None = None
    command: str = ""
    parameters: tuple[tuple[str, Any], ...] = ()
    probe_playback: float = 0.0
    start_buffer_s: float = START_BUFFER_S
    config: Config = field(default_factory=Config)
    started_with: tuple[str, ...] | None = None
    check: Callable[[Mapping[str, Any]], None] | None = None
    pair: Mapping[str, str] | None = None
    budget_option: str = "--budget"
