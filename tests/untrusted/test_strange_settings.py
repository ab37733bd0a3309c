"""soundstage.toml and scenarios from strangers: read within bounds, and refused with one line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from soundstage.config import Config, find_config, read_config
from soundstage.errors import UsageError
from soundstage.exchange.target import read_key
from soundstage.loadtests.schedule.scenario_file import find_scenario, parse_scenario
from soundstage.untrusted import toml_text

NONSENSE = {
    "an array without end": b"a = " + b"[" * 100_000,
    "tables in tables": b"a = " + b"{a=" * 100_000 + b"1" + b"}" * 100_000,
    "a dotted key": b"a" + b".a" * 500_000 + b" = 1",
    "a dotted key with blanks": b"a" + b" . a" * 200_000 + b" = 1",
    "a dotted key in quotes": b"a" + b".'a'" * 200_000 + b" = 1",
    "a dotted table": b"[a" + b".a" * 500_000 + b"]",
    "an integer of many digits": b"a = " + b"9" * 100_000,
    "an integer beyond 64 bits": b"a = 99999999999999999999999",
    "an integer with many underscores": b"a = 1" + b"_1" * 100_000,
    "a long hexadecimal": b"a = 0x" + b"f" * 100_000,
    "broken UTF-8": b"a = '\xff'",
    "a key twice": b"a = 1\na = 2",
}


@pytest.mark.parametrize("text", NONSENSE.values(), ids=NONSENSE)
def test_what_the_parser_cannot_take_is_refused_with_one_line(text, tmp_path):
    for path in (tmp_path / "soundstage.toml", tmp_path / "scenario.toml"):
        path.write_bytes(text)
        with pytest.raises(UsageError) as refused:
            read_config(path) if path.stem == "soundstage" else find_scenario(str(path))
        assert str(refused.value).startswith(f"{path}: not TOML: ")
        assert len(str(refused.value).splitlines()) == 1


def test_a_file_without_end_is_refused_by_its_size(tmp_path):
    path = tmp_path / "large.toml"
    path.write_bytes(b"#" * (toml_text.MOST_BYTES + 1))
    for read in (lambda: read_config(path), lambda: find_config(None, _renamed(path, tmp_path))):
        with pytest.raises(UsageError, match="larger than 1 MiB"):
            read()
    with pytest.raises(UsageError, match="larger than 1 MiB"):
        read_config(Path("/dev/zero"))
    with pytest.raises(UsageError, match="--key-file /dev/zero: larger than"):
        read_key("/dev/zero")


def _renamed(path, folder):
    path.rename(folder / "soundstage.toml")
    (folder / "large.toml").symlink_to("soundstage.toml")
    return folder


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("07:30:00", "is not of type"), ("2026-01-01", "is not of type"), ("inf", "is not of type"),
        ("nan", "is not of type"), ("-1", "minimum"), ('"4"', "is not of type"), ("[]", "type"),
    ],
)  # fmt: skip
def test_values_that_json_has_not_are_refused_by_their_place(tmp_path, value, says):
    path = tmp_path / "soundstage.toml"
    path.write_text(f"[target]\nbudget = {value}\n")
    with pytest.raises(UsageError, match=rf"\[target\]\[budget\]: .*{says}"):
        read_config(path)


def _fifo(path):
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (_fifo, "is a FIFO, not a file"),
        (Path.mkdir, "is a folder, not a file"),
        (lambda path: path.symlink_to("/dev/zero"), "a link that leads out of"),
        (lambda path: path.symlink_to("/etc/passwd"), "a link that leads out of"),
        (lambda path: path.symlink_to("../elsewhere.toml"), "a link that leads out of"),
        (lambda path: path.symlink_to(path.name), "a link that leads|symbolic links"),
    ],
)
def test_a_configuration_that_was_found_must_be_a_file_of_the_folder(tmp_path, make, says):
    (tmp_path / "elsewhere.toml").write_text("")
    folder = tmp_path / "here"
    folder.mkdir()
    make(folder / "soundstage.toml")
    with pytest.raises(UsageError, match=says):
        find_config(None, folder)


def test_a_configuration_that_is_named_may_lie_anywhere_and_one_that_is_not_there_is_empty(
    tmp_path,
):
    (tmp_path / "kept.toml").write_text("[target]\nbudget = 3\n")
    folder = tmp_path / "here"
    folder.mkdir()
    assert find_config(None, folder) == Config()
    (folder / "named.toml").symlink_to("../kept.toml")
    assert find_config(str(folder / "named.toml")).target.budget == 3
    (folder / "own.toml").write_text("[target]\nbudget = 4\n")
    (folder / "soundstage.toml").symlink_to("own.toml")
    assert find_config(None, folder).target.budget == 4


@pytest.mark.parametrize("key", ["key_file", "ca_file"])
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("pipe", "is a FIFO"), ("/dev/zero", "is a device"), ("folder", "is a folder"),
        ("~nobody-of-this-name/key", "home"), ("a\\u0000b", "null"),
    ],
)  # fmt: skip
def test_a_file_that_the_configuration_names_must_be_one(tmp_path, key, name, says):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    path = tmp_path / "soundstage.toml"
    path.write_text(f'[target]\n{key} = "{name}"\n')
    with pytest.raises(UsageError, match=rf"soundstage.toml: \[target\]\[{key}\]: .*{says}"):
        read_config(path)


def test_a_key_file_that_the_configuration_names_is_found_beside_it(tmp_path):
    (tmp_path / "key").write_text("sk-0123456789")
    path = tmp_path / "soundstage.toml"
    path.write_text('[target]\nkey_file = "key"\nca_file = "not-there.pem"\n')
    target = read_config(path).target
    assert read_key(target.key_file) == "sk-0123456789"
    assert target.ca_file == str(tmp_path / "not-there.pem")


# --- scenarios ------------------------------------------------------------------------------------

STEADY = '[[phase]]\nkind = "constant"\nrate = 1\nduration = "10s"\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('corpus = "/dev/zero"\n' + STEADY, r"\[corpus\]: /dev/zero: is a device"),
        ('corpus = "pipe"\n' + STEADY, r"\[corpus\]: .*is a FIFO"),
        ('corpus = "a\\u0000b"\n' + STEADY, r"\[corpus\]: .*null"),
        ('corpus = "~nobody-of-this-name/x"\n' + STEADY, r"\[corpus\]: .*home"),
        ('[[phase]]\nkind = "replay"\nfile = "pipe"\n', r"\[phase\]\[0\]: file: .*is a FIFO"),
        ('[[phase]]\nkind = "replay"\nfile = "/dev/zero"\n', r"\[phase\]\[0\]: .*is a device"),
        (STEADY.replace("10s", "9" * 400 + "h"), r"\[phase\]\[0\]: .*too long"),
        (STEADY.replace('"10s"', "1e308"), r"\[phase\]\[0\]"),
        (f'warmup = "{"9" * 400}s"\n' + STEADY, r"\[warmup\]: .*too long"),
        ('users = 1\nduration = "99999h"\n', r"\[duration\]: .*too long"),
        ("users = 99999999999999999999\nduration = 5\n", "beyond 64 bits"),
        ("seed = 07:30:00\n" + STEADY, r"\[seed\]: "),
    ],
)
def test_a_scenario_that_names_no_file_or_no_time_is_refused_by_its_place(tmp_path, text, says):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match=says):
        parse_scenario(text, tmp_path / "scenario.toml")


def test_a_scenario_may_still_replay_a_file_that_lies_beside_it(tmp_path):
    (tmp_path / "moments.txt").write_text("0\n1\n2\n")
    text = '[[phase]]\nkind = "replay"\nfile = "moments.txt"\n'
    assert parse_scenario(text, tmp_path / "scenario.toml").length > 0
