"""The index of known texts: what it finds, what counts, and what a look costs."""

from datetime import timedelta

import pytest

from benchmarks.repeats import KINDS, PLANTED, mixed
from botticelli.config.model import Config, DatabaseConfig
from botticelli.config.operations import Similarity
from botticelli.stages.curate.similarity import terms
from botticelli.stages.curate.stage import Prefilter
from botticelli.store.curation import duplicates, reviews

WINDOW = Similarity().window
WEEK = timedelta(days=7)


@pytest.fixture
def look(db, db_url, tmp_path):
    """Let new candidates be looked at as curate does it; return id -> note of those rejected."""
    config = Config(database=DatabaseConfig(url=db_url, folder=tmp_path))

    def look_at(*texts):
        query = "INSERT INTO potential_discord_posts (text_content) VALUES (%s) RETURNING id"
        ids = [db.execute(query, (text,)).fetchone()[0] for text in texts]
        Prefilter(config).reject_waiting(db)
        query = (
            "SELECT id, curation_notes FROM potential_discord_posts"
            " WHERE id = ANY (%s) AND review_status = 'rejected' ORDER BY id"
        )
        return ids, dict(db.execute(query, (ids,)).fetchall())

    return look_at


def add_posts(db, texts, *, age=WEEK, status="posted"):
    query = (
        "INSERT INTO approved_discord_posts (text_content, review_status, selected_at, posted_at)"
        " VALUES (%s, %s, botticelli_now() - %s, botticelli_now() - %s) RETURNING id"
    )
    return [db.execute(query, (text, status, age, age)).fetchone()[0] for text in texts]


def decide_all(db, status, **more):
    columns = "".join(f", {name} = %({name})s" for name in more)
    db.execute(
        f"UPDATE potential_discord_posts SET review_status = %(status)s, judged_at = now(){columns}"
        " WHERE review_status = 'pending'",
        {"status": status, **more},
    )


LETTER = "Every Monday the bakers of our channel show one loaf and tell what went wrong with it."
ALMOST = "Every Monday the bakers of our channel show one loaf, and tell us what went wrong."


def test_the_index_finds_what_a_comparison_with_all_finds(db, look):
    posts = add_posts(db, [mixed(post, 0) for post in PLANTED])
    add_posts(db, [str(post["other"]) for post in PLANTED])
    found = 0
    for change in KINDS.values():
        ids, notes = look(*(change(post) for post in PLANTED))
        found += sum(
            notes.get(id_, "").startswith(f"repeats p{post}")
            for id_, post in zip(ids, posts, strict=True)
        )
        assert not [id_ for id_, note in notes.items() if f"p{posts[ids.index(id_)]}" not in note]
        decide_all(db, "rejected")

    assert found >= 0.875 * len(KINDS) * len(PLANTED)


@pytest.mark.parametrize(
    ("status", "is_known"),
    [("held", True), ("pending", True), ("rejected", False)],
)
def test_what_was_turned_down_does_not_stand_in_the_way_of_its_better_version(
    db, look, status, is_known
):
    [first], _ = look(LETTER)
    decide_all(db, status)

    [second], notes = look(ALMOST)

    assert bool(notes) is is_known
    assert not notes or notes[second].startswith(f"repeats c{first}, nearly")


@pytest.mark.parametrize(
    ("age", "status", "is_known"),
    [
        (WEEK, "posted", True),
        (WEEK, "pending", True),
        (WEEK, "withdrawn", False),
        (WINDOW + WEEK, "posted", False),
    ],
)
def test_of_posts_those_of_the_window_count(db, look, age, status, is_known):
    add_posts(db, [LETTER], age=age, status=status)

    assert bool(look(ALMOST)[1]) is is_known


def test_what_became_of_a_candidate_counts_from_then_on(db, look):
    [first], _ = look(LETTER)
    decide_all(db, "held")
    reviews.decide(db, [first], "approve", by="ada")
    [post] = db.execute("SELECT id FROM approved_discord_posts").fetchone()

    [second], notes = look(ALMOST)
    assert notes[second].startswith(f"repeats p{post}, nearly")

    reviews.edit(db, first, text="Quite another thing: chess on Friday at nine.", by="ada")
    assert look(ALMOST + " Really.")[1] == {}


def test_a_candidate_that_is_edited_is_looked_at_again(db, look):
    add_posts(db, [LETTER])
    [first], notes = look("Chess on Friday at nine, bring your own board.")
    assert notes == {}
    reviews.edit(db, first, text=ALMOST, by="ada")

    look()

    query = "SELECT review_status FROM potential_discord_posts WHERE id = %s"
    assert db.execute(query, (first,)).fetchone() == ("rejected",)


def test_nothing_is_kept_of_what_counts_no_more(db, look):
    add_posts(db, [f"{LETTER} {n}" for n in range(3)], age=3 * WINDOW)
    look(LETTER)
    decide_all(db, "rejected")

    look()

    assert db.execute("SELECT terms FROM known_texts").fetchall() == [([],)]
    assert db.execute("SELECT count(*) FROM known_terms").fetchone() == (0,)


def test_a_series_of_letters_with_one_greeting_and_farewell_lives(db, look):
    """Sixty percent of each is the same; the bodies are not."""
    frame = (
        "Good morning, dear bakers of the channel! Here is your letter of the day, as always.\n{}\n"
        "That is all for today. Write to us, bake something, and be kind to your starter."
    )
    bodies = [f"{post['first'][0]} {post['first'][1]}" for post in PLANTED]

    _, notes = look(*(frame.format(body) for body in bodies))
    assert notes == {}

    [again], notes = look(frame.format(bodies[7]) + "\nGreetings!")
    assert list(notes) == [again]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (
            "毎週月曜日に、パンを焼く人たちが一つのパンを見せて、何がうまくいかなかったかを話します。",
            "毎週月曜日に、パンを焼く人たちが一つのパンを見せて、何が失敗だったかを話してくれます。",
        ),
        (
            "每个星期一,我们频道的面包师展示一个面包,并说明哪里出了问题。欢迎大家一起来讨论。",
            "每个星期一,我们频道的面包师都会展示一个面包,并说明哪里出了问题,欢迎大家来讨论。",
        ),
        (
            "ทุกวันจันทร์คนทำขนมปังในช่องของเราจะโชว์ขนมปังหนึ่งก้อนและเล่าว่าอะไรผิดพลาด",
            "ทุกวันจันทร์คนทำขนมปังในช่องของเราจะโชว์ขนมปังหนึ่งก้อน แล้วเล่าว่าอะไรที่ผิดพลาด",
        ),
        (
            "हर सोमवार को हमारे चैनल के बेकर एक रोटी दिखाते हैं और बताते हैं कि क्या गलत हुआ।",
            "हर सोमवार हमारे चैनल के बेकर एक रोटी दिखाते हैं, और बताते हैं कि क्या गलत हुआ था।",
        ),
    ],
    ids=["Japanese", "Chinese", "Thai", "Hindi"],
)
def test_near_copies_are_found_in_scripts_without_blanks_or_with_signs_in_words(
    db, look, first, second
):
    add_posts(db, [first])

    assert len(look(second)[1]) == 1


def test_a_look_reads_no_more_of_a_term_than_its_newest_texts(db, look):
    """All share their beginning: the lists of its terms are long, and are not read whole."""
    head = "Dear members of the channel, here is your letter of the day, as every morning. "
    db.execute(
        "INSERT INTO approved_discord_posts (text_content, review_status, selected_at)"
        " SELECT concat(%s::text, n, ' ', n * 7919, ' ', n * 104729), 'posted', botticelli_now()"
        " FROM generate_series(1, 1500) AS n",
        (head,),
    )
    ids, _ = look(head + "Nothing has happened since yesterday evening.")
    values = {"window": WINDOW, "listed": 16, "found": 16, "longest": 4000, "ids": ids}

    [[[plan]]] = db.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + duplicates.LOOK, values).fetchall()

    most = 16 * (len(terms(head)) + 12)
    assert 0 < max(rows_of(plan["Plan"], "known_terms")) <= most
    assert sum(rows_of(plan["Plan"], "known_texts", "approved_discord_posts")) <= 3 * 16 + 3


def rows_of(plan, *tables):
    """Yield the rows that were read from tables: all loops, filtered ones too."""
    if plan.get("Relation Name") in tables:
        rows = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)
        yield rows * plan["Actual Loops"]
    for inner in plan.get("Plans", ()):
        yield from rows_of(inner, *tables)
