"""Profiles: what may stand in them, what is drawn, and what the emulator makes of them."""

from __future__ import annotations

import asyncio
import heapq
import json
import math
import random
import time
from collections import Counter
from collections.abc import Callable
from itertools import accumulate, pairwise
from pathlib import Path
from statistics import fmean, median
from typing import Any

import httpx
import pytest

from soundstage.commands import emulate
from soundstage.contract import Contract, load_all
from soundstage.emulator.pace.profile import ChunkCounts, ConstantDelay, Exponential, Lognormal
from soundstage.emulator.pace.profiles import check_names, from_data, profile, profiles
from soundstage.errors import UsageError
from soundstage.exchange.spawn import spawned_emulator
from soundstage.generation.story import random_story
from soundstage.generation.walk import Step, payloads, plan

CONTRACTS = load_all()
each_contract = pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS)
KEY = {"Authorization": "Bearer any-key"}
PLAIN: dict[str, Any] = {"description": "a test", "default": {"constant": 1}}

Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a profile's file; `**words` are added to the plainest one. Gives its name."""

    def file(text: str | None = None, **words: Any) -> str:
        path = tmp_path / "mine.json"
        path.write_text(json.dumps({**PLAIN, **words}) if text is None else text)
        return str(path)

    return file


def steps(*stages: str) -> list[Step]:
    return [Step(stage, None) for stage in stages]


# --- what may stand in a profile ------------------------------------------------------------------


def test_all_promised_profiles_are_there_and_the_first_is_the_default() -> None:
    assert next(iter(profiles())) == "realistic"
    assert {"fast", "instant", "slow", "jittery", "overloaded", "steady", "mmc", "mdc"} <= {
        *profiles()
    }


def test_the_names_in_our_own_profiles_are_those_of_the_contracts() -> None:
    place = Path(emulate.__file__).parents[1] / "emulator/pace" / "profiles.json"
    for name, data in json.loads(place.read_text()).items():
        check_names(data, name, CONTRACTS)


@pytest.mark.parametrize(
    ("words", "pointer", "says"),
    [
        ({"slotz": 4}, "(whole)", "slotz"),
        ({"default": {"medain": 1}}, "/default", "medain"),
        ({"default": {}}, "/default", "exactly one of"),
        ({"default": {"median": 1, "constant": 1}}, "/default", "exactly one of"),
        ({"default": {"constant": 1, "sigma": 1}}, "/default", "median"),
        ({"default": {"median": -1}}, "/default/median", "minimum"),
        ({"default": {"constant": "1"}}, "/default/constant", "number"),
        ({"slots": 0}, "/slots", "minimum"),
        ({"slowdown": {"running": 3}}, "/slowdown", "factor"),
        ({"stages": {"runing": {"constant": 1}}}, "/stages/runing", "no such stage"),
        ({"chunks": {"running": {"-1": 1}}}, "/chunks/running", "-1"),
        ({"chunks": {"running": {}}}, "/chunks/running", "propert"),
        ({"failures": {"running": 0.6, "streaming": 0.5}}, "/failures", "more than 1"),
        ({"failures": {"jogging": 0.6}}, "/failures/jogging", "no such stage"),
        ({"refusals": {"teapot": 0.1}}, "/refusals/teapot", "service_unavailable"),
        ({"apis": {"v66": {}}}, "/apis/v66", "no such API version"),
        ({"apis": {"v6": {"queue": 3}}}, "/apis/v6", "queue"),
        ({"apis": {"v5": {"stages": {"running": {"constant": 1}}}}}, "/apis/v5/stages", "progress"),
        ({"chunks": {"completed": {"1": 1, "3": 1}}}, "/chunks/completed", "1 to 2"),
        ({"description": None}, "/description", "string"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_word_that_is_wrong_is_refused_by_file_pointer_and_reason(
    write: Write, words: dict[str, Any], pointer: str, says: str
) -> None:
    name = write(**words)
    with pytest.raises(UsageError) as refused:
        profile(name)
    message = str(refused.value)
    assert message.startswith(f"{name}: {pointer}")
    assert says in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"description": "a",\n "default": }', ":2:13: "),
        ('{"description": "a", "description": "b", "default": {"constant": 1}}', "twice"),
        ("[]", "(whole)"),
        ("[" * 100_000, "cannot be read|not JSON"),
        (" " * 2_000_000, "larger"),
    ],
    ids=["broken", "a key twice", "no object", "too deep", "too large"],
)
def test_a_file_that_is_no_profile_is_refused(write: Write, text: str, says: str) -> None:
    name = write(text)
    with pytest.raises(UsageError, match=says) as refused:
        profile(name)
    assert str(refused.value).startswith(name)


def test_a_profile_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there are realistic"):
        profile("relistic")
    with pytest.raises(UsageError, match=r"no-such\.json: cannot read"):
        profile(str(tmp_path / "no-such.json"))


def test_the_name_of_a_file_tells_its_content_but_not_its_folder(write: Write) -> None:
    one = profile(write()).name
    other = profile(write(slots=3)).name
    assert one != other
    assert one.startswith("mine@")
    assert "/" not in one


def test_what_differs_for_one_version_takes_the_place_of_the_rest(write: Write) -> None:
    made = profile(
        write(
            stages={"final": {"constant": 2}},
            first={"constant": 3},
            apis={"v6": {"stages": {"running": {"constant": 5}}, "first": {"constant": 0}}},
        )
    )
    walked = steps("initializing", "running", "validated", "final")
    assert made.schedule("v6", walked, random.Random(0), 1.0) == [0, 5, 6, 8]
    assert made.schedule("v5", walked, random.Random(0), 1.0) == [3, 4, 5, 7]


# --- what is drawn --------------------------------------------------------------------------------


def test_delays_have_the_distribution_that_they_are_named_after() -> None:
    rng = random.Random(1)

    def drawn(delay: Lognormal | Exponential | ConstantDelay) -> list[float]:
        return [delay.draw(rng) for _ in range(20_000)]

    lognormal = Lognormal(2.0, 0.5)
    values = drawn(lognormal)
    assert median(values) == pytest.approx(2.0, rel=0.03)
    assert fmean(values) == pytest.approx(lognormal.mean, rel=0.03)
    assert sum(value < 2.0 * math.exp(-0.5) for value in values) / 20_000 == pytest.approx(
        0.1587, abs=0.01
    )
    values = drawn(Exponential(3.0))
    assert fmean(values) == pytest.approx(3.0, rel=0.03)
    assert sum(value > 3.0 for value in values) / 20_000 == pytest.approx(math.exp(-1), abs=0.015)
    assert set(drawn(ConstantDelay(0.25))) == {0.25}


@each_contract
def test_a_service_time_is_divided_among_the_chunks(contract: Contract) -> None:
    rng = random.Random(3)
    walked = plan(contract, rng)
    schedule = profiles()["mdc"].schedule(contract.api, walked, rng, 1.0)
    assert schedule[0] == 0.0
    assert schedule[-1] == 2.0
    gaps = {round(b - a, 9) for a, b in pairwise(schedule)}
    assert len(gaps) == 1
    quick = profiles()["mdc"].schedule(contract.api, walked, rng, 4.0)
    assert quick == pytest.approx([moment / 4 for moment in schedule])


def test_jitter_comes_in_bursts_and_never_adds_up() -> None:
    calm = from_data("calm", {**PLAIN, "default": {"constant": 0.1}}, "test")
    data = {**PLAIN, "default": {"constant": 0.1}, "jitter": {"exponential": 0.25}}
    shaken = from_data("shaken", data, "test")
    walked = steps(*["running"] * 2_000)
    planned = calm.schedule("v6", walked, random.Random(5), 1.0)
    schedule = shaken.schedule("v6", walked, random.Random(5), 1.0)
    assert schedule == sorted(schedule)
    late = [a - b for a, b in zip(schedule, planned, strict=True)]
    assert min(late) >= 0
    assert fmean(late[-500:]) == pytest.approx(fmean(late[:500]), abs=0.1)
    together = sum(a == b for a, b in pairwise(schedule))
    assert together > 500  # what was held up comes with what follows


def test_percentages_grow_with_the_time_that_has_gone_by() -> None:
    made = from_data("grows", {**PLAIN, "progress": 0.5}, "test")
    assert made.percentages([0.0, 1.0, 4.0, 9.0, 16.0]) == [0, 25, 50, 75, 100]
    assert made.percentages([0.0, 0.0]) == [70, 100]  # no time at all: chunks are counted
    assert profiles()["instant"].percentages([0.0, 1.0]) is None


@each_contract
def test_progress_that_is_told_follows_the_schedule(contract: Contract) -> None:
    fields = {
        name
        for name, schema in contract.protocol.fields.items()
        if schema.get("x-role") == "progress"
    }
    rng = random.Random(8)
    walked = plan(contract, rng)
    told = [10 * number // len(walked) * 10 for number in range(len(walked))]
    chunks = payloads(contract, walked, random_story(rng), rng, percentages=told)
    seen = [
        (number, chunk[name])
        for number, chunk in enumerate(chunks)
        for name in fields & chunk.keys()
        if "const" not in contract.protocol.by_name[walked[number].stage].schema["properties"][name]
    ]
    assert bool(seen) is bool(fields)
    assert all(value == told[number] for number, value in seen)


def test_numbers_of_chunks_are_drawn_by_their_weights() -> None:
    counts = ChunkCounts.of({2: 1.0, 5: 3.0, 9: 0.5})
    rng = random.Random(2)
    drawn = Counter(counts.draw(rng) for _ in range(9_000))
    assert set(drawn) == {2, 5, 9}
    assert drawn[5] / 9_000 == pytest.approx(3 / 4.5, abs=0.02)
    assert ChunkCounts.of({4: 0.1}).draw(rng) == 4


def test_a_plan_has_as_many_chunks_of_a_stage_as_the_profile_draws() -> None:
    for contract in CONTRACTS.values():
        open_ended = [s for s in contract.protocol.stages if s.times[1] is None]
        for stage in open_ended:
            for seed in range(20):
                walked = plan(contract, random.Random(seed), times={stage.name: lambda rng: 12})
                assert sum(step.stage == stage.name for step in walked) == 12


def test_a_generation_fails_after_the_stage_that_the_profile_names() -> None:
    for contract in CONTRACTS.values():
        charging = next(stage for stage in contract.protocol.stages if stage.charges)
        for seed in range(20):
            walked = plan(contract, random.Random(seed), fails_after=charging.name)
            assert walked[-2].stage == charging.name
            assert contract.protocol.by_name[walked[-1].stage].failure
        # A stage that does not come makes nothing fail.
        whole = plan(contract, random.Random(1), fails_after="no such stage")
        assert whole == plan(contract, random.Random(1))


def test_failures_and_refusals_come_as_often_as_the_profile_says(write: Write) -> None:
    made = profile(write(failures={"running": 0.1, "streaming": 0.2}, refusals={"nsfw": 0.3}))
    rng = random.Random(9)
    failures = Counter(made.of("v6").failure(rng) for _ in range(10_000))
    assert failures["running"] == pytest.approx(1_000, abs=150)
    assert failures["streaming"] == pytest.approx(2_000, abs=200)
    refusals = Counter(made.of("v6").refusal(rng) for _ in range(10_000))
    assert refusals["nsfw"] == pytest.approx(3_000, abs=250)
    state = rng.getstate()
    assert profiles()["realistic"].of("v6").failure(rng) is None
    assert rng.getstate() == state  # seeds of profiles without failures mean what they meant


# --- what the emulator makes of them --------------------------------------------------------------


def endpoint_path(contract: Contract, kind: str) -> str:
    found = contract.endpoint_of_kind(kind)
    assert found is not None
    return found.path


def request_of(contract: Contract) -> Any:
    return next(each.payload for each in contract.examples if each.of == "request")


def test_who_has_no_slot_hears_what_comes_before_it_at_once_and_then_waits(write: Write) -> None:
    contract = next(c for c in CONTRACTS.values() if c.endpoint_of_kind("status"))
    words = {"first": {"constant": 0}, "service": {"constant": 1.0}, "slots": 1, "queue": 1}
    with spawned_emulator(["--profile", write(**words), "--seed", "1"]) as url, httpx.Client() as c:
        path = url + endpoint_path(contract, "stream")
        ask = {"json": request_of(contract), "headers": KEY}
        begun = time.monotonic()
        with c.stream("POST", path, **ask) as first:
            assert next(first.iter_lines()).startswith("data:")
        # Its client has gone, but the generation goes on, and keeps its slot.
        with c.stream("POST", path, **ask) as second:
            lines = second.iter_lines()
            assert next(lines).startswith("data:")
            at_once = time.monotonic() - begun
            third = c.post(path, **ask)
            came = [time.monotonic() - begun for line in lines if line.startswith("data:")]
    # The documented error of this contract, not just a status.
    unavailable = contract.errors.named("service_unavailable")
    assert (third.status_code, third.json()) == (unavailable.status, unavailable.body)
    assert at_once < 1.0
    assert 1.99 <= came[-1] < 3.5
    assert sum(moment < 1.0 for moment in came) <= 1  # the stage that bills may come before it


@pytest.mark.timing
def test_over_sockets_requests_wait_as_the_queue_says() -> None:
    """Poisson arrivals at a D/4 queue that is just full; each wait is worked out from the arrivals
    as they were by the recursion of Kiefer and Wolfowitz (1955), which the emulator does not use.
    """
    service, slots, many, rate = 0.2, 4, 80, 20.0
    contract = next(iter(CONTRACTS.values()))
    rng = random.Random(11)

    async def measure(url: str) -> list[tuple[float, float]]:
        begun = time.monotonic()
        async with httpx.AsyncClient(limits=httpx.Limits(max_connections=None)) as client:

            async def one(at: float) -> tuple[float, float]:
                await asyncio.sleep(max(0.0, begun + at - time.monotonic()))
                sent = time.monotonic()
                path = url + endpoint_path(contract, "sync")
                answer = await client.post(path, json=request_of(contract), headers=KEY)
                assert answer.status_code == 200
                return sent, time.monotonic() - sent

            due = accumulate(rng.expovariate(rate) for _ in range(many))
            return sorted(await asyncio.gather(*(one(at) for at in due)))

    with spawned_emulator(["--profile", "mdc", "--speed", "10", "--seed", "1"]) as url:
        seen = asyncio.run(measure(url))
    free = [0.0] * slots
    off, waits = [], []
    for sent, stayed in seen:
        start = max(sent, heapq.heappop(free))
        heapq.heappush(free, start + service)
        waits.append(start - sent)
        off.append(abs(stayed - (start - sent) - service))
    assert fmean(waits) > 0.05  # otherwise this would show nothing
    assert median(off) < 0.05


# --- what the docs say ----------------------------------------------------------------------------

DOCS = Path(__file__).parents[2] / "docs"
PROFILES = DOCS / "reference/profiles.md"


def test_the_docs_name_every_profile() -> None:
    text = PROFILES.read_text()
    for name in profiles():
        assert f"| `{name}` |" in text


def test_the_profile_that_the_docs_print_is_one() -> None:
    text = (DOCS / "how-to/profiles.md").read_text()
    data = json.loads(text.partition("```json\n")[2].partition("```")[0])
    check_names(data, "docs", CONTRACTS)
    assert from_data("docs", data, "docs").slots == 16


@pytest.mark.parametrize("name", ["realistic", "fast", "steady", "slow", "jittery", "mdc"])
def test_the_times_that_the_docs_print_are_those_of_the_profiles(name: str) -> None:
    lines = PROFILES.read_text().splitlines()
    row = next(line for line in lines if line.startswith(f"| `{name}` |"))
    for api, cell in zip(("v5", "v6"), row.split("|")[3:5], strict=True):
        whole = []
        for seed in range(200):
            rng = random.Random(seed)
            whole.append(profiles()[name].schedule(api, plan(CONTRACTS[api], rng), rng, 1.0)[-1])
        assert median(whole) == pytest.approx(float(cell.removesuffix(" s ")), rel=0.1)
