"""What acts read: files, media, tables."""

import base64
import csv
import io
import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botticelli.errors import ConfigError
from botticelli.models.base import Part
from botticelli.narrative.errors import ActFailed
from botticelli.narrative.files.fetch import Fetched
from botticelli.narrative.files.lookup import Folders, find_file
from botticelli.narrative.language.model import Retention
from botticelli.narrative.run import input_reader
from botticelli.narrative.run.history import Piece, Turn, messages
from botticelli.narrative.run.row_formats import format_rows
from tests.narrative.scripted import stage


def folders(tmp_path, *context):
    project = tmp_path / "project"
    (project / "narratives").mkdir(parents=True)
    (project / "pyproject.toml").touch()
    return project, Folders(own=project / "narratives", context=context)


def test_a_file_beside_the_narrative_comes_first(tmp_path):
    project, places = folders(tmp_path)
    (project / "a.md").write_text("far")
    (project / "narratives" / "a.md").write_text("near")

    assert find_file("a.md", folders=places).read_text() == "near"


def test_a_context_folder_comes_before_the_search(tmp_path):
    context = tmp_path / "context"
    context.mkdir()
    (context / "a.md").write_text("context")
    project, places = folders(tmp_path, context)
    (project / "docs").mkdir()
    (project / "docs" / "a.md").write_text("found")

    assert find_file("a.md", folders=places).read_text() == "context"


def test_the_project_is_searched_but_nothing_hidden_and_no_link(tmp_path):
    project, places = folders(tmp_path)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.md").write_text("s")
    (project / "link").symlink_to(outside)
    for name in (".git", "node_modules", "deep"):
        (project / name).mkdir()
        (project / name / "a.md").write_text(name)

    assert find_file("a.md", folders=places).read_text() == "deep"
    with pytest.raises(ConfigError, match="no file"):
        find_file("secret.md", folders=places)


def test_two_files_of_one_name_are_an_error(tmp_path):
    project, places = folders(tmp_path)
    for name in ("one", "two"):
        (project / name).mkdir()
        (project / name / "a.md").write_text(name)

    with pytest.raises(ConfigError, match="twice"):
        find_file("a.md", folders=places)


@pytest.mark.parametrize("name", ["../../outside.md", "/etc/hostname", "link.md"])
def test_nothing_outside_the_project_is_read(tmp_path, name):
    project, places = folders(tmp_path)
    (tmp_path / "outside.md").write_text("s")
    (project / "narratives" / "link.md").symlink_to(tmp_path / "outside.md")

    with pytest.raises(ConfigError):
        find_file(name, folders=places)


def test_above_but_within_the_project_is_fine(tmp_path):
    project, places = folders(tmp_path)
    (project / "shared.md").write_text("shared")

    assert find_file("../shared.md", folders=places).read_text() == "shared"


MEDIA = """
[narrative]
name = "look"
skip_content_generation = true
[toc]
order = ["look"]
[[acts.look.input]]
type = "image"
%s
[[acts.look.input]]
content = "What is it?"
"""


def media(db, tmp_path, line):
    run = stage(db, MEDIA % line, folder=tmp_path)
    run.run()
    return run.caller.asked[0][0].messages[-1].parts[0]


def test_media_of_all_three_origins(db, tmp_path):
    (tmp_path / "a.png").write_bytes(b"png")
    encoded = base64.b64encode(b"gif").decode()

    assert media(db, tmp_path, 'file = "a.png"') == Part(data=b"png", mime="image/png")
    assert media(db, tmp_path, f'base64 = "{encoded}"\nmime = "image/gif"') == Part(
        data=b"gif", mime="image/gif"
    )
    assert media(db, tmp_path, 'url = "https://example.org/a.webp?x=1"') == Part(
        data=b"seen at https://example.org/a.webp?x=1", mime="image/webp"
    )
    assert media(db, tmp_path, 'url = "gs://bucket/a.png"') == Part(
        uri="gs://bucket/a.png", mime="image/png"
    )


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('file = "none.png"', "no file"),
        ('base64 = "%%%"\nmime = "image/png"', "base64"),
        ('url = "https://example.org/a"', "mime"),
        ('file = "page.png"', "is no image: it holds text/html"),
        ('file = "empty.png"', "is empty"),
    ],
)
def test_media_that_cannot_be_used_fail_before_anything_is_asked(db, tmp_path, line, reason):
    (tmp_path / "page.png").write_text("<!DOCTYPE html><title>404</title>")
    (tmp_path / "empty.png").touch()

    with pytest.raises(ConfigError, match=reason):
        media(db, tmp_path, line)


def test_media_that_are_too_large_are_refused(db, tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(b"x" * 11)
    monkeypatch.setattr(input_reader, "LARGEST", 10)

    with pytest.raises(ConfigError, match="larger"):
        media(db, tmp_path, 'file = "a.png"')


def test_a_file_that_is_missing_is_told_before_the_first_call_is_paid_for(db, tmp_path):
    story = MEDIA % 'file = "none.png"'
    story = story.replace('["look"]', '["first", "look"]') + '[acts.first]\nprompt = "Begin."\n'
    run = stage(db, story, folder=tmp_path)

    with pytest.raises(ConfigError, match=r"there is no file 'none\.png'") as told:
        run.run()

    assert told.value.where == "look, act 'look'"
    assert run.caller.asked == []


def test_an_address_is_read_once_before_the_first_call_is_paid_for(db, tmp_path):
    url = 'url = "https://example.org/a.png"'
    story = (MEDIA % url).replace('["look"]', '["first", "look", "again"]')
    story += f'[acts.first]\nprompt = "Begin."\n[[acts.again.input]]\ntype = "image"\n{url}\n'
    read = []

    def fetch(address):
        read.append(address)
        return Fetched(content=b"png", mime="")

    stage(db, story, folder=tmp_path, fetch=fetch).run()
    assert read == ["https://example.org/a.png"]

    def fail(address):
        raise ConfigError(f"'{address}' cannot be read: answered 404")

    broken = stage(db, story, folder=tmp_path, fetch=fail)
    with pytest.raises(ConfigError, match="404") as told:
        broken.run()
    assert told.value.where == "look, act 'look'"
    assert broken.caller.asked == []


def test_a_file_is_never_a_template(db, tmp_path):
    (tmp_path / "c.md").write_text("{{look}} ${HOME}")
    text = MEDIA.replace('type = "image"\n%s', 'type = "text"\nfile = "c.md"')
    run = stage(db, text, folder=tmp_path, environ={"HOME": "/h"})

    run.run()

    assert run.caller.prompt() == "{{look}} ${HOME}\nWhat is it?"
    assert run.warnings == []


def test_the_environment_may_name_one_more_folder(db, tmp_path):
    (tmp_path / "context").mkdir()
    (tmp_path / "own").mkdir()
    (tmp_path / "context" / "c.md").write_text("from afar")
    text = MEDIA.replace('type = "image"\n%s', 'type = "text"\nfile = "c.md"')
    environ = {"BOTTICELLI_CONTEXT_PATH": str(tmp_path / "context")}
    run = stage(db, text, folder=tmp_path / "own", environ=environ)

    run.run()

    assert run.caller.prompt().startswith("from afar")


ROW = {
    "text": 'a|b\nc,"d"',
    "when": datetime(2026, 1, 2, tzinfo=UTC),
    "score": Decimal("37.50"),
    "tags": ["x", "y"],
    "none": None,
}


def test_markdown_cells_stay_in_their_columns():
    text = format_rows([ROW], columns=list(ROW), form="markdown")

    assert text.splitlines()[2] == (
        '| a\\|b<br>c,"d" | 2026-01-02T00:00:00+00:00 | 37.5 | ["x", "y"] | null |'
    )
    assert format_rows([], columns=["a"], form="markdown") == "No data"


def test_csv_can_be_read_back():
    text = format_rows([ROW], columns=list(ROW), form="csv")

    head, row = csv.reader(io.StringIO(text))
    assert head == list(ROW)
    assert row == ['a|b\nc,"d"', "2026-01-02T00:00:00+00:00", "37.5", '["x", "y"]', ""]
    assert format_rows([], columns=["a"], form="csv") == ""


@given(rows=st.lists(st.fixed_dictionaries({"a": st.text(), "b": st.none() | st.integers()})))
def test_json_can_be_read_back(rows):
    assert json.loads(format_rows(rows, columns=["a", "b"], form="json")) == rows


TABLE = """
[narrative]
name = "read"
skip_content_generation = true
[toc]
order = ["first", "read"]
[acts]
first = "Which?"
[[acts.read.input]]
type = "table"
table_name = "content"
%s
[[acts.read.input]]
content = "Well?"
"""


def content(db, *pairs):
    for kind, text in pairs:
        db.execute("INSERT INTO content (content_type, text_content) VALUES (%s, %s)", [kind, text])


def read(db, options, answers=()):
    run = stage(db, TABLE % options, answers=answers)
    run.run()
    return json.loads(run.caller.prompt().rpartition("\n")[0])


def test_columns_order_limit_offset(db):
    content(db, ("a", "1"), ("b", "2"), ("c", "3"))
    options = 'columns = ["text_content"]\norder_by = "id DESC"\nlimit = 1\noffset = 1'

    assert read(db, options) == [{"text_content": "2"}]


def test_a_sample_is_of_that_size_and_within_the_filter(db):
    content(db, *[("a" if n % 2 else "b", str(n)) for n in range(20)])
    options = 'columns = ["content_type"]\nsample = 4\nwhere = "content_type = \'a\'"'

    assert read(db, options) == [{"content_type": "a"}] * 4


def test_a_placeholder_in_a_filter_is_a_value_never_sql(db):
    content(db, ("it's", "1"), ("other", "2"))
    options = "columns = ['text_content']\nwhere = \"content_type = '{{first}}'\""

    assert read(db, options, ["it's", "x"]) == [{"text_content": "1"}]
    assert read(db, options, ["' OR '1'='1", "x"]) == []
    bare = options.replace("'{{first}}'", "{{first}}")
    assert read(db, bare, ["it's", "x"]) == [{"text_content": "1"}]
    assert read(db, bare, ["1 OR 1=1", "x"]) == []


def test_a_required_table_has_to_be_there(db):
    with pytest.raises(ActFailed, match="no table 'none'"):
        stage(db, (TABLE % "required = true").replace('"content"', '"none"')).run()


def test_a_whole_table_is_capped_and_that_is_said(db, monkeypatch):
    monkeypatch.setattr(input_reader, "MOST_ROWS", 2)
    content(db, ("a", "1"), ("b", "2"), ("c", "3"))
    run = stage(db, TABLE % "")

    run.run()

    assert len(json.loads(run.caller.prompt().rpartition("\n")[0])) == 2
    assert "give a limit" in run.warnings[0]


def turn(text, retention=Retention.FULL, note=""):
    return Turn(role="user", pieces=(Piece(part=Part(text=text), retention=retention, note=note),))


def later(*turns):
    """What a later act still sees."""
    found = messages(turns, latest=Turn(role="user", pieces=(Piece(part=Part(text="now")),)))
    return [part.text for message in found for part in message.parts][:-1]


def test_retention_takes_effect_after_the_act():
    long = "x" * 2_000
    kept = turn(long, Retention.DROP)

    assert messages([], latest=kept)[0].text == long
    assert later(kept) == []
    assert later(turn(long, Retention.SUMMARY, "[Table: t, 3 rows queried]")) == [
        "[Table: t, 3 rows queried]"
    ]
    assert later(turn(long)) == [long]


def test_long_parts_are_summarised_by_themselves():
    assert later(turn("é" * 5_001)) == ["[Text: ~9KB]"]
    assert later(turn("é" * 5_000)) == ["é" * 5_000]
    picture = Piece(part=Part(data=b"x" * 10_001, mime="image/png"))
    assert later(Turn(role="user", pieces=(picture,))) == ["[Image: image/png]"]


def test_answers_are_kept_whole():
    said = Turn(role="assistant", pieces=(Piece(part=Part(text="y" * 20_000)),))

    assert later(turn("a"), said) == ["a", "y" * 20_000]


def test_neighbouring_turns_of_one_side_are_one_message():
    found = messages([turn("a"), turn("b")], latest=turn("c"))

    assert [(message.role, message.text) for message in found] == [("user", "a\nb\nc")]
