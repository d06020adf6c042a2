"""A local service with OpenAI's Files and Batches and /chat/completions, all answered by one function.

It runs in a thread of its own. What goes wrong is told beforehand: by request (`fails`, `is_unsent`), by batch (`end`)
or by call (`hold`, `trouble`):

    with BatchServer(answer=answer) as server:
        ... options = {"base_url": server.base_url} ...
        assert server.n_calls["POST /v1/batches"] == 1
"""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from aiohttp import web

from tests.judges.fault_server import completion
from tests.local_server import LocalServer

__all__ = ["STATES", "BatchServer"]

STATES = ("validating", "in_progress", "finalizing")
Line = dict[str, Any]


class BatchServer(LocalServer):
    """The service."""

    def __init__(
        self,
        *,
        answer: Callable[[Line], str],
        fails: Callable[[Line], tuple[int, Any] | None] = lambda body: None,
        is_unsent: Callable[[Line], bool] = lambda body: False,
        end: str = "completed",
        key: str | None = None,
        states: Sequence[str] = STATES,
    ) -> None:
        """`answer` and `fails` take a request's body. Each look at a batch moves it on through `states` to `end`."""
        super().__init__()
        self.answer, self.fails, self.is_unsent, self.end, self.key = answer, fails, is_unsent, end, key
        self.states = states
        self.files: dict[str, dict[str, Any]] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.n_calls = Counter[str]()
        """Calls that arrived, by method and path, ids left out."""
        self.chats: list[Line] = []
        """Bodies of questions through the API."""
        self.hold = ""
        """The call that is carried out and never answered."""
        self.held = threading.Event()
        self.trouble: Callable[[str, int], int | None] = lambda call, number: None
        """Given a call and how often it came before, the status it fails with."""
        self.missing: set[str] = set()
        """Calls that this service does not know."""
        self._numbers = itertools.count(1)

    def inputs(self) -> list[str]:
        """The contents of the files that were put up, in order."""
        return [file["content"].decode() for file in self.files.values() if file["purpose"] == "batch"]

    def application(self) -> web.Application:
        application = web.Application(client_max_size=2**28, middlewares=[self._guard])
        router = application.router
        router.add_post("/v1/files", self._create_file)
        router.add_get("/v1/files", self._list_files)
        router.add_get("/v1/files/{id}/content", self._content)
        router.add_post("/v1/batches", self._create_batch)
        router.add_get("/v1/batches", self._list_batches)
        router.add_get("/v1/batches/{id}", self._retrieve)
        router.add_post("/v1/chat/completions", self._chat)
        return application

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        call = f"{request.method} {request.path}".replace(request.match_info.get("id", "\0"), "ID")
        number = self.n_calls[call]
        self.n_calls[call] += 1
        said = request.headers.get("Authorization", "")
        if self.key is not None and said != f"Bearer {self.key}":
            return _error(401, f"Incorrect API key provided: {said}")
        status = self.trouble(call, number)
        if call in self.missing or status is not None:
            return _error(status or 404, f"no {call} for {said}")
        response = await handler(request)
        if call == self.hold:
            self.held.set()
            await asyncio.sleep(3600)
        return response

    async def _create_file(self, request: web.Request) -> web.Response:
        form = await request.post()
        upload = form["file"]
        assert isinstance(upload, web.FileField)
        return web.json_response(self._add_file(upload.filename, upload.file.read(), str(form["purpose"])))

    def _add_file(self, name: str, content: bytes, purpose: str) -> dict[str, Any]:
        file = {
            "id": f"file-{next(self._numbers)}",
            "object": "file",
            "bytes": len(content),
            "created_at": 1,
            "filename": name,
            "purpose": purpose,
            "status": "processed",
        }
        self.files[file["id"]] = file | {"content": content}
        return file

    async def _list_files(self, request: web.Request) -> web.Response:
        shown = [{k: v for k, v in file.items() if k != "content"} for file in self.files.values()]
        wanted = [file for file in reversed(shown) if file["purpose"] == request.query.get("purpose", file["purpose"])]
        return web.json_response({"object": "list", "data": wanted, "has_more": False})

    async def _content(self, request: web.Request) -> web.Response:
        file = self.files.get(request.match_info["id"])
        return _error(404, "no such file") if file is None else web.Response(body=file["content"])

    async def _create_batch(self, request: web.Request) -> web.Response:
        asked = await request.json()
        if asked["input_file_id"] not in self.files:
            return _error(400, "no such input file")
        batch = {
            "id": f"batch_{next(self._numbers)}",
            "object": "batch",
            "created_at": 1,
            "status": "validating",
            "request_counts": {"total": 0, "completed": 0, "failed": 0},
            **asked,
        }
        self.batches[batch["id"]] = batch | {"n_looks": 0}
        return web.json_response(batch)

    async def _list_batches(self, request: web.Request) -> web.Response:
        """Pages of two, the newest first: whoever wants all has to follow `after`."""
        ids = list(reversed(self.batches))
        start = ids.index(request.query["after"]) + 1 if "after" in request.query else 0
        page = [self._shown(self.batches[name]) for name in ids[start : start + 2]]
        return web.json_response({"object": "list", "data": page, "has_more": start + 2 < len(ids)})

    async def _retrieve(self, request: web.Request) -> web.Response:
        batch = self.batches[request.match_info["id"]]
        looks = batch["n_looks"]
        batch["n_looks"] += 1
        if looks < len(self.states):
            batch["status"] = self.states[looks]
        elif batch["status"] != self.end:
            self._work_through(batch)
        return web.json_response(self._shown(batch))

    def _work_through(self, batch: dict[str, Any]) -> None:
        batch["status"] = self.end
        if self.end == "failed":
            line = {"code": "invalid_json_line", "line": 3, "message": "this line is no JSON", "param": None}
            batch["errors"] = {"object": "list", "data": [line]}
            return
        good, bad = [], []
        # results come in no particular order
        for number, line in enumerate(reversed(self.files[batch["input_file_id"]]["content"].splitlines())):
            request = json.loads(line)
            failure = self.fails(request["body"])
            out: dict[str, Any] = {"id": f"batch_req_{number}", "custom_id": request["custom_id"], "error": None}
            if self.is_unsent(request["body"]):
                out |= {"response": None, "error": {"code": "batch_expired", "message": "not executed in time"}}
            elif failure is not None:
                out["response"] = {"status_code": failure[0], "request_id": f"r{number}", "body": failure[1]}
            else:
                body = completion(self.answer(request["body"]))
                out["response"] = {"status_code": 200, "request_id": f"r{number}", "body": body}
            is_good = failure is None and not self.is_unsent(request["body"])
            (good if is_good else bad).append(json.dumps(out) + "\n")
        for lines, field in ((good, "output_file_id"), (bad, "error_file_id")):
            if lines:
                batch[field] = self._add_file(field, "".join(lines).encode(), "batch_output")["id"]
        batch["request_counts"] = {"total": len(good) + len(bad), "completed": len(good), "failed": len(bad)}

    async def _chat(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.chats.append(body)
        failure = self.fails(body)
        if failure is not None:
            return web.json_response(failure[1], status=failure[0])
        return web.json_response(completion(self.answer(body)))

    @staticmethod
    def _shown(batch: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in batch.items() if name != "n_looks"}


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"error": {"message": message, "type": "on purpose", "code": None}}, status=status)
