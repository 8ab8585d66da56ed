"""A small Hub on this machine: the part of its HTTP protocol that the real client needs, and failures on order."""

import base64
import hashlib
import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

from huggingface_hub.utils.sha import git_hash

TOKEN, READ_TOKEN, EXPIRED_TOKEN = "hf_writes", "hf_reads", "hf_expired"
USER = "somebody"
MODEL = f"{USER}/stgan-tiny"  # of the small model that tests publish
LARGE = (".safetensors", ".png", ".onnx")  # what .gitattributes sends to large storage


@dataclass
class StoredFile:
    data: bytes
    large: bool

    @property
    def etag(self) -> str:
        return hashlib.sha256(self.data).hexdigest() if self.large else git_hash(self.data)

    def entry(self, path: str) -> dict:
        entry = {"type": "file", "path": path, "size": len(self.data), "oid": git_hash(self.data)}
        if self.large:
            entry["lfs"] = {"oid": self.etag, "size": len(self.data), "pointerSize": 130}
        return entry


@dataclass
class Repository:
    private: bool
    revisions: dict[str, dict[str, StoredFile]] = field(default_factory=lambda: {"main": {}})  # newest of each
    commits: list[tuple[str, dict[str, StoredFile]]] = field(default_factory=list)

    def __post_init__(self):
        self.commit("main", {".gitattributes": StoredFile(b"", False)})

    def commit(self, revision: str, files: dict[str, StoredFile]) -> str:
        self.revisions[revision] = files
        self.commits.append((f"{len(self.commits):040x}", files))
        return self.commits[-1][0]

    def find(self, revision: str) -> tuple[str, dict[str, StoredFile]] | None:
        files = self.revisions.get(revision) if revision in self.revisions else dict(self.commits).get(revision)
        if files is None:
            return None
        return next(sha for sha, each in reversed(self.commits) if each is files), files


@dataclass
class Failure:
    """What goes wrong: the next ``times`` requests of a method and path answer a status, or are cut off."""

    method: str
    path: str  # regular expression
    status: int = 0  # 0: no answer, the connection ends
    times: int = 1
    after: int = 0  # bytes of the body that are still sent before the end
    stall: float = 0  # seconds without an answer, before the rest


class Hub(ThreadingHTTPServer):
    """The server. ``requests`` lists what was asked, ``stored`` the large files that arrived.

    ``watch`` is called for each request with its number, counted from 1, and "body" before its body is read, then
    "answer" before it is answered.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories: dict[str, Repository] = {}  # "models/owner/name"
        self.stored: dict[str, bytes] = {}
        self.failures: list[Failure] = []
        self.requests: list[tuple[str, str]] = []
        self.watch: Callable[[int, str], None] = lambda number, moment: None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def start(self) -> "Hub":
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def asked(self, method: str, path: str) -> int:
        return sum(each == method and re.search(path, where) is not None for each, where in self.requests)

    def files(self, repository: str, revision: str = "main") -> dict[str, bytes]:
        found = self.repositories[repository].find(revision)
        return {path: file.data for path, file in found[1].items() if path != ".gitattributes"}

    def handle_error(self, request, client_address):
        """A client that went away is no news."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, *_):
        pass

    def serve(self):
        url = urlsplit(self.path)
        self.query = parse_qs(url.query)
        self.server.requests.append((self.command, url.path))
        self.number = len(self.server.requests)
        self.server.watch(self.number, "body")
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        failure = next(
            (f for f in self.server.failures if f.method == self.command and re.search(f.path, url.path)), None
        )
        self.cut_after = None
        if failure:
            failure.times -= 1
            if failure.times == 0:
                self.server.failures.remove(failure)
            time.sleep(failure.stall)
            if failure.status:
                return self.answer(failure.status, {"error": "as ordered"}, {"Retry-After": "0"})
            if not failure.after:
                self.close_connection = True
                return self.connection.close()
            self.cut_after = failure.after
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if token == EXPIRED_TOKEN:
            return self.answer(401, {"error": "Invalid credentials in Authorization header"})
        self.may_write = token == TOKEN
        for method, pattern, answer in ROUTES:
            if method == self.command and (match := re.fullmatch(pattern, url.path)):
                return answer(self, **{name: unquote(value or "") for name, value in match.groupdict().items()})
        return self.answer(404, {"error": f"unknown: {self.command} {url.path}"})

    do_GET = do_HEAD = do_POST = do_PUT = serve

    def answer(self, status: int, content: dict | list | bytes = b"", headers: dict | None = None):
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.server.watch(self.number, "answer")
        self.send_response(status)
        headers = {"Content-Length": str(len(data)), "Content-Type": "application/json", **(headers or {})}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(data[: self.cut_after])
        if self.cut_after is not None:
            self.wfile.flush()
            self.close_connection = True
            self.connection.close()

    def found(self, kind: str, name: str, revision: str = "main"):
        """Repository, commit and files, or None after having answered that they are not there."""
        repository = self.server.repositories.get(f"{kind}/{name}")
        if repository is None or (repository.private and not self.may_write):
            self.answer(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
            return None
        found = repository.find(revision or "main")
        if found is None:
            self.answer(404, {"error": "Invalid rev id"}, {"X-Error-Code": "RevisionNotFound"})
            return None
        return repository, *found

    # ------------------------------------------------------------------------------------------------ the answers

    def whoami(self):
        self.answer(200, {"name": USER, "orgs": []})

    def create(self):
        asked = json.loads(self.body)
        kind = f"{asked.get('type') or 'model'}s"
        name = f"{asked['organization'] or USER}/{asked['name']}"
        if not self.may_write or not name.startswith(f"{USER}/"):
            return self.answer(403, {"error": "You don't have the rights to create this"})
        url = f"{self.server.address}/{'' if kind == 'models' else kind + '/'}{name}"
        if f"{kind}/{name}" in self.server.repositories:
            return self.answer(409, {"error": "You already created this repo", "url": url})
        private = asked.get("visibility") == "private" or asked.get("private") is True
        self.server.repositories[f"{kind}/{name}"] = Repository(private)
        return self.answer(200, {"url": url, "name": name})

    def branch(self, kind, name, revision):
        if found := self.found(kind, name):
            repository, _, files = found
            if revision in repository.revisions:
                return self.answer(409, {"error": "Reference already exists"})
            repository.commit(revision, dict(files))
            self.answer(200)
        return None

    def info(self, kind, name, revision=""):
        if found := self.found(kind, name, revision):
            repository, sha, files = found
            siblings = [{"rfilename": path} for path in files]
            self.answer(200, {"id": name, "sha": sha, "private": repository.private, "siblings": siblings})

    def tree(self, kind, name, revision, folder=""):
        if found := self.found(kind, name, revision):
            start = f"{folder}/" if folder else ""
            below = {path: file for path, file in found[2].items() if path.startswith(start)}
            if self.query.get("recursive", ["False"])[0].lower() != "true":
                folders = {start + path.removeprefix(start).split("/")[0] for path in below} - set(below)
                below = {path: file for path, file in below.items() if "/" not in path.removeprefix(start)}
                below |= {path: None for path in folders}
            directory = {"type": "directory", "size": 0, "oid": "0" * 40}
            self.answer(200, [{**directory, "path": p} if f is None else f.entry(p) for p, f in below.items()])

    def paths(self, kind, name, revision):
        if found := self.found(kind, name, revision):
            asked = parse_qs(self.body.decode())["paths"]
            self.answer(200, [found[2][path].entry(path) for path in asked if path in found[2]])

    def validate(self):
        metadata = json.loads(self.body)["content"].startswith("---\n")
        self.answer(200 if metadata else 400, {"errors": [] if metadata else [{"message": "none"}], "warnings": []})

    def preupload(self, kind, name, revision):
        if found := self.found(kind, name, revision):
            answers = []
            for asked in json.loads(self.body)["files"]:
                path = asked["path"]
                there = found[2].get(path)
                mode = "lfs" if path.endswith(LARGE) else "regular"
                answers.append({"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": there and there.etag})
            self.answer(200, {"files": answers})

    def batch(self, kind, name):
        objects = []
        for asked in json.loads(self.body)["objects"]:
            one = {"oid": asked["oid"], "size": asked["size"]}
            if asked["oid"] not in self.server.stored:
                one["actions"] = {"upload": {"href": f"{self.server.address}/large/{asked['oid']}"}}
            objects.append(one)
        self.answer(200, {"transfer": "basic", "objects": objects})

    def upload(self, oid):
        if hashlib.sha256(self.body).hexdigest() != oid:
            return self.answer(400, {"error": "damaged"})
        self.server.stored[oid] = self.body
        return self.answer(200)

    def commit(self, kind, name, revision):
        pull_request = "create_pr" in self.query
        if not self.may_write and not pull_request:
            return self.answer(403, {"error": "no write access"})
        if not (found := self.found(kind, name, revision)):
            return None
        repository, _, files = found
        files = dict(files)
        for line in self.body.splitlines():
            step = json.loads(line)
            value = step["value"]
            if step["key"] == "file":
                files[value["path"]] = StoredFile(base64.b64decode(value["content"]), False)
            elif step["key"] == "lfsFile":
                if value["oid"] not in self.server.stored:
                    return self.answer(400, {"error": "a large file is missing"})
                files[value["path"]] = StoredFile(self.server.stored[value["oid"]], True)
            elif step["key"] == "deletedFile":
                del files[value["path"]]
        sha = repository.commit("refs/pr/1" if pull_request else revision, files)
        url = f"{self.server.address}/{'' if kind == 'models' else kind + '/'}{name}"
        request = f"{url}/discussions/1" if pull_request else None
        return self.answer(200, {"commitUrl": f"{url}/commit/{sha}", "commitOid": sha, "pullRequestUrl": request})

    def resolve(self, kind, name, revision, path):
        if not (found := self.found(f"{kind or 'models'}".rstrip("/"), name, revision)):
            return None
        _, sha, files = found
        headers = {"X-Repo-Commit": sha, "Accept-Ranges": "bytes"}
        if path not in files:
            return self.answer(404, {"error": "no"}, headers | {"X-Error-Code": "EntryNotFound"})
        file = files[path]
        data, status = file.data, 200
        headers |= {"ETag": f'"{file.etag}"', "Content-Type": "application/octet-stream"}
        if self.command == "HEAD":
            return self.answer(200, b"", headers | {"Content-Length": str(len(data)), "X-Linked-Size": str(len(data))})
        if asked := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or ""):
            start, status = int(asked[1]), 206
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            data = data[start:]
        return self.answer(status, data, headers)


NAME = r"(?P<name>[^/]+/[^/]+)"
KIND = r"(?P<kind>models|spaces|datasets)"
ROUTES: list[tuple[str, str, Callable]] = [
    ("GET", "/api/whoami-v2", Handler.whoami),
    ("POST", "/api/repos/create", Handler.create),
    ("POST", "/api/validate-yaml", Handler.validate),
    ("POST", f"/api/{KIND}/{NAME}/branch/(?P<revision>[^/]+)", Handler.branch),
    ("GET", f"/api/{KIND}/{NAME}/tree/(?P<revision>[^/]+)(/(?P<folder>.+))?", Handler.tree),
    ("POST", f"/api/{KIND}/{NAME}/paths-info/(?P<revision>[^/]+)", Handler.paths),
    ("GET", f"/api/{KIND}/{NAME}(/revision/(?P<revision>[^/]+))?", Handler.info),
    ("POST", f"/api/{KIND}/{NAME}/preupload/(?P<revision>[^/]+)", Handler.preupload),
    ("POST", f"/api/{KIND}/{NAME}/commit/(?P<revision>[^/]+)", Handler.commit),
    ("POST", rf"/(?P<kind>spaces/)?{NAME}\.git/info/lfs/objects/batch", Handler.batch),
    ("PUT", "/large/(?P<oid>[0-9a-f]{64})", Handler.upload),
    ("HEAD", f"/(?P<kind>spaces/|datasets/)?{NAME}/resolve/(?P<revision>[^/]+)/(?P<path>.+)", Handler.resolve),
    ("GET", f"/(?P<kind>spaces/|datasets/)?{NAME}/resolve/(?P<revision>[^/]+)/(?P<path>.+)", Handler.resolve),
]
