"""Every command, the module it lives in and its line in `--help`.

The line is the first line of the command's docstring; a test holds the two together.
"""

from typing import Final, NamedTuple


class Command(NamedTuple):
    """Where a command lives, and what it is for."""

    module: str
    help: str


COMMANDS: Final = {
    "demo": Command("demo", "Show the whole line at work: no key, no server, no questions."),
    "init": Command("init", "Write a starter project: botticelli.toml, narratives, .env.example."),
    "import": Command("importing", "Turn actor_server.toml and its actors into a botticelli.toml."),
    "check": Command("check", "Find everything a timer could trip over, in one run."),
    "doctor": Command("doctor", "Look whether everything works here, and say how to mend it."),
    "generate": Command("generate", "Have a model write candidate posts."),
    "curate": Command("curate", "Have a model judge the candidates and approve the best few."),
    "review": Command(
        "review", "Look at candidates on the whole terminal: approve, reject, hold, edit."
    ),
    "approve": Command("decide", "Approve candidates: their posts are sent in this order."),
    "reject": Command(
        "decide", "Reject candidates; approved posts that are not out yet are taken back."
    ),
    "hold": Command("decide", "Hold candidates, approved ones too, until somebody decides."),
    "trace": Command("trace", "Tell the whole life of a post."),
    "post": Command("post", "Publish the next approved post that is due."),
    "status": Command("status", "Show the stages, queues, destinations and budget."),
    "metrics": Command("metrics", "Tell the figures in Prometheus' text format."),
    "runs": Command("runs", "List the latest runs: when, how they ended, what they cost."),
    "logs": Command("runs", "Tell what a run did, step by step, with times, costs and errors."),
    "health": Command(
        "health", "Tell in one line whether all is well; exit code 0 if it is, else 1."
    ),
    "run": Command("run", "Run a narrative from any file."),
    "narratives": Command("narratives", "List and validate narratives."),
    "content": Command("content", "Look at candidates and posts, and decide about them by hand."),
    "deliveries": Command("deliveries", "Show deliveries and settle doubtful ones."),
    "edit": Command("edit", "Change a published post."),
    "withdraw": Command("edit", "Take a published post back."),
    "budget": Command("budget", "Show what the models may still use."),
    "models": Command("models", "Show the models, their limits and prices."),
    "commands": Command("command", "List the bot commands that narratives can run."),
    "command": Command(
        "command", "Run one bot command by hand; its arguments follow as --name value."
    ),
    "approvals": Command("approvals", "Confirm or deny bot commands that wait for a person."),
    "state": Command("state", "Look at what narratives keep for later: ids, mostly."),
    "pause": Command("stages", "Stop a stage from doing anything until it is resumed."),
    "resume": Command("stages", "Let a paused stage work again."),
    "locks": Command("locks", "Show who holds the stages' locks; free one."),
    "timers": Command("timers", "Write, install and watch systemd timers or a crontab."),
    "notify": Command(
        "notify", "Tell the hooks that a systemd unit failed; its OnFailure runs this."
    ),
    "db": Command("db", "Look after the database."),
    "completion": Command(
        "completion", "Print the script that completes command lines in a shell."
    ),
}
