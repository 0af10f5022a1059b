"""Every command: its module, its line in `--help`, and the heading it stands below.

The line is the first line of the command's docstring; a test holds the two together.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple


class Registration(NamedTuple):
    """A line of the table: where a command lives, and what it does."""

    module: str
    help: str


TABLE: Final[Mapping[str, Mapping[str, tuple[str, str]]]] = {
    "Pipeline": {
        "collect": ("work.collect", "Read the sources for things to write about."),
        "generate": ("work.generate", "Write candidate posts with a language model."),
        "curate": ("work.curate", "Score pending candidates and approve the best."),
        "adapt": ("work.adapt", "Shorten approved posts for destinations that take less."),
        "learn": (
            "work.learn",
            "Propose house rules from what people edited, rejected and approved.",
        ),
        "post": ("work.post", "Publish the next approved post that is due."),
        "observe": (
            "work.observe",
            "Count what readers did with posts: reactions, replies, reposts.",
        ),
        "pause": ("work.control", "Pause a stage: its runs do nothing until it is resumed."),
        "resume": ("work.control", "Resume a paused stage and close its circuit breaker."),
    },
    "Review": {
        "review": ("review.decide", "Review candidates in the terminal."),
        "approve": ("review.decide", "Approve candidates for publication, in this order."),
        "reject": ("review.decide", "Reject candidates, approved but unsent ones included."),
        "hold": ("review.decide", "Hold candidates back for a later decision."),
        "undo": ("review.decide", "Take back the last decision or edit."),
        "content": ("review.content", "List, tag and promote what narratives produced."),
        "rules": ("review.rules", "List house rules; accept, edit or drop what was proposed."),
        "desk": ("work.desk", "Review, calendar and figures in a browser."),
        "trace": ("reports.trace", "Show the history of a post."),
        "experiments": (
            "review.experiments",
            "Show where each experiment stands and what it still needs.",
        ),
        "schedule": (
            "review.calendar",
            "Pin an approved post to an instant: it goes first, and not before.",
        ),
        "unschedule": ("review.calendar", "Let a pinned post go out in its rhythm again."),
        "calendar": (
            "review.calendar",
            "Show what was posted, what is pinned and what the rhythm will do.",
        ),
        "deliveries": ("review.deliveries", "List deliveries and settle uncertain ones."),
        "edit": ("review.deliveries", "Edit a post, published or not."),
        "withdraw": ("review.deliveries", "Delete a published post from its channel."),
        "approvals": ("review.approvals", "Approve or deny bot commands that wait for it."),
    },
    "Narratives": {
        "run": ("work.run", "Run a narrative from a file."),
        "sources": ("work.collect", "List the sources with what was found there."),
        "themes": (
            "review.calendar",
            "Show the themes of the year: what is written about when.",
        ),
        "narratives": ("reports.narratives", "List narratives and check them for errors."),
        "models": ("reports.models", "List models, test one, or install a local one."),
        "budget": ("reports.budget", "Show how much of each model's limits is left."),
        "commands": ("work.command", "List the bot commands that narratives can run."),
        "command": ("work.command", "Run one bot command."),
        "state": ("reports.state", "Show and change the values that narratives keep."),
    },
    "Operate": {
        "status": ("reports.status", "Show stages, queues, destinations and budget."),
        "health": ("reports.health", "Print one line of health; exit with 1 if unhealthy."),
        "doctor": ("reports.doctor", "Find what does not work here and how to fix it."),
        "runs": ("reports.runs", "List recent runs with their results and costs."),
        "insights": (
            "reports.insights",
            "Show what can be learned from readers, editors and costs.",
        ),
        "report": ("reports.report", "Write the figures of the last days as one HTML file."),
        "logs": ("reports.runs", "Show what a run did, step by step."),
        "metrics": ("reports.metrics", "Print metrics in the Prometheus text format."),
        "locks": ("work.control", "List the stage locks that are held; release one."),
    },
    "Set up": {
        "demo": ("work.demo", "Run the whole pipeline here, without a key or a server."),
        "init": ("setup.init", "Create a project: ABOUT.md, settings, narratives."),
        "connect": ("setup.connect", "Get the credentials of a platform and keep them."),
        "projects": ("reports.projects", "List the projects of this user with their databases."),
        "import": (
            "setup.import_earlier",
            "Convert the earlier system's files to botticelli.toml.",
        ),
        "trust": ("setup.trust", "Trust a narrative or a project with what it asks for."),
        "check": ("reports.check", "Check configuration, narratives and destinations."),
        "timers": ("setup.timers", "Install systemd timers or a crontab for the stages."),
        "notify": ("setup.notify", "Notify hooks of a failed systemd unit (OnFailure=)."),
        "db": ("setup.db", "Back up, migrate, prune and inspect the database."),
        "completion": ("shell.completion", "Print the completion script for a shell."),
    },
}
HEADINGS: Final = {
    heading: {name: Registration(*row) for name, row in rows.items()}
    for heading, rows in TABLE.items()
}
COMMANDS: Final = {name: each for rows in HEADINGS.values() for name, each in rows.items()}
