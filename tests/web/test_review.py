"""The deck and one post's life: what is shown is what is sent, and nobody overwrites anybody."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botticelli.pictures.reading import Picture
from botticelli.store import media
from botticelli.store.connection import connect
from botticelli.store.curation import reviews
from botticelli.web.review import differences, etag
from tests.database import approved, candidate, insert
from tests.fakes.pictures import png


def tag(db, id_):
    [one] = reviews.find_candidates(db, [id_])
    return etag(one)


def change(client, db, id_, do, **form):
    form = {"do": do, "etag": tag(db, id_), **form}
    return client.post(f"/candidates/{id_}", data=form, headers={"x-fragment": "1"})


def status(db, id_):
    return db.execute(
        "SELECT review_status FROM potential_discord_posts WHERE id = %s", (id_,)
    ).fetchone()[0]


def test_the_deck_has_whole_texts_best_first_in_pages(visits, db):
    for number in range(30):
        candidate(db, f"text {number} end", review_status="held", curation_score=number)
    client = visits.as_role("viewer")

    first = client.get("/review").text
    after = re.search(r"after=([\d.,-]+)", first)[1]
    second = client.get(f"/review?after={after}").text

    found = re.findall(r"text (\d+) end</p>", first + second)
    assert found == [str(number) for number in reversed(range(30))]
    assert 'class="count">30<' in first
    assert client.get("/review?q=text+7+end").text.count("<article") == 1
    assert client.get("/review?after=x").status_code == 400
    assert client.get("/review?view=x").status_code == 404


@pytest.mark.parametrize(
    ("do", "into"), [("approve", "approved"), ("reject", "rejected"), ("hold", "held")]
)
def test_a_decision_is_carried_out_once_and_can_be_taken_back(visits, db, do, into):
    one = candidate(db, "a text")
    client = visits.as_role("approver", name="anna")

    answer = change(client, db, one, do, note="because")

    assert (answer.status_code, status(db, one)) == (200, into)
    assert f'id="c{one}"' in answer.text
    [seen] = reviews.find_candidates(db, [one])
    assert (seen.decided_by, seen.history[-1]["note"]) == ("anna", "because")
    assert change(client, db, one, "undo").status_code == 200
    assert status(db, one) == "pending"


def test_what_an_editor_may_not_do(visits, db):
    one = candidate(db, "a text")
    client = visits.as_role("editor")
    for do in ("approve", "reject", "undo", "save-approve"):
        assert change(client, db, one, do, text="x").status_code == 403
    assert change(client, db, one, "save", text="better").status_code == 200
    assert status(db, one) == "pending"


def test_saving_and_approving_is_one_thing(visits, db):
    one = candidate(db, "a text")
    client = visits.as_role("approver")

    assert change(client, db, one, "save-approve", text="a\r\nbetter text").status_code == 200
    row = db.execute("SELECT text_content FROM approved_discord_posts").fetchone()
    assert row == ("a\nbetter text",)


def test_what_was_changed_meanwhile_is_shown_beside_ones_own(visits, db):
    one = candidate(db, "the old text")
    client, seen = visits.as_role("approver"), tag(db, one)
    reviews.edit(db, one, text="the new text", by="bob")

    form = {"do": "save", "etag": seen, "text": "the old words"}
    answer = client.post(f"/candidates/{one}", data=form, headers={"x-fragment": "1"})

    assert answer.status_code == 409
    assert "bob changed it meanwhile" in answer.text
    assert "<del>new text</del>" in answer.text
    assert "<ins>old words</ins>" in answer.text
    mine = re.search(r'name="etag" value="(\w+)"', answer.text)[1]
    form = {"do": "save", "etag": mine, "text": "the old words"}
    assert client.post(f"/candidates/{one}", data=form).status_code == 303
    [now] = reviews.find_candidates(db, [one])
    assert now.text_content == "the old words"


def test_of_two_who_decide_at_once_one_is_told(visits, db, db_url):
    for _ in range(5):
        one = candidate(db, "a text")
        seen = tag(db, one)
        clients = [visits.as_role("approver", name=name) for name in ("anna", "bob")]

        def decide(client, do, one=one, seen=seen):
            form = {"do": do, "etag": seen}
            return client.post(
                f"/candidates/{one}", data=form, headers={"x-fragment": "1"}
            ).status_code

        with ThreadPoolExecutor(2) as pool:
            codes = list(pool.map(decide, clients, ("approve", "reject")))
        assert sorted(codes) == [200, 409]


def test_several_are_decided_about_all_or_none(visits, db):
    ids = [candidate(db, f"text {n}") for n in range(3)]
    client = visits.as_role("approver")
    pairs = [f"{one}:{tag(db, one)}" for one in ids]
    reviews.edit(db, ids[1], text="other", by="bob")

    answer = client.post("/candidates", data={"do": "approve", "one": pairs})
    assert answer.status_code == 409
    assert f"c{ids[1]}" in answer.text
    assert {status(db, one) for one in ids} == {"pending"}
    pairs = [f"{one}:{tag(db, one)}" for one in ids]
    assert client.post("/candidates", data={"do": "approve", "one": pairs}).status_code == 303
    assert {status(db, one) for one in ids} == {"approved"}


def test_what_is_shown_is_what_will_be_sent(visits, db):
    one = candidate(db, "as it was judged", review_status="held")
    reviews.decide(db, [one], "approve", by="bob")
    db.execute("UPDATE approved_discord_posts SET text_content = 'as SQL has it'")

    page = visits.as_role("viewer").get("/review?view=approved").text
    assert "as SQL has it" in page
    assert "changed" in page


HOSTILE = [
    "<script>alert(1)</script>",
    "[x](javascript:alert(1))",
    "![x](https://evil.example/p.png)",
    "</textarea><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "https://a.example/\"onmouseover='alert(1)",
    "`</code><script>`",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_text_of_others_is_text(visits, db, text):
    one = candidate(
        db, text, curation_notes=text, source_narrative=text, review_status="held",
        link="javascript:alert(1)", title=text, content_type=text,
    )  # fmt: skip
    client = visits.as_role("approver")
    for path in ("/review", f"/posts/c{one}"):
        page = client.get(path).text
        assert "<script>alert" not in page
        assert "<img src=" not in page
        assert not re.search(r"<[^>]*href=.?javascript:", page)
        assert not re.search(r"<[^>]*\son\w+=", page)


@given(st.text(min_size=1, max_size=60).filter(str.strip))
def test_a_text_comes_back_as_it_was_written(visits, db, text):
    text = text.encode("utf-8", "replace").decode().replace("\0", "")
    if not text.strip():
        return
    one = candidate(db, "before")
    client = visits.as_role("editor")
    sent = text.replace("\r\n", "\n").replace("\n", "\r\n")  # as browsers do
    answer = change(client, db, one, "save", text=sent)
    assert answer.status_code == 200
    [now] = reviews.find_candidates(db, [one])
    assert now.text_content == text.replace("\r\n", "\n")


def test_words_of_two_texts_are_compared():
    assert differences("a b c", "a x c") == [
        ("same", "a"), ("gone", "b"), ("new", "x"), ("same", "c")
    ]  # fmt: skip


def test_a_post_shows_its_life_and_its_picture(visits, db):
    post = approved(db, "look at this")
    picture = Picture(content=png("a cat"), mime="image/png", width=1, height=1)
    media.keep(db, picture)
    client = visits.as_role("viewer")

    assert "look at this" in client.get(f"/posts/p{post}").text
    shown = client.get(f"/media/{picture.sha256}")
    assert (shown.content, shown.headers["content-type"]) == (picture.content, "image/png")
    assert "immutable" in shown.headers["cache-control"]
    for name in ("p999", "x1", "c", "c99999999999999999999", "c1x"):
        assert client.get(f"/posts/{name}").status_code == 404


def test_a_delivery_is_settled_if_it_is_as_it_was_shown(visits, db):
    from botticelli.store.delivery import decisions
    from botticelli.web.lives import tag as tag_of

    post = approved(db, "text")
    id_ = db.execute(
        "INSERT INTO deliveries (post_id, destination, state, last_error)"
        " VALUES (%s, 'discord', 'held', 'too long') RETURNING id",
        (post,),
    ).fetchone()[0]
    client = visits.as_role("approver", name="anna")
    assert "too long" in client.get("/stages").text
    seen = tag_of(decisions.find_delivery(db, id_))

    form = {"do": "mark-posted", "tag": seen, "message": "123", "from": "stages"}
    assert client.post(f"/deliveries/{id_}/settle", data=form).status_code == 303
    assert client.post(f"/deliveries/{id_}/settle", data=form).status_code == 409
    one = decisions.find_delivery(db, id_)
    assert (one.state, one.remote_id, one.decided_by) == ("posted", "123", "anna")
    again = {"do": "withdraw", "tag": tag_of(one)}
    assert client.post(f"/deliveries/{id_}/settle", data=again).status_code == 400, "not sure"


def test_a_stage_is_paused_and_resumed(visits, db):
    client = visits.as_role("approver")
    assert client.post("/stages", data={"stage": "post", "do": "pause"}).status_code == 303
    assert "paused" in client.get("/stages").text
    assert client.post("/stages", data={"stage": "all", "do": "resume"}).status_code == 303
    assert client.post("/stages", data={"stage": "x", "do": "pause"}).status_code == 400


def test_looking_changes_nothing(visits, db, db_url):
    candidate(db, "text", review_status="held")
    client = visits.as_role("viewer")
    client.get("/review")
    with connect(db_url) as conn:
        before = conn.execute(CHANGED).fetchall()
        for path in ("/review", "/stages", "/posts/c1", "/health", "/review?view=posted&q=x"):
            client.get(path)
        assert conn.execute(CHANGED).fetchall() == before


CHANGED = """
    SELECT relname, n_tup_ins + n_tup_upd + n_tup_del
      FROM pg_stat_user_tables
     WHERE relname NOT LIKE 'desk_%'
     ORDER BY 1
"""


LARGE = "9" * 25


@pytest.mark.parametrize(
    "path",
    [
        "/review?q=%00",
        "/review?after=--1,1",
        f"/review?after=1,{LARGE}",
        "/review?after=%D9%A1,%D9%A1",
        "/media/%00",
    ],
)
def test_an_address_that_nobody_gave_is_refused(visits, db, path):
    assert visits.as_role("admin").get(path).status_code in (200, 400, 404)


@pytest.mark.parametrize(
    "path", ["/candidates/ID", "/candidates/ID/picture", "/posts/ID/rendition", "/deliveries/ID"]
)
def test_an_id_that_no_row_can_have_is_refused(visits, db, path):
    form = {"do": "hold", "picture": "1", "to": "x", "fence": LARGE, "post": LARGE}

    answer = visits.as_role("admin").post(path.replace("ID", LARGE), data=form)

    assert answer.status_code in (400, 404, 409)


def test_more_than_a_decision_may_be_about_is_refused_as_a_whole(visits, db):
    ids = [candidate(db, f"text {number}") for number in range(51)]
    client = visits.as_role("approver")
    pairs = [f"{id_}:{tag(db, id_)}" for id_ in ids]

    for some in (pairs, [pairs[0], "x:y"], [pairs[0], f"{LARGE}:y"]):
        answer = client.post("/candidates", data={"do": "hold", "one": some})
        assert answer.status_code == 400
        assert {status(db, id_) for id_ in ids} == {"pending"}


def test_words_for_a_picture_are_not_written_over_those_of_another(visits, db):
    one = candidate(db, "a text")
    found = Picture(content=png("a cat"), mime="image/png", width=1, height=1)
    media.keep(db, found)
    insert(db, "post_media", candidate_id=one, sha256=found.sha256, alt="old words")
    client = visits.as_role("editor")
    form = {"picture": "1", "alt": "mine", "etag": tag(db, one)}
    assert client.post(f"/candidates/{one}/picture", data=form).status_code == 303

    answer = client.post(f"/candidates/{one}/picture", data=form | {"alt": "later"})

    assert answer.status_code == 409
    assert reviews.find_candidates(db, [one])[0].pictures[0]["alt"] == "mine"


def test_what_a_run_approved_can_be_taken_back_by_a_button(visits, db):
    one = candidate(db, "a text", review_status="approved", decided_by="auto")

    assert 'value="undo"' in visits.as_role("approver").get("/review?view=approved").text
    assert f"c{one}" in visits.as_role("approver").get("/review?view=approved").text
