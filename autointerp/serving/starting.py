"""Serving runs: their site is built into a temporary folder, and answered for until interrupted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from autointerp.loopback import open_server
from autointerp.progress import Progress
from autointerp.run import Run
from autointerp.serving.pages import write_live_pages
from autointerp.serving.service import Service
from autointerp.site.building import build_site

__all__ = ["open_service", "serve_runs"]


def serve_runs(
    runs: Mapping[str, Run], *, port: int, title: str, progress: Progress, on_ready: Callable[[str], None]
) -> None:
    """`on_ready` gets the address. Raises ConfigError for an unusable port, ArtefactError for a damaged run."""
    with TemporaryDirectory(prefix="autointerp-site-") as folder:
        service: Service

        # the port is taken before the site is built, which may take minutes
        server = open_server(port, get=lambda path: service.get(path), post=lambda path, body: service.post(path, body))
        with server:
            service = open_service(runs, Path(folder), title=title, progress=progress)
            on_ready(f"http://127.0.0.1:{server.server_port}/")
            server.serve_forever()


def open_service(runs: Mapping[str, Run], folder: Path, *, title: str, progress: Progress) -> Service:
    """The board is of the runs that have one now."""
    finished = {label: run for label, run in runs.items() if run.layout.summary.is_file()}
    if finished:
        build_site(finished, folder, title=title, progress=progress, is_served=True)
    write_live_pages(folder, title=title, has_board=bool(finished))
    return Service(runs, folder)
