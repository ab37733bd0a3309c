"""What can be seen of an emulator while it runs, and changed: its profile, faults, a forced error,
rate limits.

No HTTP here: that is `admin.py`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from itertools import islice
from typing import Any, Final

from soundstage.contract import Contract
from soundstage.emulator.accounts import rates
from soundstage.emulator.faults.choice import Faults
from soundstage.emulator.generations.admission import Admission
from soundstage.emulator.generations.generations import status_of
from soundstage.emulator.generations.store import KeptGeneration
from soundstage.emulator.http.journal import Journal
from soundstage.emulator.options import Options
from soundstage.emulator.pace.profile import Profile
from soundstage.emulator.pace.profiles import check_names, from_data, profile, profiles
from soundstage.errors import UsageError
from soundstage.near_names import did_you_mean
from soundstage.output.cutting import head

_SENT: Final = "sent"


@dataclass(frozen=True, slots=True)
class RunningSettings:
    """`profile` is the name of one, or (name, data) for one that was sent. `faults`
    None: those that it was started with. `limits` are rates by account, "" for all that have none
    of their own; None lifts a limit.
    """

    profile: str | tuple[str, Mapping[str, Any]]
    faults: tuple[str, ...] | None = None
    error: str | None = None
    limits: Mapping[str, str | None] = field(default_factory=dict)

    @classmethod
    def of(cls, options: Options) -> RunningSettings:
        """Those that an emulator starts with."""
        return cls(options.profile, error=options.error)


class Control:
    """The emulator as its operator sees it. Raises UsageError for options that make no sense."""

    def __init__(
        self,
        options: Options,
        contracts: Mapping[str, Contract],
        admission: Admission,
        faults: Faults,
        journal: Journal,
    ) -> None:
        self._contracts = contracts
        self._admission = admission
        self._factory, self._ledger = admission.factory, admission.ledger
        self._store = admission.store
        self._faults = faults
        self._journal = journal
        self._initial = self.settings = RunningSettings.of(options)
        self._apply(self.settings)

    # --- settings ---------------------------------------------------------------------------------

    def change(self, **changes: Any) -> None:
        """Change some of the settings. Raises UsageError, and changes nothing, for a value that
        makes no sense.
        """
        self._apply(replace(self.settings, **changes))

    def _apply(self, settings: RunningSettings) -> None:
        self._admission.check(settings.error)
        chosen = self._profile(settings)
        if settings.faults is not self.settings.faults:
            self._faults.replace(settings.faults)
        self._admission.apply(chosen, settings.error, settings.limits)
        self._factory.profile = chosen
        self.settings = settings

    def _profile(self, settings: RunningSettings) -> Profile:
        named = settings.profile
        if isinstance(named, str):
            return profile(named)
        name, data = named
        return from_data(name, data, "profile")

    def set_profile(self, name: str | None, data: Mapping[str, Any] | None) -> None:
        """Another profile: one that comes with the emulator, or one that is sent; neither goes back
        to the one that the emulator was started with. Raises UsageError.
        """
        if data is not None:
            from_data(_SENT, data, "profile")
            check_names(data, "profile", self._contracts)
            self.change(profile=(_SENT, data))
        elif name is None:
            self.change(profile=self._initial.profile)
        elif name in profiles():
            self.change(profile=name)
        else:
            # A file is not read here: its name would come from whoever asks.
            near = did_you_mean(name, profiles())
            there = ", ".join(profiles())
            raise UsageError(f"no profile is called {name!r}: there are {there}{near}")

    def set_limit(self, account: str, limit: str | None) -> None:
        """A rate for an account, "" for all that have none of their own; None for no limit."""
        if limit is not None:
            rates.parse(limit, "rate_limit")
        self.change(limits={**self.settings.limits, account: limit})

    def set_balance(self, account: str, balance: int) -> None:
        """Another balance for an account, also one that has not been seen yet."""
        self._ledger.set_balance(account, balance)

    def reset(self) -> None:
        """Begin anew: forget accounts, charges, refusals, generations, journal, counters, numbering
        and settings. Answers that are under way go on, but nobody can ask for them.
        """
        self._ledger.forget()
        self._journal.clear()
        self._store.clear()
        self._admission.reset()
        self._faults.reset()
        self._apply(self._initial)

    # --- seeing -----------------------------------------------------------------------------------

    def health(self) -> dict[str, Any]:
        """That this is the emulator, and what it is like; no secrets and nothing of its users."""
        self._settle()
        return {
            "emulator": "soundstage",
            "version": version("soundstage"),
            "profile": self._factory.profile.name,
            "speed": self._factory.speed,
            "takes_no_time": self._factory.profile.takes_no_time,
            "work": {api: round(self._work_s(each), 6) for api, each in self._contracts.items()},
            "seed": self._factory.seed,
            "error": self.settings.error,
            "faults": self._faults.counts,
            "charges": self._ledger.charged(),
            "asked": self._by_place(self._ledger.asked),
            "charged": self._by_place(self._ledger.charged_at),
            "contracts": {api: contract.sha256 for api, contract in self._contracts.items()},
        }

    def _by_place(self, counts: Mapping[tuple[str, str], int]) -> dict[str, dict[str, int]]:
        """Numbers by API and endpoint, of all that make songs."""
        return {
            api: {
                name: counts.get((api, name), 0)
                for name, endpoint in contract.endpoints.items()
                if endpoint.makes_songs
            }
            for api, contract in self._contracts.items()
        }

    def _work_s(self, contract: Contract) -> float:
        """How long the stages of a contract that take time take together, in seconds."""
        course = self._factory.profile.of(contract.api)
        slow = [stage.name for stage in contract.protocol.stages if stage.takes_time]
        return sum(map(course.work_s, slow)) / self._factory.speed

    def state(self) -> dict[str, Any]:
        """Everything in numbers."""
        now = asyncio.get_running_loop().time()
        self._ledger.settle(now)
        return {
            "profile": self._factory.profile.name,
            "speed": self._factory.speed,
            "seed": self._factory.seed,
            "number": self._ledger.number,
            "generations": self._stages(now),
            **self._ledger.totals(),
            "faults": self._faults.counts,
            "error": self.settings.error,
            "limits": self.limits(),
        }

    def _stages(self, now: float) -> dict[str, dict[str, int]]:
        """How many generations run, by the stage they are in (`queued` before their first chunk),
        and how many have ended, by their last.
        """
        running, ended = Counter[str](), Counter[str]()
        for kept in self._store.newest():
            made = kept.generation
            if made.end > now:
                reached = made.reached(now)
                running[made.steps[reached - 1].stage if reached else "queued"] += 1
            else:
                ended[made.steps[-1].stage if made.steps else ""] += 1
        return {"running": dict(running), "ended": dict(sorted(ended.items()))}

    def _settle(self) -> None:
        """Have charged what is due: who asks wants to know it as of now."""
        self._ledger.settle(asyncio.get_running_loop().time())

    def accounts(self, limit: int) -> list[dict[str, Any]]:
        """The accounts that were used, the busiest first."""
        self._settle()
        return self._ledger.accounts(limit)

    def account(self, name: str) -> dict[str, Any] | None:
        """One account; None if it was never used."""
        self._settle()
        return self._ledger.account(name)

    def limits(self) -> dict[str, str | None]:
        """The limits that were set while it ran, by account, "" for the default."""
        return dict(self.settings.limits)

    def profile(self) -> dict[str, Any]:
        """The profile that is in force, and those that there are."""
        current = self._factory.profile
        return {
            "profile": current.name,
            "description": current.description,
            "known": {name: each.description for name, each in profiles().items()},
        }

    def faults(self) -> dict[str, Any]:
        """The faults that any answer may get, and what became of them."""
        return {"faults": [each.text for each in self._faults.asked], "counts": self._faults.counts}

    def generations(self, limit: int, **only: str) -> list[dict[str, Any]]:
        """The newest generations, each with its status."""
        now = asyncio.get_running_loop().time()
        found = (
            kept
            for kept in self._store.newest()
            if all(getattr(kept, name) == value for name, value in only.items())
        )
        return [_shown(kept, now) for kept in islice(found, limit)]

    def journal(self, filters: dict[str, Any], since: int, limit: int) -> list[dict[str, Any]]:
        """What was received (`Journal.read`)."""
        return self._journal.read(filters, since, limit)

    def clear_journal(self) -> None:
        """Forget what was received."""
        self._journal.clear()


def _shown(kept: KeptGeneration, now: float) -> dict[str, Any]:
    generation, reached = kept.generation, kept.generation.reached(now)
    return {
        **status_of(generation, now),
        "number": kept.number,
        "time": kept.time,
        "api": kept.api,
        "endpoint": kept.endpoint,
        "account": kept.account,
        "album_art": generation.story.album_art,
        "prompt": head(generation.story.prompt, 500, end=""),
        "stages": list(dict.fromkeys(step.stage for step in generation.steps[:reached])),
        "failed": generation.failed and reached >= len(generation.steps),
    }
