"""What Schemathesis thinks of for an endpoint: the documented examples, coverage (boundaries,
missing and mistyped parameters, unexpected methods) and fuzzing, valid and not.

Of all of it as many as were asked for, spread over its phases and over what coverage has in mind.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import zip_longest
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple

import hypothesis
import schemathesis
from hypothesis import configuration
from hypothesis.internal.conjecture import providers
from schemathesis.generation.hypothesis import builder

from soundstage.contract import Contract
from soundstage.contract.json_schema.patterns import is_plain
from soundstage.contract.openapi import document
from soundstage.contract.protocol import Endpoint

#: What a body can be; anything else that Schemathesis has in its place means: none.
_JSON = (dict, list, str, int, float, bool, type(None))
#: One of so many requests is drawn at random, where there are enough of the others.
_FUZZED: Final = 3
#: So often is it tried to draw as many as were asked for.
_ROUNDS: Final = 3
_MODE = builder.HypothesisTestMode


class Case(NamedTuple):
    """A body to send as it is, with which method, and as what."""

    body: bytes
    method: str
    content_type: str


class ThoughtOf:
    """The cases of one contract, the same for the same words of a seed."""

    def __init__(self, contract: Contract) -> None:
        described = document(contract)
        # What is wrong with a key is no matter of schemas: keys are tried out by themselves.
        described.pop("security", None)
        # Without a config of its own it would read a schemathesis.toml of the current folder.
        config = schemathesis.Config()
        self._schema = schemathesis.openapi.from_dict(_searchable(described), config=config)

    def cases(self, endpoint: Endpoint, many: int, seed: str) -> list[Case]:
        """At most `many`, no two alike: one of three at random, the others of the examples and of
        coverage in turns; where there are fewer of these, more at random.
        """
        with _leaving_nothing():
            return self._cases(endpoint, many, Random(seed))

    def _cases(self, endpoint: Endpoint, many: int, rng: Random) -> list[Case]:
        covering = self._covering(endpoint, rng)
        taken = dict.fromkeys(covering[: many - many // _FUZZED])
        for _ in range(_ROUNDS):
            # Some come out alike.
            fuzzed = self._drawn(endpoint, _MODE.FUZZING, many - len(taken), rng)
            taken |= dict.fromkeys(map(_case_of, fuzzed))
        taken |= dict.fromkeys(covering)
        return list(taken)[:many]

    def _covering(self, endpoint: Endpoint, rng: Random) -> list[Case]:
        """The examples and the cases of coverage: of each kind one, then of each another one."""
        kinds: defaultdict[Any, list[Case]] = defaultdict(list)
        for mode in (_MODE.EXAMPLES, _MODE.COVERAGE):
            for case in self._drawn(endpoint, mode, 1, rng):
                phase = case.meta.phase.data if case.meta is not None else None
                kinds[getattr(phase, "scenario", None)].append(_case_of(case))
        turns = list(kinds.values())
        # The examples, which come first, are what the documentation shows.
        rest = turns[1:]
        rng.shuffle(rest)
        for each in turns:
            rng.shuffle(each)
        found = (case for turn in zip_longest(*turns[:1], *rest) for case in turn)
        return list(dict.fromkeys(case for case in found if case is not None))

    def _drawn(
        self, endpoint: Endpoint, mode: builder.HypothesisTestMode, many: int, rng: Random
    ) -> list[schemathesis.Case[Any]]:
        found: list[schemathesis.Case[Any]] = []
        if many == 0:
            return found
        settings = hypothesis.settings(
            max_examples=many,
            database=None,
            deadline=None,
            phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        test = builder.create_test(
            operation=self._schema[endpoint.path][endpoint.method],
            test_func=lambda case: found.append(case),
            config=builder.HypothesisTestConfig(
                project=self._schema.config,
                modes=[mode],
                settings=settings,
                seed=rng.getrandbits(32),
                # The same in continuous integration as anywhere else.
                apply_ci_profile=False,
            ),
        )
        with _no_constants_of_ours():
            test()
        return found


def warm_up() -> None:
    """Have both libraries load what they load when they are first used: what Hypothesis knows of
    characters, and how Schemathesis reads a document. It takes most of a second.
    """
    with _leaving_nothing():
        hypothesis.strategies.characters(categories=["L"]).validate()
    empty = {"openapi": "3.1.0", "info": {"title": "", "version": ""}, "paths": {}}
    schemathesis.openapi.from_dict(empty, config=schemathesis.Config())


def _case_of(case: schemathesis.Case[Any]) -> Case:
    body = case.body if isinstance(case.body, bytes) else b""
    if isinstance(case.body, _JSON):
        # Bytes, so that integers of any size are sent as they are.
        body = json.dumps(case.body).encode()
    return Case(body, case.method, case.media_type or "application/json")


def _searchable(value: Any) -> Any:
    """A document without the patterns for which no texts can be made up: Schemathesis searches with
    `re`, which knows no limit. What it makes up in their place is judged by the contract all the
    same.
    """
    if isinstance(value, list):
        return [_searchable(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _searchable(inner)
        for key, inner in value.items()
        if not (key == "pattern" and isinstance(inner, str) and not is_plain(inner))
    }


@contextmanager
def _leaving_nothing() -> Iterator[None]:
    """While it lasts, Hypothesis keeps its tables where they go away, unless it has a folder
    already: in a session of pytest that is somebody's, checks leave no `.hypothesis` behind.
    """
    home = configuration.storage_directory(intent_to_write=False).home_directory
    if home.exists():
        yield
        return
    with TemporaryDirectory(prefix="soundstage-", ignore_cleanup_errors=True) as folder:
        configuration.set_hypothesis_home_dir(folder)
        try:
            yield
        finally:
            configuration.set_hypothesis_home_dir(home)


@contextmanager
def _no_constants_of_ours() -> Iterator[None]:
    """While it lasts, Hypothesis draws none of the constants that stand in the modules which happen
    to be loaded: what is explored must not depend on them, and reading them takes seconds. There is
    no setting for it; one that looks elsewhere draws them as ever.
    """
    name = "_get_local_constants"
    before = getattr(providers, name, None)
    if before is None:
        yield
        return
    setattr(providers, name, providers.Constants)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        setattr(providers, name, before)
