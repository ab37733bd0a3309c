"""The table of violation codes: what each means and what to do about it (`soundstage explain`)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Code:
    """A stable, dotted name for a kind of violation, with its meaning and what helps."""

    code: str
    meaning: str
    hint: str


_ROWS = """
framing.unexpected | The body is cut into chunks in a way that the contract does not document. | Compare the content type and the first bytes with the endpoint's `framings`.
framing.unterminated | The body ended inside an event: its blank line is missing, so no client may dispatch it. | End every event, the last one too, with an empty line.
http.status | The status is neither the promised one nor that of a documented refusal. | Check the base path first: a 404 often means a wrong --target.
http.content_type | The content type does not fit the promised body. | A proxy's HTML page or a JSON error looks like this; look at the transcript.
http.error_under_success | A documented error body arrived under a status of success. | Send errors with 4xx or 5xx; clients look at the status first.
http.server_error | A bad request was answered with a 500. | The request was wrong, the answer must say so: 4xx.
http.accepted_invalid | A request that the documentation rules out was accepted. | Refuse it, or document that it is allowed.
http.error_body | An error's body is not what the documentation prints, or not a JSON object. | Compare the body with the printed one in schemas/API/errors.json.
http.reset | The connection was reset before the body was over. | Look at proxies and worker restarts on the server's side.
http.truncated | The connection ended before the body was over: short Content-Length or no last chunk. | The server, or a proxy before it, gave up; look at its logs.
http.framing | The HTTP/1.1 message itself is malformed. | Compare with RFC 9112, section 7.1.
http.content_encoding | The compressed body is corrupt, cut, or of an unknown coding. | Flush and finish the compressor before the connection is closed.
http.redirect | A redirect that cannot be followed safely: not 307 or 308, no target, a loop, or another host. | POST redirects keep method and body only with 307 and 308.
json.empty | An event carries no data to parse. | Send comments (`:`) as heartbeats, not empty data.
json.syntax | The data is not JSON (RFC 8259). | The message says at which byte.
json.nan | NaN or Infinity stands where a number should: RFC 8259 has neither. | Send null, or leave the field out.
json.duplicate_key | An object has the same key twice; parsers keep one or the other. | Send each key once.
json.lone_surrogate | A string holds half of a surrogate pair, which no UTF-8 text can carry. | Cut strings between characters, not between UTF-16 units.
json.invalid_utf8 | The data is not UTF-8. | Encode as UTF-8; cut between characters.
json.trailing_text | Something follows the JSON text. | One JSON text an event.
json.too_deep | The JSON is nested deeper than the cap. | Raise the cap if such depth is meant.
json.not_object | The JSON text is not an object. | A chunk and a result are objects.
field.missing | A required field is absent. | The rule's source names the part of the page that lists it.
field.type | A field has a value of another JSON type than documented. | The message shows both types.
field.value | A field has a value that the contract rules out. | The message shows the value and what is asked.
field.undocumented | A field that the page does not document. | Drift: document it, or stop sending it.
stage.unknown | A chunk belongs to no documented stage. | Its status may be new or misspelt.
stage.order | A stage came before one that it must follow. | See the order of stages in `soundstage explain` of the rule.
stage.repeated | A stage came more often than documented. | -
stage.missing | A stage that is due was never sent although the stream came to its end. | -
track.unknown | The number of a track is none of the documented ones. | Tracks are often counted from 0 by mistake.
track.missing | A track was never delivered. | Every request yields all tracks.
track.after_end | A chunk of a track came after that track's last. | -
index.start | The first chunk has the wrong index. | -
index.gap | An index was skipped: a chunk was lost or misnumbered. | -
index.repeated | Two chunks have the same index. | -
index.decreased | The index went back. | -
identity.changed | A field that identifies the generation changed within the stream. | Chunks of two generations may have been mixed.
progress.decreased | A progress value fell. | -
stream.truncated | The stream ended before its last chunk. | The message lists what was still due.
stream.after_end | A chunk came after the last one. | -
stream.failed | The API reported a failure inside the stream: documented, but there is no song. | Not a violation: the verdict is inconclusive.
stream.not_closed | The stream ended without ever saying that it is complete. | -
asset.host | A URL points to a host that is neither the API's nor its storage's. | -
"""

CODES: dict[str, Code] = {
    code: Code(code, meaning, "" if hint == "-" else hint)
    for code, meaning, hint in (
        (part.strip() for part in row.split(" | ")) for row in _ROWS.strip().splitlines()
    )
}
