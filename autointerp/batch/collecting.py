"""A stand-in for the client: answers from journal and cache, collects every other request once."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from autointerp.errors import JudgeError
from autointerp.judges.engine.client import Failure, Outcome
from autointerp.judges.judge import Capabilities, Request
from autointerp.judges.reply_key import reply_from_record, reply_key, shared_key
from autointerp.runs.journal import Journal
from autointerp.runs.reply_cache import ReplyCache
from autointerp.runs.reply_record import Account, ReplyRecord

__all__ = ["Collector"]

_MISSING = Failure("error", "not answered yet")


class Collector:
    """For one judge; `emit` receives the key and request of everything that is missing."""

    def __init__(
        self,
        capabilities: Capabilities,
        *,
        journal: Journal,
        cache: ReplyCache | None,
        emit: Callable[[str, Request], None],
    ) -> None:
        self._capabilities, self._journal, self._cache, self._emit = capabilities, journal, cache, emit
        self._seen: set[bytes] = set()
        self.n_known = 0
        """Answers from the journal or the cache."""
        self.n_unsendable, self.why_unsendable = 0, ""
        """Requests that fit no file, and the last reason."""
        self.failure: Exception | None = None
        """First error of `emit`, which the stage would take for one feature's."""

    async def ask(self, request: Request, *, account: Account | None = None) -> Outcome:
        """The known reply or a failure. The journal books the reply's later cost to `account`."""
        key = reply_key(self._capabilities, request)
        if account is not None:
            self._journal.charge(key, account)
        record = self._find(key)
        if record is not None:
            self.n_known += 1
            reply = reply_from_record(record)
            return Failure("refused", reply.text) if reply.finish == "refused" else reply
        # half the memory of the text, for millions of keys
        name = bytes.fromhex(key)
        if name not in self._seen:
            self._seen.add(name)
            self._hand_over(key, request)
        return _MISSING

    def _find(self, key: str) -> ReplyRecord | None:
        record = self._journal.find_reply(key)
        shared = shared_key(self._capabilities, key)
        if record is None and self._cache is not None and shared is not None:
            record = self._cache.find(shared)
            if record is not None:  # as the client does: from now on it is this run's
                record = replace(record, key=key, source="cache", at=time.time())
                self._journal.record_reply(record)
        return record

    def _hand_over(self, key: str, request: Request) -> None:
        try:
            self._emit(key, request)
        except JudgeError as error:
            self.n_unsendable, self.why_unsendable = self.n_unsendable + 1, str(error)
        except Exception as error:
            self.failure = self.failure or error
            raise
