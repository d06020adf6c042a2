"""JSON over HTTP to one endpoint: one connection pool, no redirects, no retries, the key in a header only.

Proxies come from the environment; ~/.netrc and cookies are ignored. Certificates are checked against the system's
authorities and certifi's, or against SSL_CERT_FILE or SSL_CERT_DIR alone.
"""

from __future__ import annotations

import base64
import json
import os
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from autointerp.errors import ConfigError, JudgeRetry, JudgeStopped
from autointerp.safe_text import remember_key

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

__all__ = ["Answer", "Proxy", "Transport", "check_proxies", "find_proxy"]

_CONNECT_S = 30.0
_IDLE_S = 4.0
"""Less than the 5 s after which many servers close an idle connection."""
_MOST_BYTES = 32 << 20
"""Unpacked; ten thousand tokens with five alternatives each take a sixth."""
_MOST_ERROR_BYTES = 1 << 20
"""Bound on an error's body."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An unpacked answer; header names are case-insensitive."""

    status: int
    headers: Mapping[str, str]
    content: bytes


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy's address without its password, and its credentials."""

    url: str
    user: str | None = None
    password: str = ""


class Transport:
    """Connections to one endpoint, for one event loop."""

    def __init__(
        self,
        root: str,
        *,
        headers: Mapping[str, str],
        query: Mapping[str, str],
        max_concurrent: int,
        timeout_s: float,
        clean: Callable[[str], str],
    ) -> None:
        """`clean` removes secrets from error texts. Raises ConfigError for an unusable proxy."""
        import aiohttp

        self._aiohttp, self._root, self._query, self._clean = aiohttp, root, dict(query), clean
        self._headers = {"Content-Type": "application/json", "User-Agent": "autointerp", **headers}
        self._max_concurrent, self._timeout_s = max_concurrent, timeout_s
        self._proxy = find_proxy(root)
        self._by_proxy: dict[str, Any] = {} if self._proxy is None else {"proxy": self._proxy.url}
        if self._proxy is not None and self._proxy.user is not None:
            # a tunnel is asked for in a request of its own; what is not encrypted is read by the proxy as it goes by
            who = base64.b64encode(f"{self._proxy.user}:{self._proxy.password}".encode()).decode()
            shown = {"Proxy-Authorization": f"Basic {who}"}
            if root.startswith("https:"):
                self._by_proxy["proxy_headers"] = shown
            else:
                self._headers |= shown
        self._session: ClientSession | None = None

    async def post(self, path: str, body: Mapping[str, Any]) -> Answer:
        """Unpaired surrogates are sent as `?`. Raises JudgeRetry where no answer came, JudgeStopped where none can
        come.
        """
        content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", errors="replace")
        return await self._request("POST", path, data=content)

    async def get(self, path: str) -> Answer:
        """As `post`, without a body."""
        return await self._request("GET", path)

    async def aclose(self) -> None:
        """Close the connections; closing twice is harmless."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _request(self, method: str, path: str, **content: bytes) -> Answer:
        if self._session is None:
            self._session = self._open()
        try:
            async with self._session.request(
                method,
                self._root + path,
                # not the session's headers: aiohttp shows those to a proxy, too
                headers=self._headers,
                params=self._query or None,
                allow_redirects=False,
                **content,
                **self._by_proxy,
            ) as response:
                return Answer(response.status, response.headers, await _read(response))
        except (self._aiohttp.ClientError, TimeoutError) as error:
            # without its cause: that holds the request's headers
            raise self._failure(error) from None

    def _open(self) -> ClientSession:
        aiohttp = self._aiohttp
        connector = aiohttp.TCPConnector(
            limit=self._max_concurrent,
            keepalive_timeout=_IDLE_S,
            ssl=_tls_context() if self._root.startswith("https:") else True,
        )
        return aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=self._timeout_s, sock_connect=min(_CONNECT_S, self._timeout_s)),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )

    def _failure(self, error: Exception) -> JudgeRetry | JudgeStopped:
        import aiohttp

        why = self._clean(str(error) or type(error).__name__)
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            host = urlsplit(self._root).hostname
            return JudgeStopped(
                f"the certificate of {host} is not trusted ({why}); name its authority in SSL_CERT_FILE"
            )
        if isinstance(error, aiohttp.ClientHttpProxyError):
            said = f"the proxy {self._proxy.url if self._proxy else ''} refuses ({error.status})"
            return JudgeStopped(f"{said}; check HTTPS_PROXY") if error.status == 407 else JudgeRetry(said)
        if isinstance(error, aiohttp.InvalidURL):
            return JudgeStopped(f"judges.openai.base_url = '{self._root}' is no address that can be asked")
        if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
            return JudgeRetry(f"no connection: {why}", is_connection=True)
        if isinstance(error, TimeoutError):
            return JudgeRetry("the endpoint did not reply in time", is_overload=True)
        return JudgeRetry(f"the connection broke: {why}")


async def _read(response: ClientResponse) -> bytes:
    """Raises JudgeRetry for a reply that is too long."""
    most = _MOST_BYTES if response.status == 200 else _MOST_ERROR_BYTES
    parts: list[bytes] = []
    n_bytes = 0
    async for part in response.content.iter_any():
        parts.append(part)
        n_bytes += len(part)
        if n_bytes > most:
            response.close()  # or the rest would be read so that the connection can be used again
            if response.status == 200:
                raise JudgeRetry(f"the endpoint sent a reply of more than {most >> 20} MiB")
            break
    return b"".join(parts)[:most]


def find_proxy(url: str) -> Proxy | None:
    """The environment's proxy for an address; as `check_proxies`."""
    parts = urlsplit(url)
    named = getproxies()
    kind = parts.scheme if named.get(parts.scheme) else "all"
    if not named.get(kind) or proxy_bypass(parts.netloc):
        return None
    return _parse_proxy(kind, named[kind], f"{parts.hostname} in NO_PROXY")


def check_proxies() -> None:
    """Raises ConfigError where any proxy in the environment is unusable."""
    for kind, proxy in getproxies().items():
        if kind in ("http", "https", "all") and proxy:
            _parse_proxy(kind, proxy, "none")


def _parse_proxy(kind: str, proxy: str, instead: str) -> Proxy:
    try:
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        is_address = bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets that do not close, a port that is no number
        is_address, parts = False, urlsplit("http://")
    if parts.scheme not in ("http", "https") or not is_address:
        what = f"is a {parts.scheme}:// proxy" if is_address else "is no address (it is not repeated here)"
        raise ConfigError(
            f"{kind.upper()}_PROXY of the environment {what}, which cannot be used; name an http:// one, or {instead}"
        )
    address = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    user = None if parts.username is None else unquote(parts.username)
    remember_key(unquote(parts.password or ""))
    return Proxy(address, user, unquote(parts.password or ""))


def _tls_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not {"SSL_CERT_FILE", "SSL_CERT_DIR"} & os.environ.keys():
        with suppress(ImportError):  # some systems bring no authorities of their own
            import certifi

            context.load_verify_locations(certifi.where())
    return context
