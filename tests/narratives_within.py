"""A narrative that runs others within it, by act and by file; they consume rows, run commands."""

from dataclasses import replace
from textwrap import dedent

from tests.narrative.scripted import ScriptedCommands
from tests.run_context import CommandRegistry

# Own acts: plan, write. Within: two rounds of `dig` over a row of `ideas` each, and from another
# file two rounds over a row of `asides`. A post costs 2 + 2 * 2 + 2 = 8 calls and four rows.
OUTER = """
    [narrative.story]
    name = "story"
    target = "potential_discord_posts"
    toc = ["plan", "dig", "remark", "write"]
    [narrative.story.acts]
    plan = "Plan story {{iteration}}."
    remark = ["narratives.aside"]
    [narrative.story.acts.dig]
    narrative = "dig"
    [narrative.story.acts.write]
    schema = "post"
    prompt = "Write it, with {{remark}}."

    [narrative.dig]
    name = "story"
    target = "findings"
    toc = ["fetch", "look", "conclude"]
    [narrative.dig.carousel]
    iterations = 2
    [[narrative.dig.acts.fetch.input]]
    type = "table"
    table_name = "ideas"
    order_by = "id"
    limit = 1
    pull_and_delete = true
    # COMMAND
    [narrative.dig.acts]
    look = "Look at {{ideas}}."
    conclude = "Conclude, as JSON."

    [narratives.aside]
    narrative = "aside"

    [acts]
    unused = "Nobody runs this."

    [schemas.post]
    type = "object"
    required = ["text_content", "content_type"]
    [schemas.post.properties.text_content]
    type = "string"
    [schemas.post.properties.content_type]
    type = "string"
"""
COMMAND = """
    [[narrative.dig.acts.fetch.input]]
    type = "bot_command"
    platform = "discord"
    command = "messages.send"
    required = true
    args = { channel_id = "1", content = "digging" }
"""
ASIDE = """
    [narrative]
    name = "aside"
    target = "remarks"
    carousel = 2
    [toc]
    order = ["say"]
    [[acts.say.input]]
    type = "table"
    table_name = "asides"
    order_by = "id"
    limit = 1
    pull_and_delete = true
    [[acts.say.input]]
    content = "Remark on it, as JSON."
"""
CALLS = 8  # of one story


def write(folder, *, command=COMMAND):
    """Put both files into a folder; each round of `dig` runs the command."""
    (folder / "stories.toml").write_text(dedent(OUTER.replace("    # COMMAND\n", command)))
    (folder / "aside.toml").write_text(dedent(ASIDE))


def fill(conn, *, rows):
    """Make the tables that are consumed, with so many rows each."""
    for table in ("ideas", "asides"):
        conn.execute(f"CREATE TABLE {table} (id bigint PRIMARY KEY, subject text)")
        conn.execute(
            f"INSERT INTO {table} SELECT n, '{table} ' || n FROM generate_series(1, %s) AS n",
            [rows],
        )


def with_discord(context):
    """Return the context with a Discord that notes what it is told, and that Discord."""
    discord = ScriptedCommands(results={"messages.send": {"id": "7"}})
    registry = CommandRegistry(executors={"discord": discord})
    return replace(context, open_commands=lambda _conn: registry), discord


def answer(call):
    """Answer a call with the subject of its row, if it has one: no two prompts get the same."""
    prompt = call.prompt
    if call.schema is not None:
        return {"text_content": f"A post for: {prompt}", "content_type": "x"}
    if "as JSON" in prompt[-40:]:
        return f'{{"about": "{_subject(prompt)}"}}'
    return f"Thoughts on {prompt[-60:]}"


def _subject(prompt):
    import re

    return re.findall(r'"subject": "([^"]*)"', prompt)[-1]


def whereabouts(conn):
    """Table -> (subjects left in the source, subjects that something was made of), sorted."""
    found = {}
    for source, made in (("ideas", "findings"), ("asides", "remarks")):
        left = [row[0] for row in conn.execute(f"SELECT subject FROM {source} ORDER BY 1")]
        there = conn.execute("SELECT to_regclass(%s)", [made]).fetchone()[0]
        rows = conn.execute(f"SELECT about FROM {made} ORDER BY 1") if there else ()
        found[source] = (left, [row[0] for row in rows])
    return found
