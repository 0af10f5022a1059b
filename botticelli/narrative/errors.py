"""How a narrative's run fails. What a model raises is botticelli.models.base's."""

from botticelli.errors import BotticelliError


class ActFailed(BotticelliError):
    """An act cannot give what it is there for, and the narrative ends with it."""


class CommandFailed(BotticelliError):
    """A command did not do what it was asked for."""


class Denied(CommandFailed):
    """The narrative's own security rules, or the configuration, forbid the command."""
