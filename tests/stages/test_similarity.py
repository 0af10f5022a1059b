"""The gate against repeats: what it catches of 200 planted ones, and what it must not catch."""

import builtins

import pytest

from benchmarks.repeats import KINDS, PLANTED, measure
from botticelli.config.curation import Similarity
from botticelli.models.meanings import open_meanings
from botticelli.stages.curate.similarity import alike, find, overlap, trigrams
from botticelli.store.curation.duplicates import KnownText


def test_the_planted_set_is_as_large_as_we_say():
    assert len(KINDS) * len(PLANTED) == 200


def test_without_the_extra_all_but_free_retellings_are_caught_and_nothing_else():
    found = measure(Similarity(reworded=1))

    assert found.wrong == 0
    assert found.by_kind["copy, other case, markup, blanks"] == 25
    assert sum(found.by_kind.values()) >= 170
    assert found.by_kind["told quite differently"] <= 2


def test_with_the_extra_no_less_is_caught_and_still_nothing_else():
    found = measure(Similarity())

    assert found.wrong == 0
    assert found.recall >= measure(Similarity(reworded=1)).recall


def test_without_any_nearness_only_copies_are_caught():
    found = measure(Similarity(near=1, reworded=1))

    assert sum(found.by_kind.values()) == 25


def test_where_the_extra_is_missing_there_are_no_meanings(monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name == "wordllama":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)

    assert open_meanings() is None


def test_trigrams_are_those_of_pg_trgm(db):
    """`SELECT show_trgm('Two cats')` gives these; so does ours, where pg_trgm is missing."""
    one, other = "Two cats, sleeping", "Three cats sleep"
    ours = overlap(trigrams(one), trigrams(other))
    db.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")

    theirs = db.execute("SELECT similarity(%s, %s)", (one, other)).fetchone()[0]

    assert ours == pytest.approx(theirs, abs=1e-6)


def known(*texts, is_post=False):
    return [KnownText(id=id_, is_post=is_post, text=text) for id_, text in enumerate(texts, 1)]


def test_of_equal_copies_the_first_is_named():
    assert str(find("THE SAME", known("the same", "The same"), Similarity())) == "repeats c1"


def test_a_near_copy_is_told_with_its_share():
    before = known("Set active hours so that nothing is posted at night, please", is_post=True)

    found = find("Set active hours, so that nothing is posted at night", before, Similarity())

    assert str(found).startswith("repeats p1, nearly (0.8")


@pytest.mark.parametrize(
    "text", ["", "   ", "!?", "\N{WOMAN}\N{ZERO WIDTH JOINER}\N{PERSONAL COMPUTER}"]
)
def test_texts_without_words_break_nothing(text):
    assert find(text, known("some words"), Similarity()) is None
    assert alike(text, [], near=0.5) is False
