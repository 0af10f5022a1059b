"""The gate against repeats: what it catches of 200 planted ones, and what it must not catch."""

import sys
from pathlib import Path

import pytest

from benchmarks.repeats import KINDS, PLANTED, doubting, gate, measure, planted, rejecting, unseen
from botticelli.config.operations import Similarity
from botticelli.models.meanings import open_meanings
from botticelli.stages.curate.similarity import (
    alike,
    compare,
    is_series,
    nearest,
    overlap,
    trigrams,
)
from botticelli.store.curation.duplicates import KnownText
from botticelli.text import normalise


def test_the_planted_set_is_as_large_as_we_say():
    assert len(KINDS) * len(PLANTED) == 200


def test_without_the_extra_all_but_free_retellings_are_caught_and_nothing_else():
    found = measure(Similarity(reworded=1))

    assert found.wrong == 0
    assert found.by_kind["copy, other case, markup, blanks"] == 25
    assert sum(found.by_kind.values()) >= 170
    assert found.by_kind["told quite differently"] <= 2


def test_retellings_are_held_besides_and_no_innocent_neighbor(meanings):
    found = planted(doubting(Similarity(), meanings))

    assert found.wrong == 0
    assert found.by_kind["told quite differently"] >= 8
    assert found.recall >= 0.9


def test_of_the_set_that_nothing_was_tuned_on_no_innocent_neighbor_or_series_is_rejected():
    found = unseen(rejecting(Similarity(reworded=1)))

    assert found.wrong == 0
    assert found.by_kind["lightly reworded"] == 12
    assert found.recall >= 0.45


def test_without_any_nearness_only_copies_are_caught():
    found = measure(Similarity(near=1, reworded=1))

    assert sum(found.by_kind.values()) == 25


def test_where_the_extra_is_missing_there_are_no_meanings(monkeypatch):
    monkeypatch.setitem(sys.modules, "wordllama", None)

    assert open_meanings() is None


@pytest.mark.slow
def test_the_vectors_are_those_of_the_models_own_loader(meanings):
    import numpy as np
    import wordllama

    theirs = wordllama.WordLlama.load(
        cache_dir=Path(wordllama.__file__).parent, disable_download=True
    )
    row = theirs.embed([normalise(BODIES[0])])[0]
    ours = np.frombuffer(meanings.vector(BODIES[0]), dtype=np.float16)

    assert ours == pytest.approx(row / np.linalg.norm(row), abs=1e-3)


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
    assert str(gate("THE SAME", known("the same", "The same"), Similarity())) == "repeats c1"


def test_a_near_copy_is_told_with_its_share():
    before = known("Set active hours so that nothing is posted at night, please", is_post=True)

    found = gate("Set active hours, so that nothing is posted at night", before, Similarity())

    assert str(found).startswith("repeats p1, nearly (0.8")


@pytest.mark.parametrize(
    "text", ["", "   ", "!?", "\N{WOMAN}\N{ZERO WIDTH JOINER}\N{PERSONAL COMPUTER}"]
)
def test_texts_without_words_break_nothing(text):
    assert gate(text, known("some words"), Similarity()) is None
    assert alike(text, [], near=0.5) is False


GREETING = (
    "Good morning, dear bakers of the channel! Here is your letter of the day, as always with love."
)
FAREWELL = (
    "That is all for today. Write to us, bake something, and be kind to your starter. Yours, Ada."
)
BODIES = (
    "A reader asks why her rye bread cracks on one side. Move it to the middle of the oven.",
    "We visited the mill in Halden, where two brothers still grind with water and stones.",
)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Wednesday table, 12 March. We meet at 7.", "Wednesday table, 19 March. We meet at 7."),
        ("Stammtisch am 12. Mai im Krug", "Stammtisch am 19. Mai im Krug"),
        ("Set active hours for the night, v1", "Set active hours for the night, v2"),
        ("Puzzle no. 7: white wins.\nHow?", "Puzzle no. 8: white wins.\nHow?"),
        ("Monday letter: what did you bake?", "Friday letter: what did you bake?"),
        ("第12回 月曜日のお茶会、七時から", "第13回 月曜日のお茶会、七時から"),
        (f"{GREETING}\n{BODIES[0]}\n{FAREWELL}", f"{GREETING}\n{BODIES[1]}\n{FAREWELL}"),
    ],
)  # fmt: skip
def test_issues_of_a_series_are_no_repeats(one, other):
    assert is_series(one, other)
    assert gate(other, known(one), Similarity()) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            "Wednesday table, 12 March. We meet at seven.",
            "Wednesday table, 12 March: we meet at 7.",
        ),
        (f"{GREETING} {BODIES[0]}", f"{BODIES[0]} {GREETING} #bread"),
        (f"{GREETING}\n{BODIES[0]}\n{FAREWELL}", f"{BODIES[0]}\n{FAREWELL}"),
    ],
)
def test_the_same_issue_told_again_is_a_repeat(one, other):
    assert not is_series(one, other)
    assert gate(other, known(one), Similarity()) is not None


def test_what_says_nothing_beside_a_longer_text_is_a_repeat_whatever_its_length():
    text = f"{BODIES[0]} {BODIES[1]} {FAREWELL}"

    assert str(gate(BODIES[1], known(text), Similarity())) == "repeats c1, at another length (1.00)"
    assert gate("Good morning, dear bakers!", known(f"{GREETING} {text}"), Similarity()) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            "Каждый понедельник наши пекари показывают хлеб.",
            "В среду вечером играем в шахматы, приносите доски.",
        ),
        ("كل يوم اثنين يعرض الخبازون رغيفا واحدا.", "نلعب الشطرنج مساء الأربعاء في المكتبة."),
        ("月曜日にはパンを焼いて見せ合います。", "水曜日の夜は図書館で将棋を指します。"),
        ("हर सोमवार बेकर एक रोटी दिखाते हैं।", "बुधवार की शाम हम शतरंज खेलते हैं।"),
        (
            "Κάθε Δευτέρα οι φούρναρηδες δείχνουν ένα ψωμί.",
            "Τετάρτη βράδυ παίζουμε σκάκι στη βιβλιοθήκη.",
        ),
        ("ทุกวันจันทร์ร้านจะโชว์ขนมปัง", "คืนวันพุธเราเล่นหมากรุกที่ห้องสมุด"),
        ("월요일마다 제빵사들이 빵을 보여 줍니다.", "수요일 저녁에는 도서관에서 체스를 둡니다."),
        (
            "Her pazartesi fırıncılarımız bir ekmek gösteriyor.",
            "Çarşamba akşamı kütüphanede satranç oynuyoruz.",
        ),
        (
            "Jeden Montag zeigen unsere Bäcker ein Brot.",
            "Am Mittwochabend spielen wir Schach in der Bücherei.",
        ),
        (
            "Joka maanantai leipurimme näyttävät leivän.",
            "Keskiviikkoiltana pelaamme shakkia kirjastossa.",
        ),
    ],
)
def test_of_languages_that_the_model_does_not_know_nothing_is_said(meanings, one, other):
    vectors = [meanings.vector(one), meanings.vector(other)]
    cosine = meanings.cosines(vectors[0], vectors[1:])[0]
    likeness = compare(one, known(other)[0], cosine=cosine)

    assert vectors == [None, None]
    assert gate(one, known(other), Similarity()) is None
    assert not [near for near in nearest([likeness], reworded=0.3) if near["perhaps"]]


@pytest.fixture(scope="module")
def meanings():
    return open_meanings()


def test_the_meaning_of_a_text_does_not_depend_on_its_looks(meanings):
    plain, loud = BODIES[0], f"**{BODIES[0].upper()}**  https://example.com/a/long/link/to/rye?x=1"

    assert meanings.cosines(meanings.vector(plain), [meanings.vector(loud)])[0] > 0.99


def test_a_retelling_is_perhaps_a_repeat_and_near_to_what_it_retells(meanings):
    retold = "Why does my rye loaf split at one side, a reader wants to know: put it in mid-oven."
    texts = known(BODIES[1], BODIES[0])
    cosines = meanings.cosines(
        meanings.vector(retold), [meanings.vector(one.text) for one in texts]
    )
    likenesses = [compare(retold, one, cosine=c) for one, c in zip(texts, cosines, strict=True)]

    [first, *_] = nearest(likenesses, reworded=0.45)

    assert (first["candidate"], first["perhaps"]) == (2, True)
