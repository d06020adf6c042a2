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
"""

from __future__ import annotations

import math
import signal

from autointerp.safe_text import safe_line


class AutointerpError(Exception):
    """Base of all errors a user can mend. The message, one safe line, names the key or path, the value and the fix."""

    exit_code = 2

    def __init__(self, message: object = "") -> None:
        super().__init__(safe_line(str(message)))


class ConfigError(AutointerpError):
    """A key or a value of the configuration is wrong."""


class InputError(AutointerpError):
    """A file, corpus or text is missing, damaged, empty or too short."""


class UnreadableFile(InputError):
    """A small file cannot be read. The message names the path and what is wrong; the caller adds the fix."""

    def __init__(self, message: str, *, is_missing: bool = False) -> None:
        super().__init__(message)
        # nothing is at the path
        self.is_missing = is_missing


class SubjectError(AutointerpError):
    """The subject model, its site or its layer cannot be used."""


class ArtefactError(AutointerpError):
    """A file of a run is damaged, foreign or of another configuration."""


class PluginError(AutointerpError):
    """A plug-in is unknown or cannot be loaded."""


class RunStopped(AutointerpError):
    exit_code = 3


class Interrupted(RunStopped):
    """A signal asked for the end. The exit code is the shell's: 128 and the signal's number."""

    def __init__(self, message: str, *, number: int = signal.SIGINT) -> None:
        super().__init__(message)
        self.exit_code = 128 + number


class LimitReached(RunStopped):
    """A ceiling set by the user was reached."""


class JudgeStopped(RunStopped):
    """The judge cannot answer at all."""


class JudgeError(AutointerpError):
    exit_code = 3


class JudgeRetry(JudgeError):
    """A failure that may pass. `retry_after_s`: the pause the server asked for, None where it is not positive and
    finite.
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
        # no server answered at all: counts against the endpoint, not the request
        self.is_connection = is_connection
        # the endpoint had too many requests to look at this one (429, 503); naming a pause says so too
        self.is_turned_away = is_turned_away or retry_after_s is not None
        # fewer requests at once would help (429, 503, a time-out)
        self.is_overload = is_overload or self.is_turned_away
        # an error that the endpoint answers costs nothing; a reply lost on its way may have cost its full price
        self.is_unpaid = is_unpaid or is_connection or self.is_turned_away


class JudgeRejected(JudgeError):
    """The request will be refused again."""
