"""A larger corpus than the embedded one, where no hub is reachable: the documentation that Debian packages.

`python -m benchmarks.technical_text CORPUS.jsonl [FOLDER...]` fetches the packages by `apt-get download`, unpacks them
without installing anything and writes their plain text, and that of the .txt files below FOLDERs, one JSON line for
each piece of at most 4,000 characters. About 40 MB, ten million tokens of SmolLM2.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

PACKAGES = ("debian-policy", "git-doc", "linux-doc-6.1", "python3.11-doc")
PIECE_CHARS = 4_000
MIN_CHARS = 200


def fetch(folder: Path) -> None:
    """The packages' files below `folder`. subprocess.CalledProcessError where a package is not to be had."""
    # a user's `apt-get download` writes to where it stands
    subprocess.run(["apt-get", "download", "--quiet", *PACKAGES], cwd=folder, check=True)
    for package in sorted(folder.glob("*.deb")):
        subprocess.run(["dpkg-deb", "--extract", package, folder / "files"], check=True)


def pieces(text: str) -> Iterator[str]:
    """Whole paragraphs, as many as fit; longer ones are cut."""
    piece = ""
    for paragraph in text.split("\n\n"):
        if len(piece) + len(paragraph) > PIECE_CHARS:
            yield piece
            piece = ""
        piece = f"{piece}\n\n{paragraph}" if piece else paragraph[:PIECE_CHARS]
    yield piece


def documents(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*.txt")):
        text = path.read_text(encoding="utf-8", errors="ignore").replace("\r\n", "\n")
        yield from (piece for piece in pieces(text) if len(piece) >= MIN_CHARS)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.technical_text", description=__doc__)
    parser.add_argument("corpus", type=Path, metavar="CORPUS.jsonl")
    parser.add_argument("folders", type=Path, nargs="*", metavar="FOLDER")
    arguments = parser.parse_args()
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        sys.exit("the texts come out of Debian's packages: this needs apt-get and dpkg-deb")
    with tempfile.TemporaryDirectory() as scratch:
        fetch(Path(scratch))
        texts = [text for folder in (Path(scratch) / "files", *arguments.folders) for text in documents(folder)]
    # or a small budget reads one handbook only
    random.Random(0).shuffle(texts)
    with arguments.corpus.open("w", encoding="utf-8") as out:
        out.writelines(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts)
    print(f"{arguments.corpus}: {len(texts):,} pieces, {arguments.corpus.stat().st_size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
