"""Paths and URLs in reports are references that any reader of RFC 3986 takes."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import pytest

from soundstage.contract.contract import SCHEMAS_VARIABLE, folder_of
from soundstage.output.uris import of_path, of_url
from soundstage.reports.formats import annotations, sarif
from soundstage.reports.run.findings import read_report
from soundstage.reports.story.curl import curl
from soundstage.results.bundle import Bundle

RULE = "v6/stream/streaming_ready/field/stream_url/required"
#: Characters of RFC 3986, and octets.
_URI = re.compile(r"(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-F]{2})*")
ODD = [
    "plain",
    "with blank",
    "100%",
    "%41",
    "a#b?c",
    "scheme:like",
    "schémas ☃",
    "back\\slash",
    '"<quoted>"',
    "new\nline",
    os.fsdecode(b"no\xfftext"),
    "x" * 220,
]


@pytest.mark.parametrize("name", ODD)
def test_a_path_is_a_relative_reference_that_leads_back_to_it(name: str) -> None:
    reference = of_path(f"{name}/b.json")
    assert _URI.fullmatch(reference)
    parts = urlsplit(reference)
    assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("", "", "", "")
    assert urljoin("https://h/d/", reference) == f"https://h/d/{reference}"
    assert os.fsdecode(unquote(reference, errors="surrogateescape")) == f"{name}/b.json"


# A colon parts folders from one another.
@pytest.mark.parametrize("name", [name for name in ODD if ":" not in name])
def test_findings_point_at_contracts_in_any_folder(
    name: str, bundle: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    shutil.copytree(str(folder_of("v6")), home / name / "v6")
    monkeypatch.chdir(home)
    monkeypatch.setenv(SCHEMAS_VARIABLE, f"./{name}")
    found: dict[str, Any] = {
        "rule": RULE,
        "api": "v6",
        "endpoint": "stream",
        "outcome": "failed",
        "violations": 1,
        "exchanges": 1,
        "evidence": [{"exchange": "e000001", "chunk": 3, "path": "/a", "message": "missing"}],
    }
    report = read_report(Bundle.open(bundle(rules=[{"severity": "error", **found}])))
    (run,) = json.loads(sarif.render([report]))["runs"]
    where = run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert _URI.fullmatch(where)
    file = home / unquote(where, errors="surrogateescape")
    assert file == home / name / "v6" / "chunks" / "streaming_ready.json"
    assert file.is_file()
    (line,) = annotations.render(report).splitlines()
    (said,) = re.findall(r"^::error file=([^,:]*),line=[0-9]+,title=", line)
    assert (home / unquote(said, errors="surrogateescape")).is_file()


@pytest.mark.parametrize(
    ("url", "written"),
    [
        (
            "https://h/a b?x=[redacted]#[redacted]",
            "https://h/a%20b?x=%5Bredacted%5D#%5Bredacted%5D",
        ),
        ("http://[::1]:8000/v6/[x]", "http://[::1]:8000/v6/%5Bx%5D"),
        ("https://h/50%/%41%zz", "https://h/50%25/%41%25zz"),
        ("https://h/ä{1,2}\ud800", "https://h/%C3%A4%7B1,2%7D%ED%A0%80"),
    ],
)
def test_a_url_is_escaped_once_and_is_no_pattern_for_curl(url: str, written: str) -> None:
    assert of_url(url) == written
    assert of_url(written) == written
    line = curl({"method": "GET", "url": url.partition("?")[0]})
    assert line is not None
    assert f"'{written.partition('?')[0]}'" in line
