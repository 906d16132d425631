"""A small Hugging Face Hub: the HTTP API that huggingface_hub calls to make, fill and read a model repository.

As the Hub does, it takes .safetensors by Git LFS: the client asks the batch API where to put the bytes, puts them, has
them verified, and commits a pointer; on reading it is sent on to the address of the object. Xet's storage,
which the client prefers where hf_xet is installed, is not here: HF_HUB_DISABLE_XET=1 turns it off.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import yaml


class Hub(ThreadingHTTPServer):
    """Repositories in memory: name → list of commits, each {path: bytes}; the last is main.

    `objects` are those of LFS by their SHA-256, `put` counts how often each was sent, `large` names their files.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories: dict[str, list[dict[str, bytes]]] = {}
        self.private: dict[str, bool] = {}
        self.tokens: set[str | None] = set()
        self.objects: dict[str, bytes] = {}
        self.put: Counter[str] = Counter()
        self.verified: set[str] = set()
        self.leaked = False  # whether the storage was shown a token
        self.large: set[tuple[str, str]] = set()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def storage(self) -> str:
        """Where the objects of LFS are: another host than the Hub, so that the client sends it no token."""
        return f"http://localhost:{self.server_address[1]}/lfs/objects/"


def mode(path: str) -> str:
    """How a file is uploaded, as the Hub's .gitattributes have it."""
    return "lfs" if path.endswith(".safetensors") else "regular"


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
            modes = [{"path": f["path"], "uploadMode": mode(f["path"]), "shouldIgnore": False} for f in files]
            return self.answer(200, {"files": modes})
        if re.fullmatch(r"/[^/]+/[^/]+\.git/info/lfs/objects/batch", path):
            return self.batch(json.loads(body))
        if path == "/lfs/verify":
            asked = json.loads(body)
            stored = self.server.objects.get(asked["oid"])
            if stored is None or len(stored) != asked["size"]:
                return self.answer(422, {"error": "The object is not here."})
            self.server.verified.add(asked["oid"])
            return self.answer(200)
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/main", path):
            commits = self.server.repositories[match[1]]
            tree = dict(commits[-1])
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    tree[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
                if line["key"] == "lfsFile":
                    pointer = line["value"]
                    if pointer["oid"] not in self.server.verified or pointer["algo"] != "sha256":
                        return self.answer(422, {"error": "The commit points to an object that was not verified."})
                    tree[pointer["path"]] = self.server.objects[pointer["oid"]]
                    self.server.large.add((match[1], pointer["path"]))
            commits.append(tree)
            sha = sha_of(match[1], len(commits) - 1)
            url = f"{self.server.endpoint}/{match[1]}/commit/{sha}"
            return self.answer(200, {"commitUrl": url, "commitOid": sha, "success": True})
        return self.missing("Entry")

    def batch(self, asked: dict) -> None:
        """Where to put each object (Git LFS's batch API); nothing for one that is here."""
        assert asked["operation"] == "upload"
        assert "basic" in asked["transfers"]
        actions = {
            "upload": {"href": self.server.storage, "header": {}},
            "verify": {"href": f"{self.server.endpoint}/lfs/verify", "header": {}},
        }
        objects = []
        for each in asked["objects"]:
            entry = {"oid": each["oid"], "size": each["size"]}
            if each["oid"] not in self.server.objects:
                upload = {**actions["upload"], "href": actions["upload"]["href"] + each["oid"]}
                entry["actions"] = {**actions, "upload": upload}
            objects.append(entry)
        self.answer(200, {"transfer": "basic", "objects": objects})

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        oid = self.path.removeprefix("/lfs/objects/")
        self.server.leaked |= "Authorization" in self.headers
        if hashlib.sha256(data).hexdigest() != oid:
            return self.answer(400, {"error": "The bytes do not have the hash of their address."})
        self.server.objects[oid] = data
        self.server.put[oid] += 1
        return self.answer(200)

    def do_GET(self) -> None:
        path = unquote(self.path.split("?")[0])
        if path.startswith("/lfs/objects/"):
            self.server.leaked |= "Authorization" in self.headers
            return self.answer(200, self.server.objects[path.removeprefix("/lfs/objects/")])
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
            oid, commit = hashlib.sha256(data).hexdigest(), sha_of(match[1], index)
            if (match[1], match[3]) in self.server.large:
                about = {"X_Linked_Etag": f'"{oid}"', "X_Linked_Size": str(len(data)), "X_Repo_Commit": commit}
                self.server.objects.setdefault(oid, data)
                return self.answer(302, Location=self.server.storage + oid, **about)
            return self.answer(200, data, ETag=f'"{oid}"', X_Repo_Commit=commit)
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
