"""The command `autointerp`: one line for a user's error, a traceback for a bug.

Exit codes: 0 done, 1 a bug, 2 a user's error, 3 stopped by a limit or failing judge; 130, 143 and 129 after Ctrl-C,
SIGTERM and SIGHUP, which keep what is done.
"""

from __future__ import annotations

import errno
import io
import sys
import warnings
from typing import Annotated, Any

import typer

from autointerp.cli import (
    batch_commands,
    board_commands,
    config_commands,
    dictionary_commands,
    engine_commands,
    evidence_commands,
    export_commands,
    journal_commands,
    judge_commands,
    merge_commands,
    run_commands,
    source_commands,
    steer_commands,
    study_commands,
    subject_commands,
    synth_commands,
)
from autointerp.cli.display import echo, show_bug, tell
from autointerp.distribution import installed_version
from autointerp.errors import AutointerpError
from autointerp.memory import collect_rarely
from autointerp.safe_text import safe_line
from sae_core.errors import SaeCoreError

__all__ = ["app", "main"]

INTERRUPTED = 130
# Path errors that are no bug of ours.
_UNUSABLE = {errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EROFS}
_LONG_PATH = 200
# typer carries a click of its own or takes the installed one, as its release has it; this is the one it raises from
UsageError: Any = typer.BadParameter.__base__

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Measure how interpretable the features of a language model are.",
)


def _show_version(is_wanted: bool) -> None:
    if is_wanted:
        echo(f"autointerp {installed_version() or '(a checkout that is not installed)'}")
        raise typer.Exit


@app.callback()
def _before_any_command(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Say which version this is.")
    ] = False,
) -> None:
    return


for commands in (
    run_commands,
    config_commands,
    merge_commands,
    board_commands,
    export_commands,
    journal_commands,
    synth_commands,
    study_commands,
    steer_commands,
):
    commands.register(app)
app.add_typer(judge_commands.app, name="judges")
app.add_typer(batch_commands.app, name="batch")
app.add_typer(dictionary_commands.app, name="dictionaries")
app.add_typer(subject_commands.app, name="subject")
app.add_typer(evidence_commands.app, name="evidence")
app.add_typer(engine_commands.app, name="engine")
app.command("corpus")(source_commands.corpus)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit."""
    warnings.showwarning = _show_warning
    sys.excepthook = show_bug
    prepare_streams()
    collect_rarely()
    sys.exit(_run(arguments))


def prepare_streams() -> None:
    """Escape characters that the terminal cannot show."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _shortened(path: str) -> str:
    return path if len(path) <= _LONG_PATH else f"{path[:_LONG_PATH]}..."


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    tell(f"warning: {safe_line(str(message))}")


def _run(arguments: list[str] | None) -> int:
    try:
        result = app(arguments, standalone_mode=False)
    except UsageError as error:
        usage = io.StringIO()
        error.show(file=usage)
        tell(usage.getvalue().rstrip())
        return 2
    except (typer.Abort, KeyboardInterrupt):
        result = INTERRUPTED
    except AutointerpError as error:
        tell(f"error: {error}")
        return error.exit_code
    except SaeCoreError as error:
        tell(f"error: {safe_line(str(error))}")
        return 2
    except OSError as error:
        if error.errno not in _UNUSABLE or error.filename is None:
            raise
        tell(f"error: {safe_line(_shortened(str(error.filename)))} cannot be used: {error.strerror}; give another path")
        return 2
    if result == INTERRUPTED:  # typer itself turns Ctrl-C into this exit code
        tell("interrupted; the same command goes on from here")
    return result if isinstance(result, int) else 0
