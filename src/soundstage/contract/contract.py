"""Reads a contract's folder into one value, and refuses what it does not fully understand."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import jsonschema_rs

from soundstage.contract.grounds import Grounds
from soundstage.contract.jobs import Auth
from soundstage.contract.json_schema import patterns
from soundstage.contract.json_schema.field_path import FieldPath, field_path
from soundstage.contract.json_schema.field_schemas import pointer
from soundstage.contract.protocol import (
    DocumentedError,
    Endpoint,
    Errors,
    Example,
    Hosts,
    Protocol,
    Stage,
)
from soundstage.contract.reading import coherence
from soundstage.contract.reading.folder import all_files, versions, why_none
from soundstage.contract.reading.form_words import said
from soundstage.contract.reading.protocol_reader import ProtocolReader
from soundstage.contract.reading.schema_files import SchemaFiles
from soundstage.contract.rules import RuleBook, rule_book
from soundstage.errors import ContractDataError, UsageError
from soundstage.near_names import did_you_mean

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

_REFUSALS = ("wrong_type", "wrong_media_type")
#: Names folders of contracts (separated as in PATH) that are added to the installed ones.
SCHEMAS_VARIABLE = "SOUNDSTAGE_SCHEMAS"


@dataclass(frozen=True, slots=True, eq=False)
class Contract:
    """Everything documented for one API version. Compared and hashed by identity.

    `protocol` is that of the endpoint that tells most of a generation: of its first stream, else of
    the first status endpoint that shows states.

    `sha256` is over the bytes of its files, so that two runs can tell whether they were held
    against the same contract.
    """

    api: str
    title: str
    base_url: str
    sha256: str
    endpoints: Mapping[str, Endpoint]
    protocol: Protocol
    errors: Errors
    hosts: Hosts
    rules: RuleBook
    examples: tuple[Example, ...]
    auth: Auth = field(default_factory=Auth)

    def endpoint_of_kind(self, kind: str) -> Endpoint | None:
        """The first endpoint of a kind (`Endpoint.kind`); None if there is none."""
        return next(iter(self.of_kind(kind)), None)

    def of_kind(self, *kinds: str) -> list[Endpoint]:
        """The endpoints of some kinds."""
        return [each for each in self.endpoints.values() if each.kind in kinds]

    def endpoint_of_errors(self) -> Endpoint:
        """The endpoint that an error is taken for the answer of where nothing tells: they all have
        the same errors. The stream, if there is one.
        """
        return self.endpoint_of_kind("stream") or next(iter(self.endpoints.values()))

    @property
    def told(self) -> Endpoint | None:
        """The endpoint whose protocol is the contract's; None if nothing comes in order."""
        endpoints = self.endpoints.values()
        return next((each for each in endpoints if each.protocol is self.protocol), None)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Every stage and state of all endpoints, in order, each once."""
        found = (each.protocol for each in self.endpoints.values() if each.protocol is not None)
        return tuple(dict.fromkeys(stage for each in found for stage in each.stages))

    def course_of(self, endpoint: Endpoint) -> Protocol | None:
        """What is told, in order, of what an endpoint makes: its own chunks, or the states that a
        job is seen in; None where there is but a result.
        """
        if endpoint.poll is not None:
            return self.endpoints[endpoint.poll.endpoint].protocol
        return endpoint.protocol

    def seen_through(self, endpoint: Endpoint) -> Contract:
        """The same with another stream (or status endpoint) as the one that tells most: `protocol`
        is its, and it comes first. The contract itself where it is that already.
        """
        if endpoint.protocol is None or endpoint is self.told:
            return self
        return _seen_through(self, endpoint)


@cache
def _seen_through(contract: Contract, endpoint: Endpoint) -> Contract:
    assert endpoint.protocol is not None
    others = {name: each for name, each in contract.endpoints.items() if each is not endpoint}
    first = {endpoint.name: endpoint, **others}
    return replace(contract, endpoints=first, protocol=endpoint.protocol)


def _told(endpoints: Mapping[str, Endpoint], whole: Protocol) -> Protocol:
    """The protocol of the endpoint that tells most of a generation: of the first stream, else of
    the first that shows its states; all stages where there is none.
    """
    streams = [each for each in endpoints.values() if each.kind == "stream"]
    first = next(iter([*streams, *(e for e in endpoints.values() if e.sampled)]), None)
    return first.protocol if first is not None and first.protocol is not None else whole


def _held(root: Traversable | None) -> list[tuple[Traversable, list[str]]]:
    """The folders that hold contracts with the versions in each, those that were added first: what
    they hold wins.

    Raises UsageError for one that was added and holds no contract: nobody adds nothing on purpose.
    """
    if root is not None:
        return [(root, versions(root))]
    named = os.environ.get(SCHEMAS_VARIABLE, "")
    added = [Path(name) for name in named.split(os.pathsep) if name]
    held: list[tuple[Traversable, list[str]]] = []
    for each in added:
        if not each.is_dir() or not (apis := versions(each)):
            raise UsageError(f"--schemas (or {SCHEMAS_VARIABLE}) {why_none(each)}")
        held.append((each, apis))
    return [*held, (_installed(), versions(_installed()))]


def _installed() -> Traversable:
    """The folder of those that come with Soundstage; `importlib.resources` is asked only where we
    are installed in an archive: to load it takes a tenth of the time of a short command.
    """
    schemas = import_module("soundstage.schemas")
    folder = Path(next(iter(schemas.__path__)))
    if folder.is_dir():
        return folder
    from importlib.resources import files

    return files(schemas)


def available(root: Traversable | None = None) -> list[str]:
    """The API versions there are contracts for, sorted: the folders with a `protocol.json` in
    `root`, by default those that come with Soundstage and those in SOUNDSTAGE_SCHEMAS.

    Raises ContractDataError if `root` is not there, UsageError for an added folder that is not
    there or holds none.
    """
    return sorted({api for _, apis in _held(root) for api in apis})


def load(api: str, root: Traversable | None = None) -> Contract:
    """The contract of one API version.

    Raises UsageError if there is none, ContractDataError (file, pointer, reason) if its data is
    not fully understood.
    """
    return _load(api, _root_of(api, root))  # type: ignore[arg-type]  # Paths are hashable


def folder_of(api: str) -> Traversable:
    """The folder that a version's contract is read from. Raises UsageError if there is none."""
    return _root_of(api, None).joinpath(api)


def is_added(api: str) -> bool:
    """Whether a version's contract does not come with Soundstage, but lies in a folder that was
    added. Raises UsageError for such a folder that holds none.
    """
    *added, _ = _held(None)
    return any(api in apis for _, apis in added)


def _root_of(api: str, root: Traversable | None) -> Traversable:
    held = _held(root)
    for each, apis in held:
        if api in apis:
            return each
    known = ", ".join(sorted({api for _, apis in held for api in apis})) or "none"
    near = did_you_mean(api, (each for _, apis in held for each in apis))
    raise UsageError(f"no contract for {api!r}: there are {known}{near}")


def load_all(root: Traversable | None = None) -> dict[str, Contract]:
    """Every contract there is, by name of the API version. One that is not understood is refused,
    as by `load`.
    """
    return {api: load(api, root) for api in available(root)}


def load_sound() -> tuple[dict[str, Contract], dict[str, ContractDataError]]:
    """Every contract that is understood, and why the others are not: for what looks something up
    in all of them and needs none, so that one broken folder keeps nobody from the others.
    """
    sound, broken = {}, {}
    for api in available():
        try:
            sound[api] = load(api)
        except ContractDataError as error:
            broken[api] = error
    return sound, broken


@cache
def _load(api: str, root: Traversable) -> Contract:
    folder = SchemaFiles(root, str(root) if isinstance(root, Path) else "schemas", _installed())
    path = f"{api}/protocol.json"
    data = folder.read(path)
    _meets_schema(folder, path, data)
    if data["api"] != api:
        raise ContractDataError(f"{folder.name}/{path}#/api: must be {api!r}, as the folder is")
    folder.grounds = data.get("basis"), data.get("source")
    data = _with_defaults(data)
    _fits(folder, path, coherence.of_protocol(data))
    reader = ProtocolReader(folder, api, data)
    protocol = reader.protocol()
    endpoints = reader.endpoints(protocol)
    _fits(folder, path, coherence.of_values(protocol, endpoints, data))
    for stage, reason in coherence.of_numbers(protocol):
        chunk = next(each["chunk"] for each in data["stages"] if each["name"] == stage)
        raise ContractDataError(f"{folder.name}/{api}/{chunk}: {reason}")
    errors = _errors(folder, api)
    hosts = _hosts(folder, data)
    try:
        rules = rule_book(api, endpoints, protocol, errors, hosts)
    except ValueError as error:
        raise ContractDataError(f"{folder.name}/{path}: {error}") from error
    return Contract(
        api=api,
        title=data["title"],
        base_url=data["base_url"],
        sha256=_digest(folder, api),
        endpoints=endpoints,
        protocol=_told(endpoints, protocol),
        errors=errors,
        hosts=hosts,
        rules=rules,
        examples=_examples(folder, api, protocol, errors),
        auth=reader.auth(),
    )


def _with_defaults(data: Mapping[str, Any]) -> dict[str, Any]:
    """What a `protocol.json` says where it leaves parts out."""
    return {"stages": [], "fields": {}, "constant": [], "never_decrease": [], **data}


def _meets_schema(folder: SchemaFiles, path: str, data: Any, part: str | None = None) -> None:
    for error in _form(part).iter_errors(data):
        where = f"{folder.name}/{path}#{pointer(*error.instance_path)}"
        raise ContractDataError(f"{where}: {said(error, _form_of(part))}")


@cache
def _form(part: str | None) -> jsonschema_rs.Draft202012Validator:
    """Holds what `_form_of` says."""
    return patterns.validator(_form_of(part))


@cache
def _form_of(part: str | None) -> dict[str, Any]:
    """What a `protocol.json`, or another file, must be like. Always ours: what a folder has under
    the name `protocol.schema.json` is for editors, and the code understands no other.
    """
    schema: dict[str, Any] = json.loads(_installed().joinpath("protocol.schema.json").read_bytes())
    return schema if part is None else {"$ref": f"#/$defs/{part}", "$defs": schema["$defs"]}


def _fits(folder: SchemaFiles, path: str, findings: Iterator[coherence.Finding]) -> None:
    for place, reason in findings:
        raise ContractDataError(f"{folder.name}/{path}#{place}: {reason}")


def _hosts(folder: SchemaFiles, data: Mapping[str, Any]) -> Hosts:
    """Where the page names none, the API's own."""
    if "hosts" in data:
        return Hosts(tuple(data["hosts"]["values"]), folder.grounds_of(data["hosts"]))
    own = urlsplit(data["base_url"]).hostname or ""
    return Hosts((own,), Grounds("inferred", data["title"]))


#: What is held of errors where a contract has no `errors.json`.
_ANY_ERRORS: Final[dict[str, Any]] = {
    "statuses": {"minimum": 400, "maximum": 599},
    "server_error": {},
    "printed": [],
    "unprinted": [],
}


def _errors(folder: SchemaFiles, api: str) -> Errors:
    path = f"{api}/errors.json"
    if folder.has(path):
        data = folder.read(path)
        _meets_schema(folder, path, data, part="errors")
    else:
        guess = {"basis": "inferred", "source": "RFC 9110 > 15.5. Client Error 4xx"}
        data = {**_ANY_ERRORS, "server_error": guess,
                "statuses": {**_ANY_ERRORS["statuses"], **guess}}  # fmt: skip
    missing = [w for w, said in zip(("basis", "source"), folder.grounds, strict=True) if not said]
    _fits(folder, path, coherence.of_errors(data, missing))
    known = tuple(
        DocumentedError(
            name=entry["name"],
            title=entry["title"],
            status=entry["status"],
            body=entry["body"],
            printed=printed,
            grounds=folder.grounds_of(entry),
            explained_at=None if printed else _explained_at(entry),
        )
        for printed, part in ((True, "printed"), (False, "unprinted"))
        for entry in data[part]
    )
    statuses = data["statuses"]
    span = range(statuses["minimum"], statuses["maximum"] + 1)
    return Errors(
        known,
        span,
        folder.grounds_of(statuses),
        folder.grounds_of(data["server_error"]),
        *(folder.grounds_of(data[word]) if word in data else None for word in _REFUSALS),
    )


def _explained_at(entry: Mapping[str, Any]) -> FieldPath | None:
    """Where the body of an error says why: where its entry says so, else at its one text."""
    if (said := entry.get("explained_at")) is not None:
        return field_path(said)
    texts = list(islice(_texts(entry["body"], ()), 2))
    return FieldPath(texts[0]) if len(texts) == 1 else None


def _texts(body: Mapping[str, Any], way: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for name, value in body.items():
        if isinstance(value, str):
            yield (*way, name)
        elif isinstance(value, Mapping):
            yield from _texts(value, (*way, name))


def _examples(
    folder: SchemaFiles, api: str, protocol: Protocol, errors: Errors
) -> tuple[Example, ...]:
    path = f"{api}/examples/index.json"
    if not folder.has(path):
        return ()
    data = folder.read(path)
    _meets_schema(folder, path, data, part="examples")
    names = [error.name for error in errors.known]
    _fits(folder, path, coherence.of_examples(data, protocol.by_name, names))
    return tuple(
        Example(
            file=entry["file"],
            of=entry["of"],
            source=entry.get("source", ""),
            mended=entry.get("mended"),
            payload=folder.read(
                f"{api}/examples/{entry['file']}", f"{path}#/examples/{number}/file"
            ),
        )
        for number, entry in enumerate(data["examples"])
    )


def _digest(folder: SchemaFiles, api: str) -> str:
    digest = hashlib.sha256()
    try:
        for root, place in (folder.found(f"{api}/."), folder.found("fields.json")):
            for name, content in all_files(place, root):
                digest.update(f"{name}\0{len(content)}\0".encode() + content)
    except (ValueError, OSError) as error:
        why = getattr(error, "strerror", None) or error
        raise ContractDataError(f"{folder.name}/{why}") from error
    return digest.hexdigest()
