"""Where soundstage.toml is looked for: here, and above as far as it can only be ours."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from command_run import run_here

from soundstage.config import Config, _above, find_config
from soundstage.errors import UsageError

_BUDGET = "[target]\nbudget = 3\n"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with folders in it, and settings above it that are none of its business."""
    (tmp_path / "soundstage.toml").write_text("[target]\nbudget = 99\n")
    root = tmp_path / "repository"
    (root / ".git").mkdir(parents=True)
    (root / "a" / "b").mkdir(parents=True)
    return root


def found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.chdir(folder)
    return find_config()


def test_the_file_at_the_root_of_the_repository_is_found_from_below(repository, monkeypatch):
    (repository / "soundstage.toml").write_text(_BUDGET)
    config = found(repository / "a" / "b", monkeypatch)
    assert config.target.budget == 3
    assert config.path == Path("../../soundstage.toml")
    assert config.above


def test_nothing_above_the_repository_is_read(repository, monkeypatch):
    assert found(repository / "a" / "b", monkeypatch) == Config()
    assert found(repository, monkeypatch) == Config()


def test_a_second_checkout_is_a_repository_too(repository, monkeypatch):
    (repository / ".git").rmdir()
    (repository / ".git").write_text("gitdir: elsewhere\n")
    assert found(repository / "a", monkeypatch) == Config()


def test_the_nearest_file_is_the_one_that_holds(repository, monkeypatch):
    (repository / "soundstage.toml").write_text("[target]\nbudget = 1\n")
    (repository / "a" / "soundstage.toml").write_text(_BUDGET)
    assert found(repository / "a" / "b", monkeypatch).target.budget == 3
    here = found(repository / "a", monkeypatch)
    assert (here.path, here.above) == (Path("soundstage.toml"), False)


def test_paths_in_it_are_beside_it(repository, monkeypatch):
    (repository / "soundstage.toml").write_text('[target]\nkey_file = "key"\n')
    (repository / "key").write_text("k")
    key = found(repository / "a" / "b", monkeypatch).target.key_file
    assert key is not None
    assert os.path.samefile(key, repository / "key")


def test_a_home_is_the_last_folder(tmp_path, monkeypatch):
    (tmp_path / "soundstage.toml").write_text(_BUDGET)
    home = tmp_path / "home"
    (home / "work").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    assert found(home / "work", monkeypatch) == Config()
    (home / "soundstage.toml").write_text(_BUDGET)
    assert found(home / "work", monkeypatch).target.budget == 3


def test_the_folder_of_another_user_ends_the_search(repository):
    assert [str(each) for each in _above(repository / "a" / "b", {os.getuid()})] == [
        "../soundstage.toml",
        "../../soundstage.toml",
    ]
    assert list(_above(repository / "a" / "b", {os.getuid() + 1})) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_the_file_of_another_user_is_named_and_not_read(repository, monkeypatch):
    (repository / "soundstage.toml").write_text(_BUDGET)
    os.chown(repository / "soundstage.toml", 4711, -1)
    config = found(repository / "a", monkeypatch)
    assert config == Config(passed_over=Path("../soundstage.toml"))
    run = run_here("load", "--target", "emulator", "--dry-run", folder=repository / "a")
    assert "../soundstage.toml is not read: it belongs to another user" in run.stderr
    os.chown(repository / "a", 4711, -1)  # whoever wrote it could have written here
    assert found(repository / "a", monkeypatch).target.budget == 3


def test_a_link_that_leads_elsewhere_is_refused(repository, monkeypatch):
    (repository / "soundstage.toml").symlink_to(repository.parent / "soundstage.toml")
    with pytest.raises(UsageError, match="a link that leads out of"):
        found(repository / "a", monkeypatch)


@pytest.mark.parametrize("command", ["check", "load", "record --out new"])
def test_a_command_says_which_file_it_reads_that_does_not_lie_here(command, repository):
    (repository / "soundstage.toml").write_text('[target]\nurl = "emulator"\nbudget = 3\n')
    words = [*command.split(), "--dry-run"]
    run = run_here(*words, folder=repository / "a")
    assert run.returncode == 0
    assert run.stderr.splitlines()[0] == f"soundstage {words[0]}: settings of ../soundstage.toml"
    assert "settings" not in run_here(*words, folder=repository).stderr
    other = repository / "other.toml"
    other.write_text('[target]\nurl = "emulator"\n')
    named = run_here(*words, "--config", str(other), folder=repository / "a")
    assert (named.returncode, named.stderr) == (0, "")


def test_a_wrong_word_is_answered_by_file_place_and_what_was_meant(repository):
    (repository / "soundstage.toml").write_text("[target]\nbuget = 3\n")
    run = run_here("check", "--target", "emulator", folder=repository / "a")
    assert run.returncode == 2
    assert run.stderr == (
        "soundstage check: ../soundstage.toml: [target]: 'buget' is not known; there are url, api, "
        "key_file, ca_file, budget, timeout; did you mean budget?\n"
    )


def test_a_recording_takes_target_api_and_budget_of_the_file(tmp_path):
    (tmp_path / "soundstage.toml").write_text(
        '[target]\nurl = "https://api.soundverse.ai"\napi = ["v6"]\nbudget = 7\n'
    )
    planned = run_here("record", "--out", "new", "--dry-run", folder=tmp_path)
    assert planned.returncode == 0, planned.stderr
    assert planned.stdout.startswith("https://api.soundverse.ai:")
    assert "v5" not in planned.stdout
    assert "a budget of 7" in planned.stdout
    options = ["--target", "emulator", "--api", "v5", "--budget", "2"]
    own = run_here("record", "--out", "new", "--dry-run", *options, folder=tmp_path)
    assert own.stdout.startswith("emulator:")
    assert "v6" not in own.stdout
    assert "a budget of 2" in own.stdout


def test_a_recording_sends_no_key_where_only_the_file_says_so(tmp_path):
    (tmp_path / "soundstage.toml").write_text('[target]\nurl = "https://songs.example"\n')
    (tmp_path / "key").write_text("a-key-of-mine")
    options = ["--out", "new", "--key-file", "key", "--api", "v6", "--budget", "1", "--yes"]
    run = run_here("record", *options, folder=tmp_path)
    assert run.returncode == 2
    assert "only soundstage.toml names https://songs.example" in run.stderr
    assert not (tmp_path / "new").exists() or not any((tmp_path / "new").iterdir())
