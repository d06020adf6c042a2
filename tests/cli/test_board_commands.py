"""`serve` gives the run's page to this machine, whatever path is asked for."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from pathlib import Path

from autointerp.board.summary import build_summary, write_summary
from autointerp.runs.layout import RunLayout


def test_the_page_is_served(tmp_path: Path) -> None:
    run = RunLayout(tmp_path)
    write_summary(run.summary, build_summary("empty", []))
    run.report.write_text("<!doctype html>the page")
    words = [sys.executable, "-u", "-c", "from autointerp.cli.main import main; main()", "serve", str(tmp_path)]
    with subprocess.Popen([*words, "--port", "0"], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            address = server.stdout.readline().split()[0]
            assert address.startswith("http://127.0.0.1:")
            for path in ("", "../../etc/passwd"):
                with urllib.request.urlopen(address + path, timeout=10) as reply:
                    assert reply.read().decode() == "<!doctype html>the page"
        finally:
            server.kill()
