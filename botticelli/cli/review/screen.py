"""The full-screen list of `botticelli review`; works over ssh, with the keyboard alone."""

import sys
from collections.abc import Callable
from contextlib import closing
from typing import ClassVar, Final, TypeVar

from rich.console import Group
from rich.table import Table
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import DataTable, Footer, Input, Label, Static, TextArea

from botticelli.cli.reports.trace import judged_facts, rendition_facts
from botticelli.cli.shared.choices import STATUSES, View
from botticelli.cli.shared.pictures import drawn, picture_facts
from botticelli.cli.shell.environment import Environment
from botticelli.errors import BotticelliError
from botticelli.store import media
from botticelli.store.connection import Connection, mapped_errors
from botticelli.store.curation import reviews
from botticelli.store.curation.reviews import Decision, Reviewed
from botticelli.store.curation.undo import undo
from botticelli.store.delivery import renditions
from botticelli.text import shorten, visible

WORDS: Final = {View.OPEN: "to decide", View.APPROVED: "approved", View.REJECTED: "rejected"}
LOOKS: Final = {
    "approved": "green",
    "rejected": "red",
    "held": "yellow",
    "proposed": "bold cyan",
    "posted": "green",
    "changed": "bold red",
}
WIDE: Final = 100  # columns, from which on list and text stand side by side
BESIDE: Final = 24  # columns of the list that are no text
T = TypeVar("T")


def describe(one: Reviewed) -> Text:
    """Return all about a candidate: scores, text, notes, reasons, what people did."""
    text = Text(f"candidate {one.id}  ", style="bold")
    text.append(one.status, style=LOOKS.get(one.status, ""))
    if one.total is not None:
        text.append(f"  {one.total:g} of 50", style="bold")
    text.append("\n\n")
    if not one.repeats_text:
        text.append(visible(one.text_content) + "\n\n")
    for name, points in one.scores.items():
        if points is not None:
            text.append(f"{name:<11}{points:>3} ")
            text.append("━" * points, style="green" if points >= 7 else "yellow")
            text.append("━" * (10 - points) + "\n", style="dim")
    for name, value in _facts(one):
        text.append(f"\n{name}: ", style="bold")
        text.append(visible(value))
    return text


def beside(one: Reviewed) -> Table | None:
    """Return a text beside what it may repeat, else beside its source; None if there is neither."""
    other = one.repeats_text or (one.made_of or {}).get("text")
    if not other:
        return None
    table = Table(box=None, padding=(0, 1, 1, 0), show_edge=False, expand=True)
    table.add_column(f"c{one.id}", ratio=1)
    table.add_column(one.repeats if one.repeats_text else "its source", ratio=1)
    table.add_row(Text(visible(one.text_content)), Text(visible(other)))
    return table


def _facts(one: Reviewed) -> list[tuple[str, str]]:
    facts = [
        ("why", one.why),
        *judged_facts(one),
        ("judge", one.judge_model or ""),
        ("repeats", one.repeats),
        ("source", one.source_words),
        ("title", one.title or ""),
        ("link", one.link or ""),
        ("language", one.language or ""),
        *rendition_facts(one.renditions),
        *picture_facts(one.pictures),
        ("from", " by ".join(filter(None, (one.source_narrative, one.generation_model)))),
        ("written", f"{one.generated_at:%Y-%m-%d %H:%M %Z}"),
    ]
    for event in one.history:
        facts.append((event["event"], f"{event['at'][:16].replace('T', ' ')} by {event['by']}"))
        if event.get("note"):
            facts.append(("note", event["note"]))
    return [(name, value) for name, value in facts if value]


class Note(ModalScreen[str | None]):
    """Asks for the reason of a decision; None if canceled."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "cancel")]

    def __init__(self, decision: Decision) -> None:
        super().__init__()
        self._decision = decision

    def compose(self) -> ComposeResult:
        """See Screen."""
        with Vertical(id="box"):
            yield Label(f"Why do you {self._decision} it? enter: confirm, escape: cancel")
            yield Input()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Give the note back."""
        self.dismiss(event.value)

    def action_cancel(self) -> None:
        """Give nothing back."""
        self.dismiss(None)


class Editor(ModalScreen[tuple[str, bool] | None]):
    """Edits a text; the text and whether to approve it, or None if canceled."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "save(False)", "save", priority=True),
        Binding("ctrl+o", "save(True)", "save and approve", priority=True),
        Binding("escape", "cancel", "cancel", priority=True),
    ]

    def __init__(self, text: str, *, of: str = "") -> None:
        super().__init__()
        self._text = text
        self._of = of

    def compose(self) -> ComposeResult:
        """See Screen."""
        with Vertical(id="box"):
            yield Label(f"{self._of}ctrl+s: save, ctrl+o: save and approve, escape: cancel")
            yield TextArea(self._text)

    def action_save(self, approve: bool) -> None:
        """Give the new text back."""
        self.dismiss((self.query_one(TextArea).text, approve))

    def action_cancel(self) -> None:
        """Give nothing back."""
        self.dismiss(None)


class ReviewApp(App[None]):
    """The list on the left, the candidate under the cursor on the right."""

    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (WIDE, "-wide")]  # noqa: RUF012 - as the base has it
    CSS = """
    DataTable { width: 2fr; overflow-x: hidden; }
    #detail { width: 3fr; padding: 0 1; border-left: solid $primary; }
    .-narrow #both { layout: vertical; }
    .-narrow DataTable { width: 100%; height: 7; }
    .-narrow #detail { width: 100%; height: 1fr; border-left: none; border-top: solid $primary; }
    #title { background: $primary; padding: 0 1; width: 100%; }
    Note, Editor { align: center middle; }
    Note #box { width: 70; height: 6; border: solid $primary; background: $surface; }
    Editor #box { width: 90%; height: 80%; border: solid $primary; background: $surface; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "decide('approve')", "approve"),
        Binding("r", "decide('reject')", "reject"),
        Binding("h", "decide('hold')", "hold"),
        Binding("e", "edit", "edit"),
        Binding("d", "edit_rendition", "forms"),
        Binding("u", "undo", "undo"),
        Binding("v", "view", "view", show=False),
        Binding("n,j", "move(1)", show=False),
        Binding("p,k", "move(-1)", show=False),
        Binding("tab", "turn", "list", priority=True),
        Binding("space", "scroll", show=False),
        Binding("q", "quit", "quit"),
        Binding("A", "decide_with_note('approve')", show=False),
        Binding("R", "decide_with_note('reject')", "note", key_display="A/R/H"),
        Binding("H", "decide_with_note('hold')", show=False),
        Binding("g", "reload", "reload", show=False),
    ]

    def __init__(self, env: Environment, *, view: View, limit: int) -> None:
        super().__init__()
        self._env = env
        self._view = view
        self._limit = limit
        self._shown: list[Reviewed] = []

    def compose(self) -> ComposeResult:
        """See App."""
        yield Static(id="title")
        with Horizontal(id="both"):
            yield DataTable[Text](cursor_type="row")
            with VerticalScroll(id="detail", can_focus=False):
                yield Static(id="text")
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        """Show the first list."""
        table = self._table
        for name in ("id", "status", "score", "text"):
            table.add_column(name, key=name)
        table.focus()
        self._load()

    @property
    def _table(self) -> "DataTable[Text]":
        return self.query_one(DataTable)

    @property
    def _current(self) -> Reviewed | None:
        row = self._table.cursor_row
        return self._shown[row] if 0 <= row < len(self._shown) else None

    def _do(self, work: Callable[[Connection], T]) -> T:
        """Return what `work` returns on a connection of its own: a review may take all day.

        Raises:
            BotticelliError: It cannot be done; nothing was changed.
        """
        with mapped_errors(), closing(self._env.connect()) as conn:
            return work(conn)

    def _load(self) -> None:
        statuses, most = STATUSES[self._view], self._limit
        try:
            found = self._do(
                lambda conn: reviews.list_candidates(conn, statuses=statuses, limit=most)
            )
        except BotticelliError as error:
            self._complain(error)
            return
        self._shown = list(found)
        table = self._table
        table.clear()
        for one in self._shown:
            table.add_row(*self._cells(one), key=str(one.id))
        self._describe()

    def on_data_table_row_highlighted(self) -> None:
        """Show the candidate that the cursor has come to."""
        self._describe()

    def _describe(self) -> None:
        one = self._current
        empty = Text("no candidates; tab: other lists, g: reload, q: quit")
        both = beside(one) if one else None
        shown = describe(one) if one else empty
        self.query_one("#text", Static).update(Group(both, shown) if both else shown)
        place = self._table.cursor_row + 1 if one else 0
        title = f"{WORDS[self._view]}: {place} of {len(self._shown)}"
        self.query_one("#title", Static).update(Text(title))
        self.query_one("#detail").scroll_home(animate=False)

    def action_decide(self, decision: Decision) -> None:
        """Decide about the candidate under the cursor, and go on to the next."""
        self._decide(decision, "")

    def action_decide_with_note(self, decision: Decision) -> None:
        """Ask why, then decide."""

        def go_on(note: str | None) -> None:
            if note is not None:
                self._decide(decision, note)

        if self._current:
            self.push_screen(Note(decision), go_on)

    def _decide(self, decision: Decision, note: str) -> None:
        def decide(conn: Connection, one: Reviewed) -> Reviewed:
            by = self._env.user
            [found] = reviews.decide(conn, [one.id], decision, by=by, note=note, seen=[one])
            return found

        if self._change(decide):
            self.action_move(1)

    def action_undo(self) -> None:
        """Take back the last decision or edit of the candidate under the cursor."""
        self._change(lambda conn, one: undo(conn, [one.id], by=self._env.user, seen=[one])[0])

    def _change(self, change: Callable[[Connection, Reviewed], Reviewed]) -> bool:
        """Change the candidate under the cursor, and show it as it is then.

        Where that is impossible, why is shown, too.
        """
        one = self._current
        if one is None:
            return False
        try:
            self._replace(self._do(lambda conn: change(conn, one)))
        except BotticelliError as error:
            self._complain(error)
            try:
                self._replace(self._do(lambda conn: reviews.find_candidates(conn, [one.id])[0]))
            except BotticelliError as again:
                self._complain(again)
            return False
        return True

    def action_view(self) -> None:
        """Show the pictures of the candidate under the cursor, where the terminal can."""
        one = self._current
        if one is None or not one.pictures:
            return
        found = self._do(lambda conn: media.attached(conn, candidate_id=one.id))
        if self.is_headless:
            return
        with self.suspend():
            for each in found:
                sys.stdout.write(drawn(each.picture, on=sys.stdout, environ=self._env.environ))
            for name, words in picture_facts(one.pictures):
                sys.stdout.write(f"{name}: {visible(words)}\n")
            input("enter: back to the list ")

    def action_edit(self) -> None:
        """Change the text of the candidate under the cursor."""
        one = self._current
        if one is None:
            return

        def go_on(edited: tuple[str, bool] | None) -> None:
            if edited is None:
                return
            text, approve = edited
            by = self._env.user
            if text != one.text_content:
                self._change(
                    lambda conn, _: reviews.edit(
                        conn, one.id, text=text, by=by, seen=one, approve=approve
                    )
                )
            elif approve:
                self._decide("approve", "")

        self.push_screen(Editor(one.text_content), go_on)

    def action_edit_rendition(self) -> None:
        """Change what destinations get in place of the post under the cursor, one by one."""
        one = self._current
        if one is None or one.post_id is None or not one.renditions:
            self.notify("every destination gets the post itself", timeout=5)
            return
        post_id, left = one.post_id, list(one.renditions)

        def ask() -> None:
            if left:
                of = f"for '{left[0]['destination']}'; "
                self.push_screen(Editor(left[0]["text"], of=of), go_on)

        def go_on(edited: tuple[str, bool] | None) -> None:
            mine = left.pop(0)
            if edited and edited[0] != mine["text"]:
                to, text, by = mine["destination"], edited[0], self._env.user

                def change(conn: Connection, one: Reviewed) -> Reviewed:
                    renditions.edit(conn, post_id, to, text=text, by=by)
                    return reviews.find_candidates(conn, [one.id])[0]

                self._change(change)
            if edited:
                ask()

        ask()

    def action_move(self, rows: int) -> None:
        """Move the cursor."""
        self._table.move_cursor(row=self._table.cursor_row + rows)

    def action_turn(self) -> None:
        """Turn to the next list."""
        views = list(View)
        self._view = views[(views.index(self._view) + 1) % len(views)]
        self._load()

    def action_scroll(self) -> None:
        """Show what is below in the candidate's text; from its end the beginning again."""
        detail = self.query_one("#detail")
        if detail.scroll_offset.y >= detail.max_scroll_y:
            detail.scroll_home(animate=False)
        else:
            detail.scroll_page_down(animate=False)

    def action_reload(self) -> None:
        """Read the list again."""
        self._load()

    def _replace(self, found: Reviewed) -> None:
        """Show a candidate as it is now; it stays in the list, so that one can think again."""
        for row, one in enumerate(self._shown):
            if one.id == found.id:
                self._shown[row] = found
        for name, cell in zip(("id", "status", "score", "text"), self._cells(found), strict=True):
            self._table.update_cell(str(found.id), name, cell)
        self._describe()

    def _complain(self, error: BotticelliError) -> None:
        self.notify(str(error), severity="error", timeout=10, markup=False)

    def _cells(self, one: Reviewed) -> tuple[Text, ...]:
        width = self.size.width
        room = (width * 2 // 5 if width >= WIDE else width) - BESIDE
        score = "-" if one.total is None else f"{one.total:g}"
        return (
            Text(str(one.id), justify="right"),
            Text(one.status, style=LOOKS.get(one.status, "")),
            Text(score, justify="right"),
            Text(visible(shorten(one.text_content, room))),
        )
