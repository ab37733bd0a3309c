"""Makes values of what a `protocol.json` says: its endpoints, and the protocol of each.

The data has met `protocol.schema.json`, and `coherence` has found nothing wrong with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from soundstage.contract.grounds import Grounds
from soundstage.contract.jobs import Auth, GivenValue, LookedUp, Polling
from soundstage.contract.json_schema.field_path import field_path
from soundstage.contract.json_schema.field_schemas import Schema
from soundstage.contract.protocol import (
    Completion,
    ConstantField,
    Endpoint,
    EventName,
    Index,
    Milestone,
    NeverDecrease,
    Price,
    Protocol,
    Sentinel,
    SongLength,
    Stage,
    Tracks,
)
from soundstage.contract.reading.schema_files import SchemaFiles

#: What holds across chunks: said of all streams, or of one endpoint in their place.
ACROSS: Final = ("tracks", "index", "constant", "never_decrease", "completion")
#: Those that a look at a state has only where its endpoint says so: nobody numbers states.
_OF_STREAMS: Final = ("tracks", "index", "completion")


class ProtocolReader:
    """Reads one `protocol.json`: `data`, of the API version `api`, whose files are in `folder`."""

    def __init__(self, folder: SchemaFiles, api: str, data: Mapping[str, Any]) -> None:
        self._folder = folder
        self._api = api
        self._data = data
        self._path = f"{api}/protocol.json"

    def protocol(self) -> Protocol:
        """All stages together, with what is said of all streams."""
        data = self._data
        stages = tuple(self._stage(n, entry) for n, entry in enumerate(data["stages"]))
        fields = {
            name: self._folder.grounded(
                self._folder.inline(schema, self._path, f"/fields/{name}"),
            )
            for name, schema in data["fields"].items()
        }
        length = data.get("song_length")
        return self._across(
            stages,
            fields,
            {word: data.get(word) for word in ACROSS},
            length
            and SongLength(
                length["within_seconds"], length.get("within_share", 0.0), self._grounds(length)
            ),
        )

    def endpoints(self, whole: Protocol) -> dict[str, Endpoint]:
        """The endpoints by name; `whole` holds their stages."""
        return {
            entry["name"]: self._endpoint(number, entry, whole)
            for number, entry in enumerate(self._data["endpoints"])
        }

    def auth(self) -> Auth:
        """How the key is sent."""
        said = self._data.get("auth")
        return Auth() if said is None else Auth(said["header"], said.get("scheme", ""))

    # ------------------------------------------------------------------ parts

    def _grounds(self, entry: Mapping[str, Any]) -> Grounds:
        return self._folder.grounds_of(entry)

    def _stage(self, number: int, entry: Mapping[str, Any]) -> Stage:
        when = self._folder.inline(
            entry.get("when", {}), self._path, f"/stages/{number}/when", alone=False
        )
        schema = self._folder.resolve(
            f"{self._api}/{entry['chunk']}", f"{self._path}#/stages/{number}/chunk"
        )
        times = entry.get("times", [0, None] if entry.get("anywhere") else [1, 1])
        return Stage(
            name=entry["name"],
            when=when,
            schema=schema if "properties" in schema else {**schema, "properties": {}},
            after=tuple(tuple(group) for group in entry.get("after", ())),
            after_all=tuple(tuple(group) for group in entry.get("after_all", ())),
            times=(times[0], times[1]),
            per_track=entry.get("per_track", False),
            ends=entry.get("ends"),
            failure=entry.get("failure", False),
            charges=entry.get("charges", False),
            milestones=tuple(_milestone(each) for each in entry.get("milestones", ())),
            grounds=self._grounds(entry),
            most=self._grounds(entry["most"]) if "most" in entry else None,
            event=_event(entry["event"]) if "event" in entry else None,
            anywhere=entry.get("anywhere", False),
            state=entry.get("state"),
            takes_time=entry.get("takes_time", False),
        )

    def _across(
        self,
        stages: tuple[Stage, ...],
        fields: Schema,
        said: Mapping[str, Any],
        song_length: SongLength | None,
        sentinel: Sentinel | None = None,
        *,
        sampled: bool = False,
    ) -> Protocol:
        names = {stage.name for stage in stages}
        tracks, index, completion = said["tracks"], said["index"], said["completion"]
        return Protocol(
            stages=stages,
            fields=fields,
            tracks=tracks and self._tracks(tracks),
            index=index and self._index(index, stages),
            constant=tuple(
                ConstantField(
                    field_path(each["field"]), self._grounds(each), each.get("per_track", False)
                )
                for each in said["constant"] or ()
            ),
            never_decrease=tuple(
                NeverDecrease(
                    field_path(each["field"]),
                    tuple(name for name in each["stages"] if name in names),
                    self._grounds(each),
                    each.get("per_track", False),
                )
                for each in said["never_decrease"] or ()
                if names & set(each["stages"])
            ),
            completion=completion
            and Completion(
                field_path(completion["field"]),
                self._grounds(completion["before_last"]),
                self._grounds(completion["last"]),
            ),
            song_length=song_length,
            sentinel=sentinel,
            sampled=sampled,
            by_name={stage.name: stage for stage in stages},
        )

    def _tracks(self, said: Mapping[str, Any]) -> Tracks:
        field, grounds = field_path(said["field"]), self._grounds(said)
        if "values" in said:
            return Tracks(field, tuple(said["values"]), grounds)
        count, start = said["count"], said.get("start", 0)
        if isinstance(count, dict):
            asked, default = field_path(count["request"]), count.get("default", 1)
            return Tracks(field, (start,), grounds, start, None, asked, default)
        least, most = count
        return Tracks(field, tuple(range(start, start + least)), grounds, start, most)

    def _index(self, said: Mapping[str, Any], stages: Iterable[Stage]) -> Index:
        field = field_path(said["field"])
        without = set(said.get("except", ()))
        # What may come anywhere is no step, unless it says itself that it is numbered.
        without |= {
            stage.name for stage in stages if stage.anywhere and not field.schemas(stage.schema)
        }
        return Index(field, said["start"], said["step"], self._grounds(said), frozenset(without))

    def _endpoint(self, number: int, entry: Mapping[str, Any], whole: Protocol) -> Endpoint:
        def schema(word: str) -> Schema | None:
            if word not in entry:
                return None
            named_at = f"{self._path}#{place}/{word}"
            return self._folder.resolve(f"{self._api}/{entry[word]}", named_at)

        place = f"/endpoints/{number}"
        when = entry.get("when")
        return Endpoint(
            name=entry["name"],
            kind=entry["kind"],
            method=entry["method"],
            path=entry["path"],
            billed=entry["billed"],
            framings=tuple(entry.get("framings", ())),
            request=schema("request"),
            response=schema("response"),
            grounds=self._grounds(entry),
            content_type=self._grounds(entry.get("content_type", entry)),
            query=tuple(entry.get("query", {}).items()),
            parameters={
                name: self._folder.inline(each, self._path, f"{place}/parameters/{name}")
                for name, each in entry.get("parameters", {}).items()
            },
            when=None
            if when is None
            else self._folder.inline(when, self._path, f"{place}/when", alone=False),
            success=tuple(entry.get("success", ())),
            gives=tuple(_given(name, each) for name, each in entry.get("gives", {}).items()),
            poll=_polling(entry["poll"]) if "poll" in entry else None,
            looked_up_by=self._looked_up(entry),
            protocol=self._protocol_of(entry, whole),
            price=Price(**entry["price"]) if "price" in entry else None,
            idempotency_key=entry.get("idempotency_key"),
        )

    def _looked_up(self, entry: Mapping[str, Any]) -> LookedUp | None:
        said = entry.get("looked_up_by", entry.get("poll", {}).get("endpoint"))
        if said is None:
            return None
        if isinstance(said, dict):
            return LookedUp(said["endpoint"], self._grounds(said))
        told = next(each for each in self._data["endpoints"] if each["name"] == said)
        return LookedUp(said, self._grounds(told))

    def _protocol_of(self, entry: Mapping[str, Any], whole: Protocol) -> Protocol | None:
        """The protocol of one endpoint: its stages, and what holds across them there."""
        listed = entry.get("stages")
        sampled = entry["kind"] == "status"
        if entry["kind"] not in ("stream", "status") or (sampled and listed is None):
            return None
        elsewhere = self._listed_elsewhere(entry["name"])
        names = set(listed) if listed is not None else set(whole.by_name) - elsewhere
        words = {word: entry[word] for word in ACROSS if word in entry}
        if names == set(whole.by_name) and not words and not sampled and "sentinel" not in entry:
            return whole
        data = {word: None if sampled and word in _OF_STREAMS else self._data.get(word)
                for word in ACROSS}  # fmt: skip
        stages = tuple(stage for stage in whole.stages if stage.name in names)
        return self._across(
            stages,
            whole.fields,
            {**data, **words},
            whole.song_length,
            self._sentinel(entry),
            sampled=sampled,
        )

    def _listed_elsewhere(self, name: str) -> set[str]:
        others = (each for each in self._data["endpoints"] if each["name"] != name)
        return {stage for each in others for stage in each.get("stages", ())}

    def _sentinel(self, entry: Mapping[str, Any]) -> Sentinel | None:
        said = entry.get("sentinel")
        if said is None:
            return None
        least, most = said.get("times", (1, 1))
        basis = said if "basis" in said else entry
        return Sentinel(said["data"].encode(), (least, most), self._grounds(basis))


def _milestone(said: Mapping[str, Any]) -> Milestone:
    field = field_path(said["field"]) if "field" in said else None
    headline, title = said.get("headline", False), said.get("title", "")
    return Milestone(said["name"], said["at"], field, headline, title)


def _event(said: Any) -> EventName:
    if isinstance(said, dict):
        return EventName(said["name"], said.get("required", True))
    return EventName(said)


def _given(name: str, said: Mapping[str, Any]) -> GivenValue:
    field = field_path(said["from"]) if "from" in said else None
    return GivenValue(name, field, said.get("header"), said.get("stage"))


def _polling(said: Mapping[str, Any]) -> Polling:
    longest = max(Polling("").at_most_every_s, said.get("every_s", 0.0))
    return Polling(**{"at_most_every_s": longest, **said})
