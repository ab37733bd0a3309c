"""soundstage.toml: defaults of the commands, waivers of known findings, severities of rules.

A file that is not fully understood is refused by file, place and reason; it is never half-read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import orjson

from soundstage.conformance.violations import Severity, Violation, fingerprint
from soundstage.errors import UsageError
from soundstage.untrusted import toml_text
from soundstage.untrusted.schema_refusal import first_wrong, place_of, reason_of
from soundstage.untrusted.strange_files import check_plain, read_named, read_plain

#: Looked for in the current folder and above.
FILE_NAME = "soundstage.toml"
#: What the root of a repository holds: a folder, or a file where it is a second checkout.
_REPOSITORY = ".git"


@dataclass(frozen=True, slots=True)
class Waiver:
    """A known finding: by fingerprint, or by rule and code; or, by its own fingerprint, a `drift`
    between two runs. Holds until the end of `until`.
    """

    reason: str
    until: date
    fingerprint: str | None = None
    drift: str | None = None
    rule: str | None = None
    code: str | None = None

    def matches(self, violation: Violation) -> bool:
        """Whether it speaks of this violation, whatever the date."""
        if self.drift is not None:
            return False
        if self.fingerprint is not None:
            return self.fingerprint == fingerprint(violation)
        return (self.rule, self.code) == (violation.rule, violation.code)

    def holds(self, today: date) -> bool:
        """Whether it has not expired."""
        return today <= self.until

    def describe(self) -> str:
        """What it waives, in words."""
        if self.drift is not None:
            what = f"drift {self.drift}"
        elif self.fingerprint is not None:
            what = f"fingerprint {self.fingerprint}"
        else:
            what = f"{self.code} {self.rule}"
        return f"{what} (until {self.until}: {self.reason})"


@dataclass(frozen=True, slots=True)
class TargetDefaults:
    """What [target] says; None where it is silent. `timeout`: seconds, see `CheckOptions`."""

    url: str | None = None
    api: tuple[str, ...] | None = None
    key_file: str | None = None
    ca_file: str | None = None
    budget: int | None = None
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class Config:
    """A configuration. `severities` are by rule id, or by a path that ends in a slash. `above`: the
    file was found above the current folder; `passed_over`: the first file that was found there and
    not read, since somebody else owns it.
    """

    path: Path | None = None
    above: bool = False
    passed_over: Path | None = None
    target: TargetDefaults = TargetDefaults()
    severities: Mapping[str, Severity] = field(default_factory=dict)
    waivers: tuple[Waiver, ...] = ()

    def severity(self, violation: Violation) -> Severity:
        """What a violation weighs here: the longest entry that covers its rule decides."""
        best = ""
        for rule in self.severities:
            covers = rule == violation.rule or (
                rule.endswith("/") and violation.rule.startswith(rule)
            )
            if covers and len(rule) > len(best):
                best = rule
        return self.severities[best] if best else violation.severity

    def waivers_of(self, violation: Violation) -> list[Waiver]:
        """The waivers that speak of a violation, expired ones too."""
        return [waiver for waiver in self.waivers if waiver.matches(violation)]

    def waivers_of_drift(self, mark: str) -> list[Waiver]:
        """The waivers that name a drift by its fingerprint, expired ones too."""
        return [waiver for waiver in self.waivers if waiver.drift == mark]

    def reweighed(self, violation: Violation) -> Violation:
        """The violation with the severity that it has here."""
        severity = self.severity(violation)
        return (
            violation if severity is violation.severity else replace(violation, severity=severity)
        )


def find_config(named: str | None = None, folder: Path | None = None) -> Config:
    """The configuration in the file that is named, else in soundstage.toml of the current folder or
    of one above it (`_above`), else an empty one.

    Raises UsageError for a named file that is not there, and for one that is not understood.
    """
    if named is not None:
        return read_config(Path(named))
    folder = folder or Path()
    path = folder / FILE_NAME
    if os.path.lexists(path):
        return read_config(path, within=folder)
    try:
        owners = {os.geteuid(), os.stat(folder).st_uid}
        found = next((each for each in _above(folder, owners) if os.path.lexists(each)), None)
        if found is None:
            return Config()
        if os.lstat(found).st_uid not in owners:
            return Config(passed_over=found)
    except OSError:  # a folder that is gone, or that may not be looked into
        return Config()
    return replace(read_config(found, within=found.parent), above=True)


def _above(folder: Path, owners: Set[int]) -> Iterator[Path]:
    """Where the file may lie above a folder: up to the root of its repository, to the user's home,
    or to the last folder before one that belongs to somebody else, whatever comes first. Whoever
    may write there could as well have written here.
    """
    at = Path(os.path.realpath(folder))
    home = Path(os.path.realpath(os.path.expanduser("~")))
    while not (os.path.lexists(at / _REPOSITORY) or at == home):
        at = at.parent
        if at == at.parent or os.stat(at).st_uid not in owners:
            return
        yield Path(os.path.relpath(at, folder)) / FILE_NAME


def read_config(path: Path, *, within: Path | None = None) -> Config:
    """The configuration in a file. `within`: nobody named it, it was found in this folder, and so
    it has to be a file in it. Raises UsageError with file, place and reason.
    """
    try:
        if within is None:
            text = read_named(path, most=toml_text.MOST_BYTES)
        else:
            text = read_plain(path, most=toml_text.MOST_BYTES, within=within)
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such file; `soundstage init` writes one") from error
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error
    except ValueError as error:  # a name that no file can have
        raise UsageError(f"{path}: {error}") from error
    data = toml_text.parse(text, path)
    if found := list(_validator().iter_errors(data)):
        wrong = first_wrong(found)
        raise UsageError(f"{path}: {place_of(wrong)}: {_reason(wrong)}")
    target = data.get("target", {})
    return Config(
        path=path,
        target=TargetDefaults(
            url=target.get("url"),
            api=tuple(target["api"]) if "api" in target else None,
            key_file=_beside(path, target, "key_file"),
            ca_file=_beside(path, target, "ca_file"),
            budget=target.get("budget"),
            timeout=target.get("timeout"),
        ),
        severities={rule: Severity(name) for rule, name in data.get("severity", {}).items()},
        waivers=tuple(
            _waiver(path, number, row) for number, row in enumerate(data.get("waiver", ()))
        ),
    )


def _waiver(path: Path, number: int, row: Mapping[str, Any]) -> Waiver:
    try:
        until = date.fromisoformat(row["until"])
    except ValueError as error:
        raise UsageError(f"{path}: [waiver][{number}][until]: {error}") from error
    return Waiver(
        reason=row["reason"],
        until=until,
        fingerprint=row.get("fingerprint"),
        drift=row.get("drift"),
        rule=row.get("rule"),
        code=row.get("code"),
    )


def _beside(path: Path, target: Mapping[str, Any], key: str) -> str | None:
    """A file that the configuration names, found from where the configuration is."""
    if key not in target:
        return None
    try:
        found = path.parent / Path(target[key]).expanduser()
    except RuntimeError as error:  # nobody of that name has a home
        raise UsageError(f"{path}: [target][{key}]: {error}") from error
    check_plain(found, place=f"{path}: [target][{key}]")
    return str(found)


@cache
def _validator() -> Any:
    import jsonschema_rs

    return jsonschema_rs.Draft202012Validator(orjson.loads(schema_text()))


def schema_text() -> str:
    """The JSON Schema of the file."""
    return files("soundstage").joinpath("config.schema.json").read_text("utf-8")


def _reason(wrong: Any) -> str:
    """What the schema cannot say in words for people, and else its own."""
    if wrong.kind.name.startswith("oneOf"):
        return "a waiver names a fingerprint, or a drift, or both a rule and a code"
    return reason_of(wrong, orjson.loads(schema_text()))
