"""What a journal says, over one file or several, while others write it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from autointerp.errors import ArtefactError
from autointerp.records.verdict import Explanation, Verdict
from autointerp.runs.journal import Journal, open_journal
from autointerp.runs.journal_view import open_view
from autointerp.runs.merging import merge_journal
from autointerp.runs.reply_record import Account, FailedAttempt, ReplyRecord

EXPLAIN = Account("sae", "windows", None, 12)
SCORE = Account("sae", "windows", "detection", 12, None, ("w1", "w2"))
CONTROL = SCORE._replace(control="shuffled")


def reply(
    key: str, *, latency_s: float = 1.0, n_messages: int = 2, usd: float | None = 0.5, **more: object
) -> ReplyRecord:
    roles = ["system", "user", "assistant", "user"][:n_messages]
    parts = {f"{role}-{place}": f"{role} says" for place, role in enumerate(roles)}
    messages = ",".join(f'{{"content":"{role}-{place}","role":"{role}"}}' for place, role in enumerate(roles))
    values = {"finish": "stop", "source": "judge", "at": 1.0} | more
    return ReplyRecord(
        *(key, "http://e", "m", f'{{"messages":[{messages}],"sample":0}}', f"reply {key}"),
        reply_model="m-1",
        parts=parts,
        input_tokens=100,
        output_tokens=10,
        cached_tokens=40,
        usd=usd,
        latency_s=latency_s,
        **values,  # type: ignore[arg-type]
    )


def ask(journal: Journal, account: Account, record: ReplyRecord) -> None:
    journal.charge(record.key, account)
    journal.record_reply(record)


def filled(path: Path) -> Path:
    with open_journal(path) as journal:
        ask(journal, EXPLAIN, reply("a1"))
        ask(journal, SCORE, reply("b1", latency_s=3.0))
        ask(journal, SCORE, reply("b2", n_messages=4, at=2.0, finish="length"))
        ask(journal, CONTROL, reply("c1", source="cache", usd=9.0))
        ask(journal, Account("sae", "windows", "marked", 7), reply("d1", finish="refused", usd=None))
        journal.record_failure(FailedAttempt("b1", 1, "JudgeRetry", "HTTP 500: oops", 0.1, 5.0))
        journal.record_failure(FailedAttempt("b1", 2, "JudgeRetry", "no reply within 12 s", 0.1, 6.0))
        journal.save_explanations([Explanation("sae", 12, "windows", "j", "p", "cats")])
        journal.save_verdicts(
            Verdict("sae", 12, "windows", "detection", "j", "p", control, window, "top", True, answer, 0.75)  # type: ignore[arg-type]
            for control, window, answer in [
                (None, "w1", "fires"),
                (None, "w2", "unparsed"),
                ("shuffled", "w1", "silent"),
            ]
        )
    return path


@pytest.fixture
def paths(tmp_path: Path, request: pytest.FixtureRequest) -> list[Path]:
    """One journal, or the same beside a copy of it that was merged."""
    path = filled(tmp_path / "journal.sqlite")
    if not request.param:
        return [path]
    merge_journal(tmp_path / "merged.sqlite", path)
    return [path, tmp_path / "missing.sqlite", tmp_path / "merged.sqlite"]


both = pytest.mark.parametrize("paths", [False, True], indirect=True, ids=["one", "several"])


@both
def test_every_account_is_summed_the_dearest_first(paths: list[Path]) -> None:
    with open_view(paths) as view:
        works = {work.scorer: work for work in view.summarise()}
        assert [work.scorer for work in view.summarise()] == ["detection", None, "marked"]
    score = works["detection"]
    assert (score.n_replies, score.n_sent, score.n_from_cache, score.n_cut, score.n_reasked) == (3, 2, 1, 1, 1)
    assert (score.input_tokens, score.output_tokens, score.cached_tokens, score.usd) == (200, 20, 80, 1.0)
    assert (score.latency_p50_s, score.latency_p95_s) == (1.0, 3.0)
    assert (score.failures, score.answers) == ({"JudgeRetry": 2}, {"fires": 1, "silent": 1, "unparsed": 1})
    assert score.unparsed_frac == pytest.approx(1 / 3)
    assert works[None].answers == {"explained": 1}
    assert (works["marked"].n_refused, works["marked"].n_unpriced, works["marked"].usd) == (1, 1, 0.0)


@both
def test_the_whole_is_counted(paths: list[Path]) -> None:
    with open_view(paths) as view:
        totals = view.totals()
    assert (totals["n_replies"], totals["n_sent"], totals["usd"], totals["n_unpriced"]) == (5, 6, 1.5, 1)
    assert totals["failure_kinds"] == {"HTTP 500": 1, "no reply within N s": 1}
    assert (totals["n_verdicts"], totals["n_explanations"]) == (3, 1)


@both
def test_the_conversation_about_a_feature_is_found_in_order(paths: list[Path]) -> None:
    with open_view(paths) as view:
        asked = list(view.find_feature("sae", 12))
        assert [(one.key, one.scorer, one.control) for one in asked] == [
            ("a1", None, None),
            ("b1", "detection", None),
            ("b2", "detection", None),
            ("c1", "detection", "shuffled"),
        ]
        assert list(view.find_feature("sae", 13)) == []
        assert view.features() == [("sae", 2, 7, 12)]
    assert asked[0].explanation == "cats"
    assert asked[1].messages == (("system", "system says"), ("user", "user says"))
    assert asked[1].verdicts == (("w1", "top", True, "fires", 0.75), ("w2", "top", True, "unparsed", 0.75))
    assert asked[3].verdicts == (("w1", "top", True, "silent", 0.75),)


@both
def test_requests_are_found_by_key_and_by_latency_and_failures_by_time(paths: list[Path]) -> None:
    with open_view(paths) as view:
        assert [one.key for one in view.find_slowest(2)] == ["b1", "a1"]
        assert {one.key for one in view.find_key("b")} == {"b1", "b2"}
        assert view.find_key("ff") == []
        first, second = view.iter_failures()
        assert next(iter(view.iter_failures())) == first  # and whoever stops early does no harm
        assert [one.key for one in view.find_key("a1")] == ["a1"]
    assert (first.at, first.attempt, first.dictionary, first.feature, first.scorer) == (6.0, 2, "sae", 12, "detection")
    assert second.at == 5.0


def test_a_view_of_a_journal_at_work_shows_one_moment(tmp_path: Path) -> None:
    path = filled(tmp_path / "journal.sqlite")
    with open_journal(path) as journal:
        ask(journal, EXPLAIN, reply("e1"))
        journal.flush()
        with open_view([path]) as view:
            assert view.totals()["n_replies"] == 6
            accounts = view.summarise()
            ask(journal, Account("sae", "windows", "recall", 12), reply("e2"))
            journal.flush()
            assert (view.totals()["n_replies"], view.summarise()) == (6, accounts)
        with open_view([path]) as view:
            assert (view.totals()["n_replies"], len(view.summarise())) == (7, len(accounts) + 1)


def test_a_journal_where_nothing_may_be_written_can_be_read(tmp_path: Path) -> None:
    path = filled(tmp_path / "archive" / "journal.sqlite")
    path.chmod(stat.S_IREAD)
    path.parent.chmod(stat.S_IREAD | stat.S_IEXEC)
    try:
        with open_view([path]) as view:
            assert view.totals()["n_replies"] == 5
        assert [file.name for file in path.parent.iterdir()] == ["journal.sqlite"]
    finally:
        path.parent.chmod(stat.S_IRWXU)


def test_a_missing_or_damaged_journal_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match=r"journal\.sqlite does not exist"):
        open_view([tmp_path / "journal.sqlite"])
    (tmp_path / "journal.sqlite").write_text("prose " * 1000)
    with pytest.raises(ArtefactError, match=r"journal\.sqlite is damaged"):
        open_view([tmp_path / "journal.sqlite"])
