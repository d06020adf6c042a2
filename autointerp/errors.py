"""Every error this package raises on purpose, drawn as one tree.

    AutointerpError                 exit 2: the user can mend it; one line, no traceback
    |- ConfigError                  a key or value in the config (names the key, the value and the fix)
    |- InputError                   a file, corpus or text that is missing, damaged, empty or too short
    |  `- UnreadableFile            a small file that is not there, no regular one, too large, too deep or malformed
    |- SubjectError                 an unknown model or site, a layer out of range
    |- ArtefactError                a file of a run that is damaged, foreign or of another configuration
    |- PluginError                  an unknown or broken judge, explainer or scorer
    |- RunStopped                   exit 3: stopped early, what is done is kept
    |  |- Interrupted               by a signal: exit 130 (Ctrl-C), 143 (SIGTERM), 129 (SIGHUP)
    |  |- LimitReached              a ceiling of the user's own (--max-usd, --max-requests)
    |  `- JudgeStopped              the judge cannot go on: a wrong key, no credits, a dead endpoint
    `- JudgeError                   one request failed; the loop decides what becomes of it
       |- JudgeRetry                worth trying again (429, 5xx, time-out); may carry `retry_after_s`
       `- JudgeRejected             this request will never succeed (400, too long, content filter)

`sae_core` has a tree of its own (`sae_core.errors`), because it knows nothing of this package.
"""

from __future__ import annotations

import math
import signal

from autointerp.safe_text import safe_line


class AutointerpError(Exception):
    """Base of all errors a user can cause or mend. The message names the key or path, the value and the fix.

    It is one line and safe to show and keep, whatever a server, archive or plug-in said that stands in it.
    """

    exit_code = 2

    def __init__(self, message: object = "") -> None:
        super().__init__(safe_line(str(message)))


class ConfigError(AutointerpError):
    """A key or a value of the configuration is wrong."""


class InputError(AutointerpError):
    """An input file, corpus or text is missing, damaged, empty or too short."""


class UnreadableFile(InputError):
    """A small file cannot be read. The message names the path and what is wrong; whoever asked adds what mends it.

    `is_missing` is True where there is nothing at the path.
    """

    def __init__(self, message: str, *, is_missing: bool = False) -> None:
        super().__init__(message)
        self.is_missing = is_missing


class SubjectError(AutointerpError):
    """The subject model, its site or its layer cannot be used."""


class ArtefactError(AutointerpError):
    """A file of a run is damaged, has a foreign schema version or belongs to another configuration."""


class PluginError(AutointerpError):
    """A judge, explainer or scorer is unknown or cannot be loaded."""


class RunStopped(AutointerpError):
    """The run stopped before its end; everything finished so far is kept."""

    exit_code = 3


class Interrupted(RunStopped):
    """A signal asked for the end. The exit code is the shell's for it: 128 and the signal's number."""

    def __init__(self, message: str, *, number: int = signal.SIGINT) -> None:
        super().__init__(message)
        self.exit_code = 128 + number


class LimitReached(RunStopped):
    """A ceiling set by the user (money, requests) was reached."""


class JudgeStopped(RunStopped):
    """The judge cannot answer at all: a wrong key, no credits, a dead endpoint."""


class JudgeError(AutointerpError):
    """One request to a judge failed."""

    exit_code = 3


class JudgeRetry(JudgeError):
    """The request failed in a way that may pass: a rate limit, a server error, a time-out.

    `retry_after_s` is the pause the server asked for, in seconds, or None; one of no length or without end is None.
    `is_connection` is True when no server answered at all, which counts against the endpoint rather than the request.
    `is_overload` is True where fewer requests at once would help (429, 503, a time-out), `is_turned_away` where the
    endpoint did not even look at the request for having too many (429, 503): not the request's fault; whoever names a
    pause, even one of no length, turns away. `is_unpaid` is True where the
    endpoint answered with an error, which it charges nothing for; a reply that was lost on its way may have cost its
    full price.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after_s: float | None = None,
        is_connection: bool = False,
        is_overload: bool = False,
        is_turned_away: bool = False,
        is_unpaid: bool = False,
    ) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s if retry_after_s is not None and 0.0 < retry_after_s < math.inf else None
        self.is_connection = is_connection
        self.is_turned_away = is_turned_away or retry_after_s is not None
        self.is_overload = is_overload or self.is_turned_away
        self.is_unpaid = is_unpaid or is_connection or self.is_turned_away


class JudgeRejected(JudgeError):
    """The request itself was refused by the endpoint and will be refused again."""
