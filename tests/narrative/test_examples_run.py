"""Every example file and every shipped narrative runs, against a scripted model and platform."""

import json
from hashlib import sha256
from pathlib import Path

import pytest

from botticelli.errors import BotticelliError
from botticelli.models.offline.fill import fill
from botticelli.narrative.commands.database import DatabaseCommands
from botticelli.narrative.language.load import load_file, shipped_narratives
from tests.narrative.scripted import stage

EXAMPLES = Path(__file__).parents[1] / "narratives" / "examples"
FILES = [*sorted(EXAMPLES.glob("*.toml")), *sorted(shipped_narratives().glob("*.toml"))]
RUNS = [
    pytest.param(path, key, id=f"{path.stem}:{key}")
    for path in FILES
    for key in load_file(path).narratives
]


# Examples of what cannot run: a file or an act that is not there, an act that needs itself.
STOPPED = {
    "friendly_syntax": "no file",
    "inputs_of_all_kinds": "no file",
    "publish_rules": "create_channel.id",
}
# Examples that name tables which nobody has made.
WITHOUT_TABLES = {"table_references", "content_workflow"}


class EveryVariable(dict):
    """An environment in which everything is set."""

    def get(self, key, default=None):
        return "4711"

    def __getitem__(self, key):
        return "4711"


def answer(request, key):
    if request.image is not None:
        return json.dumps({"sha256": sha256(b"drawn").hexdigest()})
    if request.schema is not None:
        return json.dumps(fill(request.schema))
    return json.dumps({"text_content": f"{key.act_name} {key.iteration}", "tags": ["a"]})


class EveryCommand(dict):
    """A platform on which every command succeeds."""

    def __contains__(self, command):
        return True

    def __getitem__(self, command):
        return {"id": "1", "channel_id": "2", "message_id": "3", "name": "general"}


@pytest.mark.parametrize(("path", "key"), RUNS)
def test_it_runs(db, tmp_path, path, key):
    db.execute(
        "INSERT INTO potential_discord_posts (text_content, source) VALUES ('a', 'b'), ('c', 'd')"
    )
    db.execute("INSERT INTO approved_discord_posts (text_content) VALUES ('e')")
    db.execute(
        "INSERT INTO media (sha256, mime, content) VALUES (%s, 'image/png', 'drawn')",
        [sha256(b"drawn").hexdigest()],
    )
    state = dict.fromkeys(("id", "channel_id", "TEST_CHANNEL_ID", "TEST_MESSAGE_ID"), "5")
    state |= {"TEST_ROLE_ID": "6", "discord.channels.create.id": "7"}
    for name, value in state.items():
        db.execute("INSERT INTO narrative_state (key, value) VALUES (%s, %s)", [name, value])
    database = DatabaseCommands(
        conn=db, writable=("approved_discord_posts", "content"), approves=True
    )
    run = stage(
        db,
        "",
        file=load_file(path),
        answers=[answer] * 500,
        discord=EveryCommand(),
        environ=EveryVariable(),
        executors={"database": database},
        cwd=EXAMPLES,
        variables={"recent_posts": "(none)", "previous_output": "{}", "input": "x"},
    )

    if path.stem in STOPPED:
        with pytest.raises(BotticelliError, match=STOPPED[path.stem]):
            run.carousel(key)
        return
    executions = run.carousel(key)

    assert [line for execution in executions for line in execution.failures] == []
    if path.stem not in WITHOUT_TABLES:
        assert not any("stays as it is" in line for line in run.warnings), run.warnings
