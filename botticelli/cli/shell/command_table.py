"""Every command, the module it lives in and its line in `--help`.

The line is the first line of the command's docstring; a test holds the two together.
"""

from typing import Final, NamedTuple


class Command(NamedTuple):
    """Where a command lives, and what it is for."""

    module: str
    help: str


COMMANDS: Final = {
    "demo": Command("work.demo", "Show the whole line at work: no key, no server, no questions."),
    "init": Command(
        "setup.init", "Write a starter project: botticelli.toml, narratives, .env.example."
    ),
    "import": Command(
        "setup.import_actors", "Turn actor_server.toml and its actors into a botticelli.toml."
    ),
    "check": Command("reports.check", "Find everything a timer could trip over, in one run."),
    "doctor": Command(
        "reports.doctor", "Look whether everything works here, and say how to fix it."
    ),
    "generate": Command("work.generate", "Have a model write candidate posts."),
    "curate": Command("work.curate", "Have a model judge the candidates and approve the best few."),
    "review": Command(
        "review.review", "Look at candidates on the whole terminal: approve, reject, hold, edit."
    ),
    "approve": Command("review.decide", "Approve candidates: their posts are sent in this order."),
    "reject": Command(
        "review.decide", "Reject candidates; approved posts that are not out yet are taken back."
    ),
    "hold": Command("review.decide", "Hold candidates, approved ones too, until somebody decides."),
    "trace": Command("reports.trace", "Tell the whole life of a post."),
    "post": Command("work.post", "Publish the next approved post that is due."),
    "status": Command("reports.status", "Show the stages, queues, destinations and budget."),
    "metrics": Command("reports.metrics", "Tell the figures in Prometheus' text format."),
    "runs": Command("reports.runs", "List the latest runs: when, how they ended, what they cost."),
    "logs": Command(
        "reports.runs", "Tell what a run did, step by step, with times, costs and errors."
    ),
    "health": Command(
        "reports.health", "Tell in one line whether all is well; exit code 0 if it is, else 1."
    ),
    "run": Command("work.run", "Run a narrative from any file."),
    "narratives": Command("reports.narratives", "List and validate narratives."),
    "content": Command(
        "review.content", "Look at candidates and posts, and decide about them by hand."
    ),
    "deliveries": Command("review.deliveries", "Show deliveries and settle doubtful ones."),
    "edit": Command("review.edit", "Change a published post."),
    "withdraw": Command("review.edit", "Take a published post back."),
    "budget": Command("reports.budget", "Show what the models may still use."),
    "models": Command("reports.models", "Show the models, their limits and prices."),
    "commands": Command("work.command", "List the bot commands that narratives can run."),
    "command": Command(
        "work.command", "Run one bot command by hand; its arguments follow as --name value."
    ),
    "approvals": Command(
        "review.approvals", "Confirm or deny bot commands that wait for a person."
    ),
    "state": Command("reports.state", "Look at what narratives keep for later: ids, mostly."),
    "pause": Command("work.pause", "Stop a stage from doing anything until it is resumed."),
    "resume": Command("work.pause", "Let a paused stage work again."),
    "locks": Command("work.locks", "Show who holds the stages' locks; free one."),
    "timers": Command("setup.timers", "Write, install and watch systemd timers or a crontab."),
    "notify": Command(
        "setup.notify", "Tell the hooks that a systemd unit failed; its OnFailure runs this."
    ),
    "db": Command("setup.db", "Look after the database."),
    "completion": Command(
        "shell.completion", "Print the script that completes command lines in a shell."
    ),
}
