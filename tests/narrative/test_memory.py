"""Commands of an item that is resumed are run once; what may have been done is not done again."""

from dataclasses import replace

import pytest

from botticelli.narrative.answers.answer import Answer
from botticelli.narrative.errors import ActFailed
from botticelli.narrative.run.results import ActResult, ActState, Execution
from botticelli.narrative.run.resume import ResumeState
from tests.narrative.scripted import STARTED, stage

SENDING = """
[narrative]
name = "n"
skip_content_generation = true
[toc]
order = ["send", "write"]
[acts]
write = "Write about {{send.id}}."
[[acts.send.input]]
type = "bot_command"
platform = "discord"
command = "messages.send"
required = %s
args = { channel_id = "1", content = "hello" }
"""


class Killed(BaseException):
    """What no code can clean up after."""


def killing(_call):
    raise Killed


@pytest.fixture
def item(db):
    """The id of an item under way."""
    batch = db.execute("INSERT INTO batches (narrative) VALUES ('n') RETURNING id").fetchone()[0]
    query = "INSERT INTO generation_items (batch_id, narrative, iteration) VALUES (%s, 'n', 1)"
    return db.execute(f"{query} RETURNING id", [batch]).fetchone()[0]


def run(db, item, *, sends, answers=(), required="true"):
    """Run it as the item; return the scripted stage and the execution."""
    made = stage(db, SENDING % required, answers=answers, discord={"messages.send": sends})
    return made, made.run(item_id=item)


def test_a_command_that_was_done_is_not_done_again(db, item):
    with pytest.raises(Killed):
        run(db, item, sends={"id": "7"}, answers=[Killed()])

    again, _ = run(db, item, sends={"id": "8"})

    assert again.discord.calls == []
    assert again.caller.prompt().endswith("Write about 7.")


@pytest.mark.parametrize("required", ["true", "false"])
def test_a_command_that_may_have_been_done_is_not_done_again(db, item, required):
    with pytest.raises(Killed):
        run(db, item, sends=killing, required=required)

    if required == "true":
        with pytest.raises(ActFailed, match=r"not tried again.*look there"):
            run(db, item, sends={"id": "8"})
    else:
        again, execution = run(db, item, sends={"id": "8"}, required=required)
        assert [act.state for act in execution.acts] == [ActState.FAILED, ActState.SKIPPED]
        assert again.discord.calls == []


def test_a_command_that_failed_may_be_tried_again(db, item):
    with pytest.raises(ActFailed):
        stage(db, SENDING % "true", discord={}).run(item_id=item)

    again, _ = run(db, item, sends={"id": "8"})

    assert len(again.discord.calls) == 1


def test_a_run_within_that_was_finished_is_found_as_it_was(db, item):
    """Its failures are those of its caller, and its results are read by the acts after it."""
    answer = Answer(text="said", model="m", execution_id=3)
    failed = ActResult(
        name="make",
        sequence=0,
        state=ActState.FAILED,
        reason="no room",
        values=({"id": "7"},),
        nouns=("channel",),
    )
    said = ActResult(name="say", sequence=1, text="said", prompt="Say.", answer=answer)
    execution = Execution(
        narrative="n", iteration=2, acts=(failed, said), warnings=("odd",), started_at=STARTED
    )
    within = ResumeState(conn=db, item_id=item, place="1/dig#1/")

    within.finish(execution)

    kept = replace(said, prompt="", answer=replace(answer, reused=True))
    assert within.finished() == replace(execution, acts=(failed, kept))
    assert replace(within, place="1/dig#2/").finished() is None
