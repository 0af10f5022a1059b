"""The first hour of somebody new, as real processes in a home where nothing of ours has been."""

import json
import re
import shlex
import subprocess
import sys
import sysconfig
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from botticelli.store.connection import connect
from botticelli.store.embedded.server import Embedded
from tests.commandline import isolated, run_installed
from tests.database import HASTY, approved, insert
from tests.fakes.schema_values import value_for

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / "tests/store/schemas"
CLUBS = {"chess": "The Leeds chess club: openings.", "choir": "The Bristol choir: songs."}


@pytest.fixture
def run(tmp_path, postgres_home, gemini, discord):
    """`run("chess", line)` runs a line in that folder of a clean home, and holds it to `code`."""
    gemini.responder = write_and_judge
    environ = isolated(tmp_path) | {
        "XDG_STATE_HOME": str(postgres_home),
        "GOOGLE_GEMINI_BASE_URL": gemini.url,
        "DISCORD_API_BASE": discord.api,
    }

    def run(folder, line, *, code=0, **variables):
        ended = run_installed(shlex.split(line), environ=environ | variables, cwd=tmp_path / folder)
        assert ended.code == code, f"{line}: {ended.out}{ended.err}"
        assert "Traceback" not in ended.err
        return ended

    return run


def write_and_judge(call):
    """Write about the subject that the prompt's page names, something new each time."""
    schema = call.body.get("generationConfig", {}).get("responseJsonSchema")
    subject = next(
        (
            name
            for name, page in CLUBS.items()
            if page in call.prompt or f"on {name}" in call.prompt
        ),
        "",  # only the prompt that judges names neither
    )
    if schema is None:
        return f"A draft on {subject}, number {call.number}."
    value = value_for(schema, seed=str(call.number))
    for score in value.get("scores", ()):
        score.update(engagement=8, clarity=8, value=8, tone=8, polish=8)
    if "text_content" in value:
        value["text_content"] = f"On {subject}: {value['text_content']}"
    return value


def as_json(ended):
    return json.loads(ended.out)


@pytest.mark.slow
def test_two_projects_from_nothing_to_posts_in_their_channels(
    run, tmp_path, postgres_home, discord, gemini
):
    channels = {"chess": discord.channel, "choir": discord.add_channel("choir")}
    for name, about in CLUBS.items():
        line = f"init {name} --about '{about}' --channel {channels[name]} --model gemini"
        assert "GEMINI_API_KEY, DISCORD_TOKEN" in run("", line).out
        env = tmp_path / name / ".env"
        env.write_text(f"GEMINI_API_KEY={gemini.key}\nDISCORD_TOKEN={discord.token}\n")
        env.chmod(0o600)
    assert "it has no database yet" in run("chess", "check").out
    assert not (postgres_home / "botticelli/postgres").exists(), "looking creates nothing"

    run("chess", "db init")
    assert "all is well" in run("chess", "check --online").out
    assert "nothing was spent" in run("chess", "generate --iterations 1 --dry-run").out
    for name in CLUBS:  # the choir's database begins with its first candidates
        run(name, "generate --iterations 1")
        run(name, "curate --drain")
    assert f"/channels/{channels['chess']}/messages" in run("chess", "post --dry-run").out
    for name in CLUBS:
        run(name, "post")
        (text,) = discord.contents(channels[name])
        assert text.startswith(f"On {name}:")

    listed = as_json(run("", "projects --json"))["projects"]
    assert {one["name"]: one["root"] for one in listed} == {
        name: str(tmp_path / name) for name in CLUBS
    }
    assert "project chess" in run("chess", "status").out
    only_what_was_approved_is_sent(run, discord, channels["chess"])
    timers_stand_side_by_side(run, tmp_path)


def only_what_was_approved_is_sent(run, discord, channel):
    """A slip of the finger, a text that was changed by SQL, and one that was changed by `edit`."""
    first, second = (
        one["id"] for one in as_json(run("chess", "review --view approved --json"))["candidates"]
    )
    run("chess", f"reject {first}")
    run("chess", f"undo {first}")
    statement = (
        "UPDATE approved_discord_posts SET text_content = 'By SQL' WHERE candidate_id = %s"
        " RETURNING id"
    )
    with connect(run("chess", "db url").out.strip()) as conn:
        (changed,) = conn.execute(statement, (first,)).fetchone()
    run("chess", f"edit c{second} --text 'On chess: as it was edited.' --approve")

    for _ in range(2):
        run("chess", "post --now")

    assert discord.contents(channel)[1:] == ["On chess: as it was edited."]
    assert f"approve p{changed}" in run("chess", "deliveries held --json").out


def timers_stand_side_by_side(run, tmp_path):
    units = {}
    for name in CLUBS:
        run(name, "timers render --user --to units")
        files = (tmp_path / name / "units").iterdir()
        units[name] = {path.name: path.read_text() for path in files}
        service = units[name][f"botticelli-{name}-post.service"]
        assert f"--config {tmp_path / name}/botticelli.toml post" in service
    assert not set(units["chess"]) & set(units["choir"])
    assert f"cd {tmp_path}/choir && " in run("choir", "timers render --cron").out


@pytest.mark.slow
def test_a_foreign_database_is_refused_and_an_old_one_taken_over_without_loss(
    run, tmp_path, postgres_home, discord
):
    server = Embedded(postgres_home / "botticelli/postgres", settings=HASTY)
    with connect(server.ensure()) as conn:
        conn.execute((SCHEMAS / "version_4.sql").read_text(encoding="utf-8").encode())
        approved(conn, "Waits.")
        out = approved(conn, "Is out.", review_status="posted")
        insert(
            conn, "deliveries", post_id=out, destination="discord", state="posted", remote_id="7",
            posted_at=datetime.now(UTC) - timedelta(days=1),
            remote_url=f"https://discord.com/channels/1/{discord.channel}/7",
        )  # fmt: skip
        conn.execute("CREATE DATABASE shop")
    shop = server.ensure().replace("/botticelli?", "/shop?")
    with connect(shop) as conn:
        conn.execute("CREATE TABLE runs (distance numeric)")
    variables = {"DISCORD_TOKEN": discord.token}
    run("", f"init chess --about chess --channel {discord.channel} --model offline")

    for line in ("status", "pause post"):
        refused = run("chess", line, code=78, DATABASE_URL=shop, **variables).err
        assert "belongs to another application" in refused
        assert len(refused.splitlines()) == 1

    run("chess", "post --now", **variables)
    assert discord.contents() == ["Waits."]
    (only,) = as_json(run("chess", "projects --json"))["projects"]
    assert (only["name"], only["database"]) == ("chess", "botticelli")
    with connect(server.ensure()) as conn:
        rows = conn.execute("SELECT review_status FROM approved_discord_posts").fetchall()
    assert rows == [("posted",), ("posted",)]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, ROOT]
    subprocess.run(command, check=True, timeout=300, capture_output=True)
    return next(folder.glob("*.whl"))


@pytest.mark.slow
def test_a_wheel_holds_what_a_first_hour_needs_and_the_demo_runs_from_it(
    wheel, tmp_path, postgres_home
):
    """Installed into a fresh environment, whose other packages are those of this one."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    package = ROOT / "botticelli"
    for pattern in ("narratives/**/*.*", "schema.sql", "completions/*", "config/schema.json"):
        wanted = {f"botticelli/{path.relative_to(package)}" for path in package.glob(pattern)}
        assert wanted, pattern
        assert wanted <= names
    assert any(name.endswith("share/man/man1/botticelli.1") for name in names)

    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True, timeout=120)
    inside = venv / "bin/python"
    install = [inside, "-m", "pip", "install", "-q", "--no-deps", wheel]
    subprocess.run(install, check=True, timeout=120, capture_output=True)
    (site,) = venv.glob("lib/*/site-packages")
    (site / "others.pth").write_text(sysconfig.get_path("purelib"))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    words = re.search(r"demo-command -->\n```sh\n.*&& \.venv/bin/(botticelli .*)\n", readme)[1]
    empty = tmp_path / "empty"
    empty.mkdir()
    environ = isolated(tmp_path) | {"XDG_STATE_HOME": str(postgres_home)}

    done = subprocess.run(
        [venv / "bin" / words.split()[0], *words.split()[1:]],
        cwd=empty, env=environ, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip

    assert "posted: delivery 1" in done.stdout
    assert done.stderr == ""
    assert list(empty.iterdir()) == []
    shown = subprocess.run(
        [inside, "-c", "import botticelli; print(botticelli.__file__)"],
        cwd=empty, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert Path(shown.stdout.strip()).is_relative_to(venv)
