"""Words of the earlier system's command line, and what takes their place."""

from collections.abc import Mapping
from typing import Final

COMMANDS: Final[Mapping[str, str]] = {
    "tui": "botticelli review, or botticelli content list TABLE",
    "server": "botticelli timers install, or botticelli generate, curate and post by themselves",
    "actor-server": "botticelli timers install; its files: botticelli import, then check",
    "actor": "botticelli import for its file, then botticelli generate, curate and post",
    "bot": "botticelli generate, curate and post",
    "validate": "botticelli check FILE",
    "list": "botticelli runs",
    "show": "botticelli logs RUN",
    "mcp": "botticelli run FILE: models get commands and tables from a narrative",
    "migrate": "botticelli db migrate",
    "narrate": "botticelli run FILE.NAME",
    "content export": "botticelli content list TABLE --format json",
    "content delete": "botticelli content review TABLE ID rejected",
    "content update": "botticelli content tag TABLE ID, or botticelli edit ID",
}
OPTIONS: Final[Mapping[str, str]] = {
    "--tier": "[models] tier in botticelli.toml",
    "--backend": "--model NAME",
    "-b": "--model NAME",
    "--rpm": "--rpm-multiplier, or [models.limits]",
    "--tpm": "--tpm-multiplier, or [models.limits]",
    "--rpd": "--rpd-multiplier, or [models.limits]",
    "--max-concurrent": "[models] max_concurrent in botticelli.toml",
    "--cost-input": "[models.prices] in botticelli.toml",
    "--cost-output": "[models.prices] in botticelli.toml",
    "--no-rate-limit": '[models] tier = "none" in botticelli.toml',
    "--no-retry": "[models] max_attempts = 1 in botticelli.toml",
    "--only": "one of botticelli generate, curate and post",
    "--database-url": "DATABASE_URL",
    "--discord-token": "DISCORD_TOKEN",
}


def successor(words: Mapping[str, str], word: str) -> str:
    """Return a hint that names what takes the place of a word; empty if it is none of theirs."""
    return f"use {words[word]}" if word in words else ""
