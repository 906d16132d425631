"""A small Hugging Face Hub: the HTTP API that huggingface_hub calls to make, fill and read a model repository."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import yaml


class Hub(ThreadingHTTPServer):
    """Repositories in memory: name → list of commits, each {path: bytes}; the last is main."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories: dict[str, list[dict[str, bytes]]] = {}
        self.private: dict[str, bool] = {}
        self.tokens: set[str | None] = set()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


def sha_of(name: str, index: int) -> str:
    return hashlib.sha1(f"{name} {index}".encode()).hexdigest()


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *_: object) -> None: ...

    def answer(self, status: int, content: object = b"", **headers: str) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def missing(self, what: str) -> None:
        self.answer(404, {"error": f"{what} not found"}, X_Error_Code=f"{what}NotFound", X_Error_Message=f"No {what}")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.tokens.add(self.headers.get("Authorization"))
        if "Authorization" not in self.headers:
            return self.answer(401, {"error": "Invalid username or password."})
        path = self.path.split("?")[0]
        if path == "/api/validate-yaml":
            front = yaml.safe_load(json.loads(body)["content"].split("---\n")[1])
            errors = [] if isinstance(front, dict) else [{"message": "The front matter must be a mapping."}]
            return self.answer(400 if errors else 200, {"errors": errors, "warnings": []})
        if path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else asked["name"]
            known = name in self.server.repositories
            self.server.repositories.setdefault(name, [{}])
            self.server.private.setdefault(name, asked.get("visibility") == "private" or bool(asked.get("private")))
            return self.answer(409 if known else 200, {"url": f"{self.server.endpoint}/{name}", "name": name})
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/preupload/main", path):
            files = json.loads(body)["files"]
            modes = [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False, "oid": None} for f in files]
            return self.answer(200, {"files": modes})
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/main", path):
            commits = self.server.repositories[match[1]]
            tree = dict(commits[-1])
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    tree[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            commits.append(tree)
            sha = sha_of(match[1], len(commits) - 1)
            url = f"{self.server.endpoint}/{match[1]}/commit/{sha}"
            return self.answer(200, {"commitUrl": url, "commitOid": sha, "success": True})
        return self.missing("Entry")

    def do_GET(self) -> None:
        path = unquote(self.path.split("?")[0])
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path):
            index = self.commit(match[1], match[2] or "main")
            if index is None:
                return None
            tree = self.server.repositories[match[1]][index]
            files = [{"rfilename": name, "size": len(data)} for name, data in tree.items()]
            return self.answer(200, {"id": match[1], "sha": sha_of(match[1], index), "siblings": files, "tags": []})
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/([^/]+)", path):
            index = self.commit(match[1], match[2])
            if index is None:
                return None
            tree = self.server.repositories[match[1]][index]
            entries = [
                {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
                for name, data in tree.items()
            ]
            return self.answer(200, entries)
        if match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            index = self.commit(match[1], match[2])
            if index is None:
                return None
            data = self.server.repositories[match[1]][index].get(match[3])
            if data is None:
                return self.missing("Entry")
            etag = f'"{hashlib.sha256(data).hexdigest()}"'
            return self.answer(200, data, ETag=etag, X_Repo_Commit=sha_of(match[1], index))
        return self.missing("Entry")

    do_HEAD = do_GET

    def commit(self, name: str, revision: str) -> int | None:
        commits = self.server.repositories.get(name)
        if commits is None:
            self.missing("Repo")
            return None
        known = {"main": len(commits) - 1, **{sha_of(name, i): i for i in range(len(commits))}}
        if revision not in known:
            self.missing("Revision")
            return None
        return known[revision]


@contextmanager
def running():
    hub = Hub()
    thread = threading.Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()
