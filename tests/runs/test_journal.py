"""The journal: what is recorded is found, survives a kill, and a damaged or foreign file is one clear line."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from autointerp.errors import ArtefactError
from autointerp.records.verdict import Explanation, Unscored, Verdict
from autointerp.runs.journal import Journal, open_journal
from autointerp.runs.journal_reader import Totals
from autointerp.runs.reply_record import Account, FailedAttempt, ReplyRecord


def record(key: str = "k", **changes: object) -> ReplyRecord:
    request = '{"messages":[{"content":"h1","role":"system"},{"content":"h-' + key + '","role":"user"}]}'
    parts = {"h1": "the same for all", f"h-{key}": f"about {key}"}
    made = ReplyRecord(key, "http://e", "m", request, f"reply {key}", "stop", "m-1", parts, None, 100, 10, 5, 0.25, 0.1)
    return replace(made, **changes)  # type: ignore[arg-type]


def verdict(window: str = "w", **changes: object) -> Verdict:
    made = Verdict("sae", 3, "windows", "detection", "pattern", "p", None, window, "top", True, "fires", 0.75)
    return replace(made, **changes)  # type: ignore[arg-type]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "journal.sqlite"


def test_a_reply_is_found_at_once_and_after_reopening(path: Path) -> None:
    with open_journal(path) as journal:
        journal.record_reply(record())
        at_once = journal.find_reply("k")
        journal.flush()
        flushed = journal.find_reply("k")
        assert journal.find_reply("other") is None
    with open_journal(path) as journal:
        assert journal.find_reply("k") == flushed == replace(record(), parts={})
    assert at_once is not None
    assert at_once.text == "reply k"


def test_what_is_recorded_is_on_disk_soon_without_closing(path: Path) -> None:
    """The writer commits by itself; another reader sees it without the journal being flushed or closed."""
    import time

    with open_journal(path) as journal:
        journal.record_reply(record())
        with sqlite3.connect(path) as other:
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline and not other.execute("SELECT count(*) FROM replies").fetchone()[0]:
                time.sleep(0.01)
            assert other.execute("SELECT count(*) FROM replies").fetchone()[0] == 1
        other.close()


def test_thousands_of_replies_are_all_kept_and_shared_parts_once(path: Path) -> None:
    with open_journal(path) as journal:
        for i in range(3000):
            journal.record_reply(record(f"k{i}"))
        assert journal.totals().n_replies == 3000
        assert journal.load_request("k7") == {
            "messages": [{"content": "the same for all", "role": "system"}, {"content": "about k7", "role": "user"}]
        }
        assert journal.load_request("none") is None
    with sqlite3.connect(path) as other:
        assert other.execute("SELECT count(*) FROM parts").fetchone()[0] == 3001
    other.close()


def test_one_poisoned_row_of_each_kind_loses_nothing(path: Path) -> None:
    half, huge = "half \ud800", 2**64 - 1
    with open_journal(path) as journal:
        for i in range(59):
            journal.record_reply(record(f"k{i}"))
        journal.record_reply(record("poison", text=half, cached_tokens=huge))
        journal.record_failure(FailedAttempt("k", 1, "JudgeRetry", half, 0.1, 0.0))
        journal.save_explanations([Explanation("sae", 1, "windows", "j", "p", half)])
        journal.charge("k1", Account("sae", half, None, huge))
    with open_journal(path) as journal:
        totals = journal.totals()
        found = journal.find_reply("poison")
        assert (totals.n_replies, totals.n_failed_attempts, totals.n_explanations) == (60, 1, 1)
        assert found is not None
        assert (found.text, found.cached_tokens) == ("half ?", 2**63 - 1)


def test_what_a_reply_without_a_price_may_have_cost_is_kept(path: Path) -> None:
    with open_journal(path) as journal:
        journal.record_reply(record("a", usd=None), usd_at_most=0.25)
        journal.record_reply(record("b", usd=0.5))
        journal.record_failure(FailedAttempt("c", 1, "JudgeRetry", "broke", 0.1, 0.0, usd_at_most=0.125))
    with open_journal(path) as journal:
        assert (journal.totals().usd, journal.totals().lost_usd, journal.totals().n_unpriced) == (0.5, 0.375, 1)


def test_a_follower_gets_a_reply_only_once_it_is_on_disk(path: Path) -> None:
    """A cache that had it before could hand it back, for free, to the very run that lost it."""
    seen: list[str] = []

    def follow(record: ReplyRecord) -> None:
        with sqlite3.connect(path) as other:
            assert other.execute("SELECT 1 FROM replies WHERE key = ?", (record.key,)).fetchone(), "not on disk yet"
        other.close()
        seen.append(record.key)

    with open_journal(path) as journal:
        writer = journal._store._writer
        assert writer is not None
        with sqlite3.connect(path, isolation_level=None) as holder:  # nothing can be committed meanwhile
            holder.execute("BEGIN IMMEDIATE")
            for i in range(5):
                journal.record_reply(record(f"k{i}"), then=follow)
                assert journal.find_reply(f"k{i}") is not None
            assert seen == []
            holder.execute("ROLLBACK")
        holder.close()
        journal.flush()
        assert seen == [f"k{i}" for i in range(5)]
        journal.flush()
        assert len(seen) == 5


def test_explanations_and_verdicts_come_back_equal_in_a_fixed_order(path: Path) -> None:
    explanations = [
        Explanation("sae", 10, "windows", "j", "p", "cats"),
        Explanation("sae", 2, "windows", "j", "p", None, "unparsed"),
        Explanation(
            "neurons",
            5,
            "windows",
            "j",
            "p",
            "naïve \ud83d\ude00\x00 text".encode("utf-16", "surrogatepass").decode("utf-16"),
        ),
    ]
    verdicts = [
        verdict("b"),
        verdict("a", probability=None, is_firing=False, kind="random"),
        verdict("a", control="shuffled"),
    ]
    with open_journal(path) as journal:
        journal.save_explanations(explanations)
        journal.save_verdicts(verdicts)
        assert journal.load_explanations() == [explanations[2], explanations[1], explanations[0]]
    with open_journal(path, must_exist=True) as journal:
        assert journal.load_verdicts() == [verdicts[1], verdicts[0], verdicts[2]]


def test_a_verdict_about_the_same_window_replaces_the_old_one(path: Path) -> None:
    with open_journal(path) as journal:
        journal.save_verdicts([verdict(answer="error", probability=None)])
        journal.save_verdicts([verdict(answer="silent")])
        assert journal.load_verdicts() == [verdict(answer="silent")]


def test_totals_count_what_was_sent_and_paid_in_this_run(path: Path) -> None:
    with open_journal(path) as journal:
        journal.record_reply(record("a"))
        journal.record_reply(record("b", usd=None, finish="refused"))
        journal.record_reply(record("c", source="cache"))
        journal.record_failure(FailedAttempt("a", 1, "JudgeRetry", "HTTP 500", 0.1, 0.0))
        journal.save_verdicts([verdict("x"), verdict("y", answer="unparsed"), verdict("z", answer="unparsed")])
        totals = journal.totals()
    assert totals == Totals(
        n_replies=3,
        n_from_cache=1,
        n_failed_attempts=1,
        n_refused=1,
        n_unpriced=1,
        input_tokens=200,
        output_tokens=20,
        cached_tokens=10,
        usd=0.25,
        n_explanations=0,
        n_verdicts=3,
        answers=(("fires", 1), ("unparsed", 2)),
    )
    assert totals.n_sent == 3


def test_reasons_come_back_and_a_newer_one_replaces_the_old(path: Path) -> None:
    first = Unscored("sae", 3, "windows", "marked", "judge", "no explanation could be had")
    second = Unscored("sae", 3, "windows", "marked", "too_few_negatives", "2 of 20 negatives, at least 5 are needed")
    other = Unscored("neurons", 9, "windows", "detection", "too_few_positives", "so says its evidence")
    with open_journal(path) as journal:
        journal.save_unscored([first, other])
        journal.save_unscored([second])
    with open_journal(path, must_exist=True) as journal:
        assert journal.load_unscored() == [other, second]


def test_costs_are_booked_by_dictionary_and_scorer_and_sum_to_the_total(path: Path) -> None:
    """A reply from the shared cache is free, one that two accounts asked for is shared, and asking again adds none."""
    explain, marked, other = (
        Account("sae", "windows", None),
        Account("sae", "windows", "marked"),
        Account("topk", "windows", "marked"),
    )
    with open_journal(path) as journal:
        for _ in range(2):
            for key, accounts in {"a": [explain], "b": [marked], "c": [marked, other], "d": [other]}.items():
                for account in accounts:
                    journal.charge(key, account)
                journal.record_reply(record(key, source="cache" if key == "d" else "judge"))
        journal.charge("never answered", marked)
        costs = journal.load_costs()
        assert costs == {explain: 0.25, marked: 0.375, other: 0.125}
        assert sum(usd or 0.0 for usd in (costs or {}).values()) == journal.totals().usd


def test_an_account_with_a_reply_of_unknown_price_is_unknown_and_the_others_are_not(path: Path) -> None:
    with open_journal(path) as journal:
        for key, account in {"a": Account("sae", "windows", None), "b": Account("sae", "windows", "marked")}.items():
            journal.charge(key, account)
            journal.record_reply(record(key, usd=None if key == "a" else 0.0))
        assert journal.load_costs() == {Account("sae", "windows", None): None, Account("sae", "windows", "marked"): 0.0}


def test_a_paid_reply_that_nobody_is_booked_for_makes_all_costs_unknown(path: Path) -> None:
    with open_journal(path) as journal:
        assert journal.load_costs() == {}
        journal.record_reply(record("free", usd=0.0))
        journal.record_reply(record("cached", source="cache"))
        assert journal.load_costs() == {}
        journal.record_reply(record("paid"))
        assert journal.load_costs() is None


def test_a_journal_without_the_newer_tables_gets_them_when_opened(path: Path) -> None:
    filled(path, 3)
    with sqlite3.connect(path) as older:
        older.execute("DROP TABLE unscored")
        older.execute("DROP TABLE charges")
    older.close()
    with open_journal(path, must_exist=True) as journal:
        assert journal.load_unscored() == []
        assert journal.load_costs() is None
        assert journal.totals().n_replies == 3


def filled(path: Path, n: int = 2000) -> Path:
    with open_journal(path) as journal:
        for i in range(n):
            journal.record_reply(record(f"k{i}"))
    return path


@pytest.mark.parametrize("keep_frac", [0.1, 0.5, 0.9])
def test_a_truncated_file_is_named_with_the_fix(path: Path, keep_frac: float) -> None:
    raw = filled(path).read_bytes()
    path.write_bytes(raw[: int(len(raw) * keep_frac)])
    with pytest.raises(ArtefactError, match=r"journal\.sqlite is damaged .*--recover` keeps what can be read of it$"):
        open_journal(path)


def test_a_file_that_is_no_database_is_named(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("this is no database, it is prose" * 100)
    with pytest.raises(ArtefactError, match=r"journal\.sqlite is damaged"):
        open_journal(path)


def test_a_damaged_page_is_named_when_opened(path: Path) -> None:
    raw = bytearray(filled(path).read_bytes())
    raw[len(raw) // 2 : len(raw) // 2 + 8192] = bytes(8192)
    path.write_bytes(raw)
    with pytest.raises(ArtefactError, match="damaged"):
        open_journal(path)


def test_foreign_files_are_refused(path: Path) -> None:
    filled(path, 1)
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA user_version = 99")
    other.close()
    with pytest.raises(ArtefactError, match=r"schema version 99.*, or move it away$"):
        open_journal(path)
    stranger = path.with_name("stranger.sqlite")
    with sqlite3.connect(stranger) as other:
        other.execute("CREATE TABLE t (x)")
    other.close()
    with pytest.raises(ArtefactError, match="another program"):
        open_journal(stranger)


def test_a_missing_journal_is_named_and_not_made(path: Path) -> None:
    with pytest.raises(ArtefactError, match="does not exist"):
        open_journal(path, must_exist=True)
    assert not path.exists()


def cap(journal: Journal, n_pages: int) -> None:
    """Give the journal's writer a disk of `n_pages` pages."""
    writer = journal._store._writer
    assert writer is not None
    writer.execute(f"PRAGMA max_page_count = {n_pages}")


def test_a_full_disk_is_one_line_and_loses_nothing_flushed(path: Path) -> None:
    journal = open_journal(path)
    for i in range(100):
        journal.record_reply(record(f"k{i}"))
    journal.flush()
    cap(journal, 40)
    with pytest.raises(ArtefactError, match=r"journal\.sqlite cannot be written: .*full.*space") as caught:
        for i in range(100, 5000):
            journal.record_reply(record(f"k{i}"))
        journal.flush()
    assert "\n" not in str(caught.value)
    with pytest.raises(ArtefactError):
        journal.record_reply(record("late"))
    journal.close()
    with open_journal(path) as again:
        assert all(again.find_reply(f"k{i}") is not None for i in range(100))


def test_a_full_disk_nobody_heard_of_is_told_on_closing(path: Path) -> None:
    journal = open_journal(path)
    journal.flush()
    cap(journal, 1)
    journal.record_reply(record("big", text="x" * 100_000))
    with pytest.raises(ArtefactError, match="full"):
        journal.close()
    journal.close()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ArtefactError, match="file"):
        open_journal(tmp_path / "file" / "journal.sqlite")


def test_closing_twice_is_harmless(path: Path) -> None:
    journal = open_journal(path)
    journal.close()
    journal.close()


def test_a_stage_done_anew_leaves_nothing_of_before_but_the_replies(path: Path) -> None:
    told = Explanation("sae", 1, "windows", "pattern", "p", "fires on cats")
    verdict = Verdict("sae", 1, "windows", "detection", "pattern", "q", None, "w0", "top", True, "fires")
    with open_journal(path) as journal:
        journal.save_explanations([told])
        journal.save_verdicts([verdict])
        journal.save_unscored([Unscored("sae", 2, "windows", "detection", "too_few_positives", "none")])
        journal.forget_verdicts()
        assert journal.load_verdicts() == []
        assert journal.load_unscored() == []
        assert journal.load_explanations() == [told]
        journal.forget_explanations()
        journal.save_verdicts([verdict])
    with open_journal(path) as journal:
        assert journal.load_explanations() == []
        assert journal.load_verdicts() == [verdict]
