"""Files that others prepared: what is opened, and what never is."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from soundstage.errors import TargetError, UsageError
from soundstage.output import written_files
from soundstage.untrusted.strange_files import is_plain, open_plain, read_plain


def _fifo(place: Path) -> None:
    os.mkfifo(place)


def _socket(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(place))


def _device(place: Path) -> None:
    place.symlink_to("/dev/zero")


def _out(place: Path) -> None:
    place.symlink_to(place.parent.parent / "outside.txt")


def _folder_out(place: Path) -> None:
    place.symlink_to(place.parent.parent)


STRANGE = [_fifo, _socket, Path.mkdir, _device, _out, _folder_out]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "outside.txt").write_text("precious")
    (tmp_path / "inside").mkdir()
    return tmp_path / "inside"


@pytest.mark.parametrize("make", STRANGE)
def test_what_is_no_file_of_the_folder_is_refused_without_waiting(folder, make):
    make(folder / "x")
    with pytest.raises(UsageError, match=r"x: (is a .*, not a file|a link that leads out of )"):
        read_plain(folder / "x", most=9, within=folder)
    assert not is_plain(folder / "x", within=folder)


def test_a_link_that_stays_inside_is_followed(folder):
    (folder / "a").write_text("text")
    (folder / "b").symlink_to("a")
    (folder / "c").symlink_to(folder / "b")
    assert read_plain(folder / "c", most=9, within=folder) == b"text"


def test_a_folder_that_is_a_link_itself_is_the_users_choice(folder, tmp_path):
    (folder / "a").write_text("text")
    (tmp_path / "link").symlink_to(folder)
    assert read_plain(tmp_path / "link" / "a", most=9, within=tmp_path / "link") == b"text"


def test_without_a_folder_a_link_is_followed_but_a_fifo_is_not_waited_for(folder):
    _out(folder / "a")
    assert read_plain(folder / "a", most=9) == b"precious"
    _fifo(folder / "b")
    with pytest.raises(UsageError, match="is a FIFO, not a file"):
        open_plain(folder / "b")


def test_a_folder_whose_name_only_begins_alike_is_outside(folder, tmp_path):
    (tmp_path / "inside-too").mkdir()
    (tmp_path / "inside-too" / "a").write_text("precious")
    (folder / "a").symlink_to(tmp_path / "inside-too" / "a")
    with pytest.raises(UsageError, match="leads out"):
        read_plain(folder / "a", most=9, within=folder)


def test_a_link_to_itself_and_a_file_that_is_not_there_say_so(folder):
    (folder / "a").symlink_to("a")
    for name in ("a", "absent"):
        with pytest.raises(OSError, match=name):
            read_plain(folder / name, most=9, within=folder)


def test_no_more_is_read_than_asked_for(folder):
    (folder / "a").write_bytes(b"0" * 10)
    with pytest.raises(UsageError, match="a: larger than 9 bytes"):
        read_plain(folder / "a", most=9, within=folder)
    assert len(read_plain(folder / "a", most=10, within=folder)) == 10


# --- written files --------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [_fifo, _device, _out])
def test_a_file_in_a_folder_of_others_takes_the_place_of_what_leads_out(folder, make):
    make(folder / "report.html")
    written_files.put_within(folder, "report.html", "<html>")
    assert (folder / "report.html").read_text() == "<html>"
    assert not (folder / "report.html").is_symlink()
    assert (folder.parent / "outside.txt").read_text() == "precious"


def test_a_link_that_the_user_names_stays_a_link(folder):
    (folder.parent / "mine.txt").write_text("old")
    (folder / "link").symlink_to(folder.parent / "mine.txt")
    written_files.put(folder / "link", "new")
    assert (folder / "link").is_symlink()
    assert (folder.parent / "mine.txt").read_text() == "new"


@pytest.mark.parametrize("name", [".soundstage-PID.tmp", ".report.html.tmp", ".report.html.swp"])
def test_links_at_the_names_of_temporary_files_lead_nowhere(folder, name):
    name = name.replace("PID", str(os.getpid()))
    (folder / name).symlink_to(folder.parent / "outside.txt")
    written_files.put(folder / "report.html", "text")
    written_files.put_within(folder, "report.html", "text")
    assert (folder.parent / "outside.txt").read_text() == "precious"
    assert sorted(os.listdir(folder)) == sorted([name, "report.html"])


def test_a_temporary_file_that_somebody_put_there_first_is_neither_written_nor_deleted(
    folder, monkeypatch
):
    monkeypatch.setattr(written_files.secrets, "token_hex", lambda _: "0")
    (folder / ".soundstage-0.tmp").symlink_to(folder.parent / "outside.txt")
    with pytest.raises(UsageError, match="File exists"):
        written_files.put(folder / "a", "text")
    assert (folder / ".soundstage-0.tmp").is_symlink()
    assert (folder.parent / "outside.txt").read_text() == "precious"


def test_a_replaced_file_keeps_its_mode_and_a_new_one_gets_that_of_the_user(folder):
    (folder / "old").write_text("x")
    (folder / "old").chmod(0o640)
    before = os.umask(0o027)
    try:
        written_files.put(folder / "old", "y")
        written_files.put(folder / "new", "y")
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((folder / name).stat().st_mode) for name in ("old", "new")]
    assert modes == [0o640, 0o640]


def test_what_is_to_be_new_is_not_written_through_a_link_that_leads_nowhere(folder):
    (folder / "a").symlink_to(folder.parent / "made.txt")
    with pytest.raises(FileExistsError):
        written_files.create(folder / "a", b"text")
    assert not (folder.parent / "made.txt").exists()


def test_a_folder_in_the_place_of_a_file_is_said(folder):
    (folder / "report.html").mkdir()
    with pytest.raises((UsageError, TargetError), match=r"report\.html: cannot write"):
        written_files.put_within(folder, "report.html", "text")
    assert os.listdir(folder) == ["report.html"]
