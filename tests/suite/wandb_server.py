"""A W&B server on this machine, as far as W&B's client asks for one, well or ill as told."""

from __future__ import annotations

import contextlib
import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

Mood = Literal["well", "errors", "closes", "silent", "falls silent"]
KEY = "0123456789abcdef0123456789abcdef01234567"


class Server:
    """What the client sent, and where it finds the server."""

    def __init__(self, mood: Mood) -> None:
        self.mood = mood
        self.runs: dict[str, dict[str, Any]] = {}
        self.history: dict[str, list[dict[str, Any]]] = {}
        self.artifacts: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.files: dict[str, bytes] = {}
        self.keys: set[str] = set()
        self.leaving = threading.Event()
        self.url = ""

    @property
    def environment(self) -> dict[str, str]:
        """The variables that lead W&B here, and nowhere else, without much patience."""
        return {
            "WANDB_BASE_URL": self.url,
            "WANDB_API_KEY": KEY,
            "WANDB_INIT_TIMEOUT": "2" if self.mood != "well" else "60",
            "WANDB_FINISH_TIMEOUT": "2" if self.mood != "well" else "60",
        }

    def answer(self, operation: str, given: dict[str, Any]) -> dict[str, Any]:
        """The data of a GraphQL query."""
        if operation == "Viewer":
            return {"viewer": {"id": "1", "entity": "me", "username": "me", "flags": "{}"}}
        if operation == "ArtifactType":
            return {"project": {"artifact": None}}
        if operation == "CreateArtifact":
            self.artifacts.append(given.get("input", given))
            made = {"id": "a1", "state": "COMMITTED", "artifactSequence": {"id": "s1"}}
            return {"createArtifact": {"artifact": made}}
        if operation == "UpsertBucket":
            known = self.runs.setdefault(given["name"], {})
            known.update({name: value for name, value in given.items() if value})
            place = {"name": given["project"], "entity": {"name": given.get("entity") or "me"}}
            bucket = {
                "id": f"id-{given['name']}",
                "name": given["name"],
                "displayName": given.get("displayName"),
                "config": "{}",
                "project": place,
            }
            return {"upsertBucket": {"bucket": bucket, "inserted": True}}
        if operation == "CreateRunFiles":
            files = [
                {"name": name, "uploadUrl": f"{self.url}/upload/{given['run']}/{name}"}
                for name in given["files"]
            ]
            made = {"runID": given["run"], "uploadHeaders": [], "files": files}
            return {"createRunFiles": made}
        return {}


class _Handler(BaseHTTPRequestHandler):
    server: _Http

    def log_message(self, *words: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer({})

    def do_PUT(self) -> None:
        self.server.told.files[self.path] = self._body()
        self._answer({})

    def do_POST(self) -> None:
        told, body = self.server.told, self._body()
        told.keys.add(self.headers.get("Authorization", ""))
        if self._is_ill():
            return
        if self.path == "/graphql":
            query = json.loads(body)
            words = query["query"].replace("(", " ").split()
            operation = query.get("operationName") or words[1]
            told.asked.append(operation)
            self._answer({"data": told.answer(operation, query.get("variables") or {})})
            return
        if self.path.endswith("/file_stream"):
            lines = json.loads(body).get("files", {}).get("wandb-history.jsonl", {})
            kept = told.history.setdefault(self.path.split("/")[-2], [])
            kept += [json.loads(line) for line in lines.get("content", [])]
        self._answer({})

    def _is_ill(self) -> bool:
        mood = self.server.told.mood
        if mood == "falls silent" and self.path == "/graphql":
            return False
        if mood in ("silent", "falls silent"):
            self.server.told.leaving.wait()
            return True
        if mood == "closes":
            self.close_connection = True
            return True
        if mood == "errors":
            self._answer({"error": "of the server's own making"}, 500)
            return True
        return False

    def _body(self) -> bytes:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def _answer(self, body: dict[str, Any], code: int = 200) -> None:
        text = json.dumps(body).encode()
        with contextlib.suppress(OSError):
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    told: Server

    def handle_error(self, *given: object) -> None:
        pass  # a client that was killed leaves its connections torn


@contextlib.contextmanager
def serving(mood: Mood) -> Iterator[Server]:
    """A server in that mood for as long as the block lasts."""
    http = _Http(("127.0.0.1", 0), _Handler)
    http.told = Server(mood)
    http.told.url = f"http://127.0.0.1:{http.server_address[1]}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield http.told
    finally:
        http.told.leaving.set()
        http.shutdown()
        thread.join()
        http.server_close()
