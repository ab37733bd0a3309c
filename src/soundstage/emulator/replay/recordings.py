"""Recorded answers, read from transcripts, HTTP archives and saved responses: what
`emulate --replay` serves.

Values, and the files that they come from. How they are sent is `replay`'s.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from soundstage.contract import Contract
from soundstage.contract.paths import endpoint_at
from soundstage.contract.placeholders import PLACEHOLDER
from soundstage.contract.protocol import MEDIA_TYPES
from soundstage.contract.recognise import Guess, recognise
from soundstage.emulator.replay.recorded_jobs import RecordedJob, job_of
from soundstage.emulator.replay.recording import Recording, recording_of
from soundstage.errors import NoDataError, UsageError
from soundstage.saved import look_alikes, saved_file
from soundstage.saved.transcript import Transcript
from soundstage.untrusted import json_text
from soundstage.untrusted.strange_files import leads_out
from soundstage.wire.lines import sniff_framing

#: A file may be so large, and all that is replayed together.
_LARGEST: Final = 256 * 2**20
_ALL: Final = 1024 * 2**20


@dataclass(slots=True)
class FoundRecordings:
    """The recordings at a place, the looks at what they made, and what there was skipped, a line
    for each.
    """

    recordings: list[Recording] = field(default_factory=list)
    jobs: list[RecordedJob] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes of all bodies."""
        looks = (look.recording for job in self.jobs for look in job.looks)
        return sum(each.size for each in (*self.recordings, *looks))

    def add(self, name: str, record: Transcript, contracts: list[Contract]) -> None:
        """Take a saved answer in, and the looks at what it made. Raises UsageError for one that
        cannot be served.
        """
        recording = recording_of(name, record, contracts)
        if recording is None:
            return
        job = job_of(name, record, recording, contracts)
        self.recordings.append(recording)
        if job is not None:
            self.jobs.append(job)


def find(place: Path, contracts: list[Contract]) -> FoundRecordings:
    """The recordings in a folder (all its files but hidden ones, by name), in a run bundle, or in
    one file. Of an archive, those at an endpoint of the contracts; a response without anything that
    says what it answered is one of the endpoint whose fields it has.

    In a folder, what is nothing of that is skipped. Raises UsageError for what cannot be read where
    nothing else is there, NoDataError if there is nothing to replay.
    """
    found = FoundRecordings()
    wrong: UsageError | None = None
    if (place / "run.json").is_file():
        if leads_out(place / "transcripts", place):
            raise UsageError(f"{place / 'transcripts'}: a link that leads out of {place}")
        place = place / "transcripts"
        if not place.is_dir():
            raise NoDataError(f"{place}: nothing to replay: the bundle kept no transcript")
    if not place.is_dir():
        _add_file(found, place, contracts)
    else:
        for file in sorted(place.iterdir()):
            if file.name.startswith(".") or file.is_dir():
                continue
            try:
                _add_file(found, file, contracts, within=place)
            except UsageError as error:
                wrong = wrong or error
                found.skipped.append(f"skipped {error}")
            if found.size > _ALL:
                raise UsageError(f"{place}: recordings of more than {_ALL // 2**20} MiB")
    if not found.recordings and wrong is not None:
        raise wrong
    if not found.recordings:
        why = f" ({found.skipped[0]})" if found.skipped else ""
        raise NoDataError(f"{place}: nothing to replay: no response, transcript or HAR entry{why}")
    return found


def _add_file(
    found: FoundRecordings, file: Path, contracts: list[Contract], within: Path | None = None
) -> None:
    def wanted(method: str, path: str) -> bool:
        return endpoint_at(contracts, method, path) is not None

    held = saved_file.read_file(str(file), limit=_LARGEST, wanted=wanted, within=within)
    if held.exchange is None:
        _add_archive(found, file, held, contracts)
        return
    if held.form == "response":
        _name_endpoint(file, held.exchange, contracts)
    found.add(str(file), held.exchange, contracts)


def _add_archive(
    found: FoundRecordings, file: Path, held: saved_file.Saved, contracts: list[Contract]
) -> None:
    for entry in held.entries:
        name = f"{file}#{entry.number}"
        if entry.problem is not None:
            found.skipped.append(f"skipped {name}: {entry.problem}")
        if entry.exchange is None or entry.exchange.end is None or entry.followed:
            continue
        try:
            found.add(name, entry.exchange, contracts)
        except UsageError as error:
            found.skipped.append(f"skipped {error}")


def _name_endpoint(file: Path, exchange: Transcript, contracts: list[Contract]) -> None:
    """Say in the header of a response what it answered, and what its head was, where the file does
    not. Raises UsageError for what fits no contract.
    """
    header, body = exchange.header, exchange.body
    guess = recognise(body, contracts)[0]
    if "request" not in header:
        if not guess.fits:
            apis = " or ".join(each.api for each in contracts)
            raise UsageError(
                f"{file}: neither a transcript nor a HAR file nor an answer of {apis}, but like "
                f"{look_alikes.looks_like(body)}"
            )
        endpoint = guess.endpoint
        if PLACEHOLDER.search(endpoint.path):
            what = f"{guess.contract.api} {endpoint.name}"
            raise UsageError(f"{file}: an answer of {what}, and nothing says which id it was for")
        header["request"] = {"method": endpoint.method, "url": endpoint.path}
    if "response" not in header:
        media = MEDIA_TYPES.get(sniff_framing(body), "text/plain")
        header["response"] = {"status": _status(guess, body), "headers": [["content-type", media]]}
    if exchange.doubt is not None:
        exchange.end = None  # how it went on, nobody knows


def _status(guess: Guess, body: bytes) -> int:
    """The status that a response without its head most likely had."""
    if guess.kind != "error":
        return guess.endpoint.usual_status
    error = guess.contract.errors.matching(json_text.parse(body).value)
    return error.status if error is not None else 400
