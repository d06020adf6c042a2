"""The published F1 read again: on a made-up table by hand, and on the real one where it is at hand."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score

from autointerp.cli.main import _run
from autointerp.errors import ArtefactError, InputError
from autointerp.studies.published_f1 import count_attainable, read_table, reanalyse, render


def write(path: Path, sae: list[float], mlp: list[float]) -> Path:
    lines = [f"{name},{row},{f1}" for name, column in (("sae", sae), ("mlp", mlp)) for row, f1 in enumerate(column)]
    path.write_text("\n".join(["encoder,row,f1", *lines]))
    return path


def test_a_made_up_table_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    sae, mlp = (rng.beta(4, 2, size=120).round(3).tolist() for _ in range(2))
    path = write(tmp_path / "f1.csv", sae, mlp)
    found = reanalyse(read_table(path))
    assert found.names == ("sae", "mlp")
    assert found.means[0].mean == pytest.approx(np.mean(sae))
    assert found.difference.mean == pytest.approx(np.mean(mlp) - np.mean(sae))
    spread = ((np.var(sae, ddof=1) + np.var(mlp, ddof=1)) / 2) ** 0.5
    # (z(0.975) + z(0.8))^2 * 2 * variance / difference^2; two one-sided tests: z(0.95) + z(0.9)
    assert found.n_needed == pytest.approx(2 * (2.8016 * spread / found.difference.mean) ** 2, rel=1e-3, abs=1)
    assert found.n_equivalent == pytest.approx(2 * (2.9264 * spread / 0.05) ** 2, rel=1e-3, abs=1)
    assert found.smallest == pytest.approx(2.8016 * spread * (2 / 120) ** 0.5, rel=1e-3)
    assert _run(["study", "published-f1", "--path", str(path)]) == 0
    text = capsys.readouterr().out
    assert f"SAE {np.mean(sae):.3f} [" in text
    assert f"difference MLP - SAE: {np.mean(mlp) - np.mean(sae):+.3f} [" in text
    assert "The values are macro-F1. Its lines at 5 firing + 5 silent windows: always yes and always no 0.333" in text
    assert "a coin 0.487. Above both lines: the interval of SAE and of MLP." in text
    assert f"takes {found.n_needed:,} features each" in text
    assert _run(["study", "published-f1", "--path", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n_needed"] == found.n_needed


def test_equal_tables_at_the_coins_level(tmp_path: Path) -> None:
    column = [0.4, 0.5, 0.55] * 40
    text = render(reanalyse(read_table(write(tmp_path / "f1.csv", column, [x + 0.001 for x in column]))))
    assert "equivalence is shown" in text
    assert "No interval lies above both." in text


def test_a_value_is_attainable_when_scikit_learn_gives_it_for_some_answers() -> None:
    truth = [True] * 5 + [False] * 5
    answers = [True] * 3 + [False] * 7
    macro, plain = (round(float(f1_score(truth, answers, average=kind)), 6) for kind in ("macro", "binary"))
    assert (macro, plain) == (0.791667, 0.75)
    seen = count_attainable([macro, 0.507176])
    assert (seen.n, seen.macro_f1, seen.f1) == (2, 1, 0)
    assert count_attainable([plain]).f1 == 1


def test_figure_seven_is_drawn_the_same_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "f1.csv", [0.4, 0.5, 0.9], [0.6, 0.7, 0.8])
    drawn = []
    for name in ("one.svg", "two.svg"):
        assert _run(["study", "published-f1", "--path", str(path), "--figure", str(tmp_path / name)]) == 0
        drawn.append((tmp_path / name).read_bytes())
    assert drawn[0] == drawn[1]
    assert b"<svg" in drawn[0]
    assert _run(["study", "published-f1", "--path", str(path), "--figure", str(tmp_path / "one.pdf")]) == 2
    assert "use .svg or .png" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (None, InputError, "give the csv .columns encoder, row, f1. by --path FILE"),
        ("a,b\n1,2\n", ArtefactError, "is not a table of encoder, row, f1"),
        ("encoder,row,f1\nsae,0,0.5\nsae,1,0.6\n", ArtefactError, "has 1 encoders"),
        ("encoder,row,f1\nsae,0,x\nmlp,1,0.6\n", ArtefactError, "is not a table of"),
        ("encoder,row,f1\nsae,0,5\nsae,1,1\nmlp,1,0.6\nmlp,2,1\n", ArtefactError, r"F1 outside \[0, 1\]"),
    ],
)
def test_what_is_no_such_table_is_told(tmp_path: Path, text: str | None, error: type, message: str) -> None:
    path = tmp_path / "f1.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(error, match=message):
        read_table(path)


@pytest.mark.real
def test_the_published_table() -> None:
    root = Path(os.environ.get("AUTOINTERP_REAL_DATA") or Path(__file__).parents[2] / "../shared/data")
    path = root / "reference/oneill2024_gpt2_l9_f1.csv"
    if not path.is_file():
        pytest.skip(f"{path} is not there; set AUTOINTERP_REAL_DATA")
    text = render(reanalyse(read_table(path)))
    assert text.startswith("SAE 0.639 [")
    assert "\nMLP 0.686 [" in text
    assert "difference MLP - SAE: +0.047 [+0.00" in text
    assert "always no 0.333, a coin 0.487. Above both lines: the interval of SAE and of MLP." in text
    assert "SAE: 53 of 200 values are the macro-F1 of some table" in text
    assert "MLP: 113 of 200 values are the macro-F1 of some table" in text
    assert "neither equivalence nor a larger difference is shown" in text
    assert "To show one of 0.047 takes 373 features each" in text
