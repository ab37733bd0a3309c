"""What is sent: the mixture, and bodies that are made up or come from a corpus."""

from __future__ import annotations

import gzip
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

import made_up_api
from soundstage.contract import available, load
from soundstage.contract.roles import role_of
from soundstage.errors import UsageError
from soundstage.loadtests.schedule.scenario import Part
from soundstage.loadtests.schedule.traffic import Traffic, turns

_BOTH = tuple(Part(api, kind) for api in ("v5", "v6") for kind in ("stream", "sync"))


def prompt_of(traffic: Traffic, number: int) -> Any:
    call = traffic.call(number)
    fields = (call.endpoint.request or {})["properties"]
    return next(call.body[name] for name in fields if role_of(fields[name]) == "prompt")


def test_requests_are_valid_and_no_prompt_comes_twice() -> None:
    traffic = Traffic(_BOTH, seed=1)
    prompts = Counter()
    for number in range(2000):
        call = traffic.call(number)
        assert call.endpoint.request is not None
        assert jsonschema_rs.is_valid(call.endpoint.request, call.body)
        prompts[prompt_of(traffic, number)] += 1
    assert max(prompts.values()) == 1


def test_the_same_seed_gives_the_same_requests_and_another_others() -> None:
    one, same, other = (Traffic(_BOTH, seed=seed) for seed in (1, 1, 2))
    bodies = [
        [each.call(each.next_number()).body for _ in range(40)] for each in (one, same, other)
    ]
    assert bodies[0] == bodies[1]
    assert bodies[0] != bodies[2]


@pytest.mark.parametrize("of", [2, 3])
def test_workers_send_together_what_one_would_have_sent(of: int) -> None:
    def key(call: Any) -> tuple[str, str, str]:
        return call.contract.api, call.endpoint.name, str(call.body)

    alone = Traffic(_BOTH, seed=4)
    whole = Counter(key(alone.call(alone.next_number())) for _ in range(60))
    shared: Counter[tuple[str, str, str]] = Counter()
    for which in range(of):
        worker = Traffic(_BOTH, seed=4, which=which, of=of)
        shared += Counter(key(worker.call(worker.next_number())) for _ in range(60 // of))
    assert shared == whole


def test_endpoints_get_requests_in_proportion_to_their_weights() -> None:
    parts = (Part("v6", "stream", 3.0), Part("v5", "stream", 1.5), Part("v5", "sync", 0.5))
    traffic = Traffic(parts, seed=0)
    sent = Counter(traffic.place(number) for number in range(1000))
    assert sent == {("v6", "stream"): 600, ("v5", "stream"): 300, ("v5", "sync"): 100}
    assert traffic.planned(0, 1000) == sent
    for first, until in ((0, 7), (3, 3), (5, 28), (13, 14)):
        counted = Counter(traffic.place(number) for number in range(first, until))
        assert traffic.planned(first, until) == counted
    assert traffic.facts()["mixture"] == {"v6.stream": 0.6, "v5.stream": 0.3, "v5.sync": 0.1}


def test_a_mixture_is_as_even_as_it_can_be() -> None:
    assert turns([1, 1]) == (0, 1)
    assert turns([5.0]) == (0,)
    order = turns([5, 1, 1]) * 3
    for length in range(1, len(order) + 1):
        assert abs(order[:length].count(0) - length * 5 / 7) < 1.0
    with pytest.raises(UsageError, match="too far apart"):
        turns([1000.0, 0.013])


def test_an_endpoint_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(UsageError, match=r"'status' that makes songs; there are stream, sync"):
        Traffic([Part("v6", "status")], seed=0)


def test_a_made_up_api_is_loaded_by_its_own_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOUNDSTAGE_SCHEMAS", str(made_up_api.folder(tmp_path, "no-tracks")))
    assert "no-tracks" in available()
    traffic = Traffic([Part("no-tracks", "tune"), Part("no-tracks", "sync")], seed=0)
    assert [traffic.place(number)[1] for number in range(2)] == ["tune", "once"]
    corpus = tmp_path / "words.jsonl"
    corpus.write_text('{"words": "la la"}\n')
    traffic = Traffic([Part("no-tracks", "tune")], seed=0, corpus=str(corpus))
    assert traffic.call(traffic.next_number()).body == {"words": "la la"}
    text = tmp_path / "prompts.txt"
    text.write_text("la la\n")
    with pytest.raises(UsageError, match="no request has a field for a prompt; there are words"):
        Traffic([Part("no-tracks", "tune")], seed=0, corpus=str(text))


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.txt", "A waltz\n" + "x" * 50, ":2: idea (here 'prompt'): no-tracks tune refuses it: "),
        ("a.json", f'["{"x" * 50}"]', ": [0]: idea (here 'prompt'): no-tracks tune refuses it: "),
        ("a.jsonl", '{"prompt": 3}', ":1: idea (here 'prompt'): no-tracks tune refuses it: 3 is"),
        ("a.jsonl", '{"idea": 3}', ":1: idea: no-tracks tune refuses it: 3 is not of type"),
        ("a.jsonl", '{"ideas": "x"}', "for 'ideas'; there are idea, words; did you mean idea?"),
        ("a.csv", "prompt,promt\nx,y\n", "column 2 says 'promt'; there are idea, words"),
        ("a.csv", "prompt\n" + "x" * 50, ":2: idea (here 'prompt'): no-tracks tune refuses it: "),
        ("a.jsonl", '{"idea": "x", "prompt": "y"}', "'idea' and 'prompt' are both for idea of"),
    ],
)
def test_what_a_corpus_has_wrong_is_said_of_the_field_as_the_contract_calls_it(
    name: str, text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apis = tmp_path / "apis"
    apis.mkdir()
    monkeypatch.setenv("SOUNDSTAGE_SCHEMAS", str(made_up_api.folder(apis, "no-tracks")))
    idea = made_up_api.field(type="string", maxLength=40, **{"x-role": "prompt"})
    words = made_up_api.field(type="string")
    schema = {"type": "object", "required": ["idea"], "properties": {"idea": idea, "words": words}}
    made_up_api.write(apis / "no-tracks" / "request.json", schema)
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(UsageError) as refused:
        Traffic([Part("no-tracks", "tune")], seed=0, corpus=str(file))
    assert str(refused.value).startswith(str(file))
    assert said in str(refused.value)


def test_a_text_corpus_is_a_prompt_a_line_in_turn(tmp_path: Path) -> None:
    file = tmp_path / "prompts.txt"
    file.write_text("\ufeffA song\u2028in two lines\r\n\n  A waltz  \n", encoding="utf-8")
    traffic = Traffic(_BOTH, seed=0, corpus=str(file))
    prompts = [prompt_of(traffic, number) for number in range(4)]
    assert prompts == ["A song\u2028in two lines", "A waltz"] * 2
    facts = traffic.facts()["corpus"]
    assert (facts["file"], facts["entries"]) == ("prompts.txt", 2)
    assert len(facts["sha256"]) == 64


def test_a_corpus_of_objects_fills_fields_by_role_and_by_name(tmp_path: Path) -> None:
    file = tmp_path / "songs.jsonl"
    file.write_text(
        '{"prompt": "A waltz", "lyrics": "la la la"}\n'
        '{"prompt": "A march", "melody_url": "https://example.com/m.mp3"}\n'
    )
    traffic = Traffic([Part("v6")], seed=0, corpus=str(file))
    assert traffic.call(0).body == {"prompt": "A waltz", "lyrics": "la la la"}
    assert traffic.call(1).body == {"prompt": "A march", "melody_url": "https://example.com/m.mp3"}
    mixed = Traffic([Part("v5"), Part("v6")], seed=0, corpus=str(file))
    fields = (load("v5").endpoints["stream"].request or {})["required"]
    assert set(mixed.call(0).body) == {*fields, "lyrics"}
    assert "melody_url" in mixed.call(1).body


TABLE = 'prompt,lyrics\r\n"A slow, sad waltz","line one\r\nline two"\r\n\r\nA polka,\r\n'
ROWS = [{"prompt": "A slow, sad waltz", "lyrics": "line one\r\nline two"}, {"prompt": "A polka"}]


@pytest.mark.parametrize(
    ("name", "content", "entries"),
    [
        ("a.csv", TABLE.encode(), ROWS),
        ("a.csv", TABLE.encode("utf-8-sig"), ROWS),
        ("a.csv", TABLE.encode("utf-16"), ROWS),
        ("A.CSV", b"Prompt;LYRICS\nA waltz;la\n", [{"prompt": "A waltz", "lyrics": "la"}]),
        ("a.csv", b"sep=;\r\nprompt;lyrics\r\nA, B;la\r\n", [{"prompt": "A, B", "lyrics": "la"}]),
        ("a.csv", b'prompt\n"A ""sad"" waltz"\n', [{"prompt": 'A "sad" waltz'}]),
        ("a.csv", b"prompt,\nA waltz,\n", [{"prompt": "A waltz"}]),
        ("a.tsv", b"prompt\tlyrics\nA, B\tla\n", [{"prompt": "A, B", "lyrics": "la"}]),
        ("a.json", b'["A, B", {"prompt": "C", "lyrics": "la"}]',
         [{"prompt": "A, B"}, {"prompt": "C", "lyrics": "la"}]),
        ("a.json", '["A"]'.encode("utf-16"), [{"prompt": "A"}]),
        ("a.txt", "A waltz\r\nB".encode("utf-16"), [{"prompt": "A waltz"}, {"prompt": "B"}]),
        ("a.txt", b"[Verse] la\n{la} la\n", [{"prompt": "[Verse] la"}, {"prompt": "{la} la"}]),
    ],
)  # fmt: skip
def test_a_corpus_is_a_table_or_an_array_too_in_any_encoding(
    name: str, content: bytes, entries: list[dict[str, str]], tmp_path: Path
) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    traffic = Traffic([Part("v6")], seed=0, corpus=str(file))
    assert traffic.corpus is not None
    assert list(traffic.corpus.entries) == entries


def test_cells_of_a_table_become_what_their_field_is(tmp_path: Path) -> None:
    file = tmp_path / "songs.csv"
    file.write_text("prompt,duration\n1984,60\n")
    traffic = Traffic([Part("v5")], seed=0, corpus=str(file))
    assert traffic.corpus is not None
    assert list(traffic.corpus.entries) == [{"prompt": "1984", "duration": 60}]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.jsonl", '{"prompt": "x"}\n{"prompt"', ":2:"),
        ("a.jsonl", "[]", ":1: no JSON object"),
        ("a.jsonl", '{"promt": "x"}', ":1: no request has a field for 'promt'; there are"),
        ("a.jsonl", '{"prompt": 3}', ":1: prompt: v6 stream refuses it"),
        ("a.txt", "\n \n", "no entry in it"),
        ("a.txt", b"\xff\xfe", "not UTF-8"),
        ("a.txt", "A waltz\nB\xe9b\xe9".encode("latin-1"), ":2: not UTF-8"),
        ("a.txt", "prompt,lyrics\nA waltz,la\n", ":1: the header row of a table, not a prompt: na"),
        ("a.txt", "Prompt\nA waltz\n", "name it a.csv"),
        ("a.txt", "prompt\tlyrics\n", "name it a.tsv"),
        ("a.txt", '["A waltz"]', ": JSON, not a prompt a line: name it a.json"),
        ("a.txt", '{"prompt": "A waltz"}\n', ": JSON, not a prompt a line: name it a.jsonl"),
        ("a.json", '{"prompts": ["A waltz"]}', ": an object: give an array of prompts"),
        ("a.json", '["A waltz", 3]', ": [1]: neither a prompt nor an object"),
        ("a.json", '[{"promt": "x"}]', ": [0]: no request has a field for 'promt'"),
        ("a.json", '{"prompt": "x"}\n{"prompt": "y"}', "an object a line? name it a.jsonl"),
        ("a.json", '["A waltz"', ":1: no JSON"),
        ("a.json", "[]", "no entry in it"),
        ("a.csv", "prompt,promt\nx,y\n", ":1: the first row must name the columns, and column 2"),
        ("a.csv", "A waltz,la\n", ":1: the first row must name the columns, and column 1 says 'A"),
        ("a.csv", "prompt,,lyrics\nx,y,z\n", ":1: the first row must name the columns, and col"),
        ("a.csv", "prompt,Prompt\nx,y\n", ":1: two columns are called 'prompt'"),
        ("a.csv", 'prompt\n"one\ntwo"\nA, waltz\n', ":4: 2 cells under 1 columns"),
        ("a.csv", 'prompt\n"A waltz\n', ":2: no CSV: unexpected end of data"),
        ("a.csv", "prompt,lyrics\n,\n", "no entry in it"),
        ("a.yaml", "- A waltz\n", "a corpus in YAML is not read: give .txt"),
        ("a.bin", b"PK\x03\x04....xl/workbook.xml", ": a spreadsheet: give .txt"),
        ("a.txt", b"PAR1....", ": a Parquet file: give .txt"),
        ("a.txt", gzip.compress(b"A waltz\n", mtime=0), ": a file compressed with gzip: give .txt"),
        ("missing.txt", None, "cannot read: No such file"),
        ("missing.yaml", None, "cannot read: No such file"),
    ],
)
def test_a_corpus_that_does_not_fit_is_refused_by_file_and_line(
    name: str, text: str | bytes | None, said: str, tmp_path: Path
) -> None:
    file = tmp_path / name
    if text is not None:
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UsageError) as refused:
        Traffic([Part("v6")], seed=0, corpus=str(file))
    assert str(refused.value).startswith(str(file))
    assert said in str(refused.value)
