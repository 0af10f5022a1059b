"""`post`, `deliveries`, `edit` and `withdraw` as a user meets them."""

import json
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from botticelli.config.model import Config, DatabaseConfig
from tests.commandline import isolated
from tests.database import approved
from tests.posting import id_of, status_of, to_discord, to_outbox


@pytest.fixture
def command(botticelli, db_url, clock, discord):
    """The command line, set up with a database and one Discord destination."""
    botticelli.clock = clock
    botticelli.config = Config(
        database=DatabaseConfig(url=db_url, folder=Path("unused")),
        destinations={"news": to_discord(discord)},
    )
    return botticelli


def test_post_says_what_is_out_where_and_when_the_next_is_due(db, discord, command):
    post = approved(db, "hello")

    ended = command("post")

    assert ended.code == 0
    [message] = discord.messages()
    assert f"posted: delivery {id_of(db, post)} (post {post}) to 'news'" in ended.out
    assert message["id"] in ended.out
    assert "the next is due at 2026-11-24 13:00 UTC" in ended.out
    assert ended.err == ""


def test_post_before_its_time_says_when_and_why(db, command):
    approved(db)
    approved(db)
    command("post")

    ended = command("post")

    assert ended.code == 0
    assert ended.out == (
        "nothing to do: next post to 'news' is due at 2026-11-24 13:00 UTC"
        " (minimum interval 60 min)\n"
    )


def test_an_empty_queue_is_no_failure(command):
    ended = command("post")

    assert (ended.code, ended.out) == (
        0,
        "nothing to do: no approved post is waiting for 'news'\n",
    )


def test_dry_run_prints_method_url_and_json(db, discord, command):
    approved(db, "line one\nline two")

    ended = command("post --dry-run")

    assert ended.code == 0
    assert f"POST {discord.api}/channels/{discord.channel}/messages" in ended.out
    assert '"content": "line one\\nline two"' in ended.out
    assert '"enforce_nonce": true' in ended.out
    assert "mentions: passes" in ended.out
    assert discord.token not in ended.out


def test_dry_run_as_json_holds_the_same_facts(db, command):
    approved(db, "hello")

    ended = command("post --dry-run --json")

    [preview] = json.loads(ended.out)["previews"]
    assert preview["requests"][0]["json"]["content"] == "hello"


def test_trouble_is_told_on_stderr_with_its_exit_code(db, discord, command):
    approved(db)
    discord.deny("SEND_MESSAGES")

    ended = command("post")

    assert ended.code == 78
    assert ended.err == (
        "botticelli: news: the bot may see #general but not write there; give it Send Messages\n"
    )


def test_an_unknown_destination_is_a_matter_of_usage(command):
    ended = command("post --to nowhere")

    assert ended.code == 2
    assert "no destination 'nowhere'; name one of news" in ended.err


def test_a_held_post_is_listed_shown_retried_and_out(db, discord, command):
    post = approved(db, "@everyone hi")
    command("post")
    delivery = id_of(db, post)

    assert "@everyone is not among" in command("deliveries held").out
    assert "mentions: @everyone" in command(f"deliveries show {delivery}").out

    db.execute("UPDATE approved_discord_posts SET text_content = 'hi' WHERE id = %s", (post,))
    ended = command(f"deliveries retry {delivery}")
    assert (ended.code, status_of(db, post)) == (0, "pending")
    command("post")
    assert discord.contents() == ["hi"]


def test_a_doubtful_post_is_marked_by_hand_and_never_sent_again(db, discord, command, clock):
    post = approved(db)
    discord.deny("READ_MESSAGE_HISTORY")
    discord.script.add(*["500 after storing"] * 3)
    command("post")
    clock.advance(timedelta(hours=3))
    assert command("post").code == 1

    ended = command(f"deliveries mark-posted {id_of(db, post)}")

    assert (ended.code, status_of(db, post)) == (0, "posted")
    clock.advance(timedelta(hours=3))
    command("post")
    assert len(discord.messages()) == 1


def test_a_dropped_post_is_never_sent(db, discord, command):
    post = approved(db)
    command("post --dry-run")
    discord.script.add("429:30")
    command("post")

    ended = command(f"deliveries drop {id_of(db, post)}")

    assert (ended.code, status_of(db, post)) == (0, "withdrawn")
    command("post --now")
    assert discord.contents() == []


def test_a_decision_that_does_not_fit_the_state_is_refused(db, command):
    post = approved(db)
    command("post")

    ended = command(f"deliveries retry {id_of(db, post)}")

    assert ended.code == 2
    assert "it is posted; retry is for" in ended.err


def test_edit_changes_the_message_keeps_what_was_and_pings_nobody(db, discord, command):
    post = approved(db, "teh text")
    command("post")
    delivery = id_of(db, post)
    (command.cwd / "new.md").write_text("the text\n", encoding="utf-8")

    ended = command(f"edit {delivery} --file new.md")

    assert ended.code == 0, ended.err
    assert discord.contents() == ["the text"]
    [made] = discord.sent("edit_message")
    assert made.body["allowed_mentions"] == {"parse": []}
    shown = json.loads(command(f"deliveries show {delivery} --json").out)["delivery"]
    assert shown["text"] == "the text"
    assert shown["history"][-1]["was"] == "teh text"


def test_edit_asks_the_users_editor(db, discord, command):
    post = approved(db, "teh text")
    command("post")
    command.environ["EDITOR"] = "sed -i s/teh/the/"

    ended = command(f"edit {id_of(db, post)}")

    assert ended.code == 0, ended.err
    assert discord.contents() == ["the text"]


def test_edit_keeps_to_the_rules_of_the_destination(db, discord, command):
    post = approved(db, "fine")
    command("post")

    ended = command(["edit", str(id_of(db, post)), "--text", "@everyone look"])

    assert ended.code == 2
    assert "mentions" in ended.err
    assert discord.contents() == ["fine"]


def test_withdraw_takes_the_message_back_and_keeps_the_row(db, discord, command):
    post = approved(db, "sorry")
    command("post")

    delivery = id_of(db, post)

    refused = command(f"withdraw {delivery}")
    assert (refused.code, discord.contents()) == (2, ["sorry"])
    assert f"`botticelli withdraw {delivery} --yes` deletes it" in refused.err

    ended = command(f"withdraw d{delivery} --yes")

    assert (ended.code, status_of(db, post)) == (0, "withdrawn")
    assert discord.contents() == []
    query = "SELECT text_content FROM approved_discord_posts"
    assert db.execute(query).fetchone() == ("sorry",)


def test_the_outbox_takes_a_file_a_post(db, command, tmp_path):
    folder = tmp_path / "outbox"
    command.config = replace(command.config, destinations={"file": to_outbox(folder)})
    approved(db, "Grüße\n\n*from* a file")

    assert command("post").code == 0

    [file] = folder.iterdir()
    assert file.suffix == ".md"
    assert file.read_bytes().decode() == "Grüße\n\n*from* a file"


def test_a_marked_post_can_be_given_its_message_later(db, discord, command):
    post = approved(db, "teh text")
    command("post --dry-run")
    discord.script.add("429:30")
    command("post")
    delivery = id_of(db, post)
    message = discord.add_message("teh text")

    command(f"deliveries mark-posted {delivery}")
    assert f"mark-posted {delivery} --message ID" in command(f"edit {delivery} --text new").err
    ended = command(f"deliveries mark-posted {delivery} --message {message}")

    assert ended.code == 0
    shown = json.loads(command(f"deliveries show {delivery} --json").out)["delivery"]
    assert shown["remote_id"] == message


def test_an_idle_run_loads_neither_requests_nor_rich(db, db_url, tmp_path):
    script = (
        "import sys\n"
        "from botticelli.cli.shell.environment import Environment\n"
        "from botticelli.cli.main import main\n"
        "code = main(['post'], Environment.of_process())\n"
        "heavy = {'requests', 'rich', 'google.genai', 'jsonschema', 'sqlglot'} & set(sys.modules)\n"
        "print(code, sorted(heavy))\n"
    )
    environ = isolated(tmp_path) | {"DATABASE_URL": db_url, "PYTHONPATH": str(Path.cwd())}

    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environ,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )

    assert "no approved post is waiting" in done.stdout
    assert done.stdout.splitlines()[-1] == "0 []"
