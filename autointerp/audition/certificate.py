"""The certificate of a judge: its exam and grades, in one JSON file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from autointerp.audition.exam import EXAM_VERSION, Exam
from autointerp.audition.grades import Grades
from autointerp.errors import ArtefactError, UnreadableFile
from autointerp.judges.judge import Capabilities
from autointerp.runs.layout import write_text
from autointerp.small_files import read_json

__all__ = ["CERTIFICATE_SCHEMA", "FILE", "build_certificate", "read_certificate", "write_certificate"]

CERTIFICATE_SCHEMA = 1
FILE = "audition.json"

_FIX = "hold the audition anew: autointerp judges audition JUDGE"


def build_certificate(judge: str, stated: Capabilities, exam: Exam, grades: list[Grades]) -> dict[str, Any]:
    hashes = {scorer.name: scorer.prompt_hash for scorer in exam.scorers}
    return {
        "schema_version": CERTIFICATE_SCHEMA,
        "judge": judge,
        "endpoint": stated.endpoint,
        "model": stated.model,
        "variant": stated.variant,
        "exam": {
            "version": EXAM_VERSION,
            "hash": exam.hash,
            "size": exam.size,
            "levels": exam.levels,
            "wording": exam.wording,
            "python": exam.python,
            "babel": exam.babel,
            "n_concepts": exam.n_concepts,
            "n_requests": len(exam.asked),
        },
        # the key of schema 1 for grades
        "marks": {one.scorer: {**asdict(one), "prompt_hash": hashes[one.scorer]} for one in grades},
    }


def write_certificate(path: Path, certificate: Mapping[str, Any]) -> None:
    """Atomic. Raises ArtefactError where it cannot be written."""
    write_text(path, json.dumps(certificate, indent=1, ensure_ascii=False) + "\n")


def read_certificate(path: Path) -> dict[str, Any]:
    """From a file or an audition's directory. Raises ArtefactError for one missing, damaged or of another schema
    version."""
    file = path / FILE if path.is_dir() else path
    try:
        content = read_json(file)
    except UnreadableFile as error:
        raise ArtefactError(f"{error}; {_FIX}") from None
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version != CERTIFICATE_SCHEMA:
        raise ArtefactError(f"{file} has schema version {version}, this release reads {CERTIFICATE_SCHEMA}; {_FIX}")
    if not all(isinstance(content.get(key), kind) for key, kind in (("judge", str), ("exam", dict), ("marks", dict))):
        raise ArtefactError(f"{file} lacks the judge, the exam or the marks; {_FIX}")
    return content
