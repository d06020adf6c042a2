"""Files and batches at a service, through the official SDK, imported when a service is opened.

Errors never contain the key; answers are bounded after unpacking.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autointerp.batch.lines import ENDPOINT
from autointerp.errors import ConfigError, JudgeStopped
from autointerp.judges.endpoint.credentials import server_words
from autointerp.judges.endpoint.endpoint import OPENAI_URL, OpenAIOptions, read_key
from autointerp.judges.endpoint.transport import check_proxies
from autointerp.judges.options import read_options
from autointerp.plugins import split_spec
from autointerp.runs.layout import write_atomically

if TYPE_CHECKING:
    from openai.types import Batch

__all__ = ["ENDED", "BatchService", "Standing", "Unreachable", "open_service"]

ENDED = ("completed", "expired", "cancelled", "failed")
"""Final states of a batch."""

_PAGE = 100
_MOST_LISTED = 5_000
_TIMEOUT_S = 600.0
_NO_SUCH = (404, 405, 501)
_MOST_BYTES = 32 << 20
"""Bound on answers about files or batches, a hundred at once."""
_MOST_RESULT_BYTES = 1 << 20
"""Bound per result; a thousand tokens with five alternatives each take half."""


class _Gone(Exception):
    """The file no longer exists."""


class Unreachable(JudgeStopped):
    """No answer now; asking later may succeed, and batches go on."""


@dataclass(frozen=True, slots=True)
class Standing:
    """State of a batch, with our `metadata` and the service's `errors`."""

    id: str
    status: str
    n_done: int
    n_failed: int
    output_file_id: str | None
    error_file_id: str | None
    metadata: dict[str, str]
    errors: str

    @property
    def is_over(self) -> bool:
        return self.status in ENDED


class BatchService:
    """One account at one service. Every method may raise JudgeStopped or Unreachable."""

    def __init__(self, options: OpenAIOptions) -> None:
        """Raises ConfigError for a missing key or an unusable proxy."""
        import openai

        check_proxies()
        self._options, self._key, self._errors = options, read_key(options), openai
        self._client = openai.OpenAI(
            api_key=self._key or "none",  # the SDK insists on one and would look for others in the environment
            base_url=options.base_url,
            default_headers={"api-key": self._key} if self._key and options.kind.key_header == "api-key" else None,
            timeout=_TIMEOUT_S,
            max_retries=3,
            http_client=openai.DefaultHttpxClient(
                follow_redirects=False, event_hooks={"response": [self._bound_response]}
            ),
        )
        if options.base_url != OPENAI_URL:  # the environment's names of an OpenAI account are no one else's business
            self._client.organization = self._client.project = None

    def _bound_response(self, response: Any) -> None:
        """Bound what the SDK reads of an answer."""
        # a file's content is bounded in `fetch`
        if response.is_success and response.request.url.path.endswith("/content"):
            return
        unpack, too_long = response.iter_bytes, self._errors.OpenAIError

        def iter_bytes(chunk_size: int | None = None) -> Iterator[bytes]:
            n_bytes = 0
            for part in unpack(chunk_size):
                n_bytes += len(part)
                if n_bytes > _MOST_BYTES:
                    raise too_long(f"more than {_MOST_BYTES >> 20} MiB")
                yield part

        response.iter_bytes = iter_bytes

    def find_file(self, name: str, n_bytes: int) -> str | None:
        """Id of our uploaded file of this name and size; None also where files cannot be listed."""
        with self._failures("list files", is_optional=True):
            newest = islice(self._client.files.list(purpose="batch", limit=_PAGE, order="desc"), _MOST_LISTED)
            fitting = (file.id for file in newest if file.filename == name and file.bytes == n_bytes)
            return next(fitting, None)
        return None

    def list_batches(self) -> list[Standing] | None:
        """Newest first; None where batches cannot be listed."""
        with self._failures("list batches", is_optional=True):
            return [self._standing(batch) for batch in islice(self._client.batches.list(limit=_PAGE), _MOST_LISTED)]
        return None

    def upload(self, path: Path, name: str) -> str:
        """Id of the uploaded file."""
        with self._failures(f"upload {path.name}"), path.open("rb") as file:
            return self._client.files.create(file=(name, file, "application/jsonl"), purpose="batch").id

    def begin(self, file_id: str, metadata: dict[str, str]) -> Standing:
        """Begin a batch without automatic retries: one may have begun although no answer came."""
        with self._failures("create a batch"):
            batch = self._client.with_options(max_retries=0).batches.create(
                input_file_id=file_id, endpoint=ENDPOINT, completion_window="24h", metadata=metadata
            )
            return self._standing(batch)

    def look(self, batch_id: str) -> Standing:
        with self._failures(f"see batch {batch_id}"):
            return self._standing(self._client.batches.retrieve(batch_id))

    def fetch(self, file_id: str, path: Path, *, n_results: int) -> bool:
        """Save at most `n_results` results; False when the service no longer has the file.

        Raises JudgeStopped for a file far too long, ArtefactError for a full disk.
        """
        most = (n_results + 1) * _MOST_RESULT_BYTES

        def write(temporary: Path) -> None:
            has_come, n_bytes = False, 0
            with (
                self._failures(f"fetch file {file_id}", is_optional=True),
                self._client.files.with_streaming_response.content(file_id) as response,
                temporary.open("wb") as file,
            ):
                for chunk in response.iter_bytes(1 << 16):
                    n_bytes += len(chunk)
                    if n_bytes > most:
                        raise JudgeStopped(
                            f"{self._options.base_url} sent more than {most >> 20} MiB as file {file_id}, which holds "
                            f"{n_results:,} results; nothing of it is kept"
                        )
                    file.write(chunk)
                has_come = True
            if not has_come:
                raise _Gone

        try:
            write_atomically(path, write)
        except _Gone:
            return False
        return True

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> BatchService:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _standing(self, batch: Batch) -> Standing:
        counts, errors = batch.request_counts, (batch.errors.data if batch.errors is not None else None) or []
        said = "; ".join(f"line {e.line}: {e.message}" if e.line else str(e.message) for e in errors[:3])
        return Standing(
            id=batch.id,
            status=batch.status,
            n_done=counts.completed if counts is not None else 0,
            n_failed=counts.failed if counts is not None else 0,
            output_file_id=batch.output_file_id,
            error_file_id=batch.error_file_id,
            metadata=dict(batch.metadata or {}),
            errors=server_words(said, key=self._key),
        )

    @contextmanager
    def _failures(self, what: str, *, is_optional: bool = False) -> Iterator[None]:
        """Map the SDK's errors; with `is_optional` a missing feature of the service is no error."""
        errors, place = self._errors, self._options.base_url
        try:
            yield
        except errors.APIConnectionError as error:
            said = server_words(str(error), key=self._key)
            raise Unreachable(f"{place} cannot be reached to {what} ({said})") from None
        except errors.APIStatusError as error:
            status, said = error.status_code, server_words(error.message, key=self._key)
            if status in _NO_SUCH and is_optional:
                return
            if status in (401, 403):
                raise JudgeStopped(
                    f"{place} does not accept the key in {self._options.key_name} to {what} ({status}); check that key"
                ) from None
            if status >= 500 or status in (408, 409, 429):
                raise Unreachable(f"{place} could not {what} now (HTTP {status}: {said})") from None
            raise JudgeStopped(f"{place} refuses to {what} (HTTP {status}: {said})") from None
        except errors.OpenAIError as error:
            said = server_words(str(error), key=self._key)
            raise JudgeStopped(f"{place} answered nonsense when asked to {what} ({said})") from None


def open_service(spec: str, options: dict[str, Any]) -> BatchService:
    """Raises ConfigError for another judge than openai or a missing key."""
    name, _ = split_spec(spec)
    if name != "openai":
        raise ConfigError(f"judge '{spec}' has no batch service; use openai:MODEL, or batch export and import by hand")
    return BatchService(read_options(name, OpenAIOptions, options))
