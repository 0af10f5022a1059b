"""The whole line for acceptance tests: commands, PostgreSQL, Gemini and Discord on loopback."""

import pytest

from tests.commandline import isolated, run_installed


@pytest.fixture
def environ(gemini, discord, db_url, tmp_path):
    """Variables of a user with keys for all that is outside; a test may add to them."""
    return isolated(tmp_path) | {
        "DATABASE_URL": db_url,
        "GEMINI_API_KEY": gemini.key,
        "GOOGLE_GEMINI_BASE_URL": gemini.url,
        "DISCORD_TOKEN": discord.token,
        "DISCORD_API_BASE": discord.api,
        "POSTING_CHANNEL_ID": discord.channel,
    }


@pytest.fixture
def line(environ, tmp_path):
    """`line("generate")` runs that command as a process with keys for all that is outside."""
    return lambda words: run_installed(words, environ=environ, cwd=tmp_path)


@pytest.fixture
def generous(gemini):
    """A judge that likes everything, and a writer that writes something new each time."""
    from tests.fakes.schema_values import value_for

    def respond(call):
        schema = call.body.get("generationConfig", {}).get("responseJsonSchema")
        if schema is None:
            return f"A draft, number {call.number}."
        value = value_for(schema, seed=str(call.number))
        if "scores" in value:
            for score in value["scores"]:
                score.update(engagement=8, clarity=8, value=7, tone=8, polish=8)
            return value
        return value | {
            "text_content": f"Post number {call.number}: what did you build this week? " * 2
        }

    gemini.responder = respond
