"""Files that hold no response and cannot: told by their first bytes. A table, and its look-up."""

from __future__ import annotations

import re
from typing import Final

#: How such files begin: pattern, what that is, and what to give instead ("" for the usual advice).
_KINDS: Final = tuple(
    (re.compile(pattern, re.DOTALL), what, advice)
    for pattern, what, advice in (
        (rb"PK(?:\x03\x04|\x05\x06)", "a zip archive", "unpack it, and give the files in it"),
        (rb".{257}ustar", "a tar archive", "unpack it, and give the files in it"),
        (rb"7z\xbc\xaf\x27\x1c|Rar!\x1a\x07", "an archive", "unpack it, and give the files in it"),
        (rb"%PDF-", "a PDF document", ""),
        (rb"\x89PNG\r\n\x1a\n|GIF8[79]a|\xff\xd8\xff|RIFF.{4}WEBP|BM.{4}\0\0\0\0", "an image", ""),
        (rb"ID3[\x02-\x04]|\xff[\xe2-\xe7\xf2-\xf7\xfa\xfb]|fLaC|OggS|RIFF.{4}WAVE", "audio", ""),
        (rb".{4}ftyp|\x1a\x45\xdf\xa3", "a video or audio container", ""),
        (
            rb"\xd4\xc3\xb2\xa1|\xa1\xb2\xc3\xd4|\x4d\x3c\xb2\xa1|\xa1\xb2\x3c\x4d|\x0a\x0d\x0d\x0a",
            "a packet capture",
            "export the HTTP objects, or save the response with `curl -sN ... > stream.sse`",
        ),
        (
            rb"[0-9]{1,9}:[0-9]{1,9}:[a-z_]+[;,]",
            "a dump of mitmproxy's flows",
            "export it as HAR: mitmdump -nr FLOWS --set hardump=saved.har",
        ),
        (rb"SQLite format 3\0", "an SQLite database", ""),
        (rb"\x7fELF|MZ.{2}.{56}|\xca\xfe\xba\xbe|\xcf\xfa\xed\xfe", "a program", ""),
        (rb"PAR1", "a Parquet file", ""),
        (rb"\x80[\x02-\x05](?:[}\]\x95(c]|K|X)", "a Python pickle", ""),
        (rb"bplist00", "a binary property list", ""),
        (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Office document", ""),
        (rb"\0asm", "a WebAssembly module", ""),
    )
)


def kind_of_file(raw: bytes) -> tuple[str, str] | None:
    """What a file is that begins so, and what to give instead ("" where nothing special is to be
    said); None if it may be text.
    """
    head = raw[:1024]
    return next((each[1:] for each in _KINDS if each[0].match(head)), None)
