"""The sample programs that the documentation prints run against the emulator, with only URL and
key changed (and what the page lost: indentation, an import); and so do like ones in other clients.
"""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from emulated import served

from soundstage.emulator.options import Options

FAST = Options(speed=1000, seed=5)

V6_STREAM = """
import requests
import json
url = "https://api.soundverse.ai/v6/generate/song"
headers = {
    "Authorization": "Bearer your_api_key_here",
    "Content-Type": "application/json"
}
payload = {
    "prompt": "A cheerful pop song about friendship and adventure.",
    "lyrics": "Through every road we roam, together we are home"
}
response = requests.post(url, json=payload, headers=headers, stream=True)
# Process streaming response
for line in response.iter_lines():
    if line:
        text = line.decode('utf-8')
        if text.startswith('data: '):
            data = json.loads(text[6:])
            print(data)
"""

V6_SYNC = """
import requests
url = "https://api.soundverse.ai/v6/generate/song/sync"
headers = {
    "Authorization": "Bearer your_api_key_here",
    "Content-Type": "application/json"
}
payload = {
    "prompt": "A cheerful pop song about friendship and adventure.",
    "lyrics": "Through every road we roam, together we are home"
}
response = requests.post(url, json=payload, headers=headers)
print(response.json())
"""

V5_STREAM = """
import json
import requests

url = "https://api.soundverse.ai/v5/generate/song-gen"
headers = {
    "Authorization": "Bearer your_api_key_here",
    "Content-Type": "application/json"
}
payload = {
    "userId": "your_user_id",
    "projectId": "your_project_id",
    "prompt": "A happy upbeat pop song about summer days",
    "lyrics": "Verse 1: Walking down the beach, feeling the sun...",
    "duration": 30,
    "model": "mureka-7.5"
}

response = requests.post(url, json=payload, headers=headers, stream=True)

# Process streaming response
for line in response.iter_lines():
    if line:
        data = json.loads(line.decode('utf-8'))
        print(data)
"""

V5_SYNC = """
import requests

url = "https://api.soundverse.ai/v5/generate/song-gen/sync"
headers = {"Authorization": "Bearer your_api_key_here", "Content-Type": "application/json"}
payload = {
    "userId": "your_user_id",
    "projectId": "your_project_id",
    "prompt": "A happy upbeat pop song about summer days",
}
print(requests.post(url, json=payload, headers=headers).json())
"""

HTTPX_SSE = """
import httpx
from httpx_sse import connect_sse

headers = {"Authorization": "Bearer your_api_key_here"}
with httpx.Client() as client:
    with connect_sse(
        client,
        "POST",
        "https://api.soundverse.ai/v6/generate/song",
        json={"prompt": "A cheerful pop song about friendship and adventure."},
        headers=headers,
    ) as source:
        for event in source.iter_sse():
            print(event.json())
"""

FETCH = """
const response = await fetch("https://api.soundverse.ai/v6/generate/song", {
  method: "POST",
  headers: {
    "Authorization": "Bearer your_api_key_here",
    "Content-Type": "application/json",
  },
  body: JSON.stringify({ prompt: "A cheerful pop song about friendship and adventure." }),
});
const decoder = new TextDecoder();
let buffer = "";
for await (const piece of response.body) {
  buffer += decoder.decode(piece, { stream: true });
  let end;
  while ((end = buffer.indexOf("\\n\\n")) >= 0) {
    const event = buffer.slice(0, end);
    buffer = buffer.slice(end + 2);
    if (event.startsWith("data: ")) console.log(JSON.stringify(JSON.parse(event.slice(6))));
  }
}
"""


@pytest.fixture(scope="module")
def emulator() -> Iterator[str]:
    with served(FAST) as url:
        yield url


def run(program: str, url: str, folder: Path, *, name: str = "sample.py") -> list[dict]:
    """What a sample prints, a value a line, with only URL and key changed."""
    text = program.replace("https://api.soundverse.ai", url).replace("your_api_key_here", "my-key")
    file = folder / name
    file.write_text(text)
    command = ["node", str(file)] if name.endswith(".mjs") else [sys.executable, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    read = json.loads if name.endswith(".mjs") else ast.literal_eval
    return [read(line) for line in done.stdout.splitlines()]


def is_a_whole_v6_stream(chunks: list[dict]) -> bool:
    statuses = [chunk["status"] for chunk in chunks]
    return (
        statuses[:3] == ["initializing", "validated", "streaming"]
        and [chunk["chunkIndex"] for chunk in chunks] == list(range(len(chunks)))
        and {chunk.get("version") for chunk in chunks if "stream_url" in chunk} == {1, 2}
        and sum("lyrics_sections" in chunk for chunk in chunks) == 2
        and statuses[-1] == "completed"
    )


def test_the_v6_streaming_sample_prints_every_stage(emulator: str, tmp_path: Path) -> None:
    assert is_a_whole_v6_stream(run(V6_STREAM, emulator, tmp_path))


def test_the_v6_synchronous_sample_prints_two_tracks(emulator: str, tmp_path: Path) -> None:
    (result,) = run(V6_SYNC, emulator, tmp_path)
    assert set(result) == {"message_id", "album_art", "song_name", "audio_data"}
    assert [set(track) for track in result["audio_data"]] == [{"audio_url", "song_name"}] * 2


def test_the_v5_streaming_sample_prints_chunks_until_complete_with_bare_lines(
    tmp_path: Path,
) -> None:
    with served(replace(FAST, framing="lines")) as url:
        chunks = run(V5_STREAM, url, tmp_path)
    assert [chunk["isComplete"] for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert [chunk["chunkIndex"] for chunk in chunks] == list(range(1, len(chunks) + 1))
    assert chunks[-1]["status"] == "COMPLETED"
    assert chunks[-1]["audio_url"].startswith("http")


def test_a_v5_synchronous_sample_prints_the_result(emulator: str, tmp_path: Path) -> None:
    (result,) = run(V5_SYNC, emulator, tmp_path)
    assert result["success"] is True
    assert result["status"] == "COMPLETED"
    assert set(result) == {
        "success",
        "messageId",
        "audio_url",
        "album_art",
        "song_name",
        "status",
    }


def test_httpx_sse_reads_a_v6_stream(emulator: str, tmp_path: Path) -> None:
    assert is_a_whole_v6_stream(run(HTTPX_SSE, emulator, tmp_path))


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_javascript_fetch_reads_a_v6_stream(emulator: str, tmp_path: Path) -> None:
    assert is_a_whole_v6_stream(run(FETCH, emulator, tmp_path, name="sample.mjs"))


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_reads_a_v6_stream(emulator: str) -> None:
    done = subprocess.run(
        [
            "curl",
            "-sN",
            f"{emulator}/v6/generate/song",
            *("-H", "Authorization: Bearer my-key", "-H", "Content-Type: application/json"),
            *("-d", '{"prompt": "A cheerful pop song about friendship and adventure."}'),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("data: ")]
    assert is_a_whole_v6_stream([json.loads(line[6:]) for line in lines])
