"""How the arguments of a command may be shown: without secrets, however they were written."""

from __future__ import annotations

import io

import pytest

from soundstage import cli
from soundstage.arguments import Hidden, Parser, shown, shown_of_another

SECRET = "X-Staging: hush-hush-7"


def parsed(*argv: str) -> list[str]:
    parser = Parser(prog="test")
    parser.add_argument("--header", action=Hidden, default=[])
    parser.add_argument("--target")
    parser.add_argument("--name", action="append")
    return shown(argv, parser.parse_args(argv))


def test_a_hidden_value_is_not_shown_however_it_is_given():
    assert parsed("--header", SECRET) == ["--header", "[redacted]"]
    assert parsed(f"--header={SECRET}", "--name", "a") == ["--header=[redacted]", "--name", "a"]
    assert parsed("--name", "b", "--header", SECRET, "--header", "Y: z") == [
        "--name", "b", "--header", "[redacted]", "--header", "[redacted]",
    ]  # fmt: skip


@pytest.mark.parametrize("option", ["--head", "--hea", "--heade"])
def test_an_option_that_is_cut_short_is_refused_without_its_value(option, capsys):
    for words in ([option, SECRET], [f"{option}={SECRET}"]):
        with pytest.raises(SystemExit):
            parsed(*words)
        said = capsys.readouterr().err
        assert "did you mean --header?" in said
        assert "hush" not in said


@pytest.mark.parametrize(
    ("argument", "kept"),
    [
        ("https://user:password@h.example/v1", "https://h.example/v1"),
        ("--target=https://token@h.example", "--target=https://h.example"),
        ("https://h.example/?X-Sig=abc&x", "https://h.example/?X-Sig=[redacted]&[redacted]"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("v6.streaming_ready.p95<30s", "v6.streaming_ready.p95<30s"),
    ],
)
def test_a_url_is_shown_without_user_and_query(argument, kept):
    assert shown_of_another([argument]) == [kept]


@pytest.mark.parametrize(
    ("argv", "kept"),
    [
        (["--api-key", "abc", "x"], ["--api-key", "[redacted]", "x"]),
        (["--web-password=abc"], ["--web-password=[redacted]"]),
        (["--header", "X: y"], ["--header", "[redacted]"]),
        (["--auth-token", "t", "--host", "h"], ["--auth-token", "[redacted]", "--host", "h"]),
        ([], []),
        (words := ["--soundstage-key-file", "k.txt", "-k", "order", "--users", "3"], words),
    ],
)  # fmt: skip
def test_the_options_of_another_program_are_hidden_by_their_names(argv, kept):
    assert shown_of_another(argv) == kept


@pytest.mark.parametrize("command", ["check", "record"])
@pytest.mark.parametrize(
    "argv",
    [
        ["--api-key", "sk-0123456789abcdef"],
        ["--apikey=sk-0123456789abcdef"],
        ["--key", "sk-0123456789abcdef"],
        ["--header", "sk-0123456789abcdef", "--target", "http://127.0.0.1:9", "--out", "OUT"],
        ["--target", "https://user:sk-0123456789abcdef@h.example"],
        ["--target", "https://h.example", "--key-file", "sk-0123456789abcdef", "--out", "OUT"],
        ["--target", "ftp://user:sk-0123456789abcdef@h.example"],
        ["--dry-run", "--target", "https://sk-0123456789abcdef@h.example"],
    ],
)
def test_a_key_at_the_wrong_place_is_misuse_that_does_not_repeat_it(
    command, argv, tmp_path, capsys
):
    out, err = io.StringIO(), io.StringIO()
    argv = [str(tmp_path / "out") if word == "OUT" else word for word in argv]
    try:
        code = cli.run(command, argv, out, err)
    except SystemExit as ended:
        code = ended.code
    said = out.getvalue() + err.getvalue() + "".join(capsys.readouterr())
    assert code == 2, said
    assert "0123456789abcdef" not in said
    assert said.strip()


def test_a_value_that_is_refused_is_named_and_no_function_of_ours(capsys):
    def _positive(text: str) -> float:
        return float(text)

    parser = Parser(prog="soundstage x")
    parser.add_argument("--rate", type=_positive)
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(["--rate", "x"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "argument --rate: 'x' is not a number (" in said
