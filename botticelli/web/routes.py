"""The route table of the desk: method, path, handler, and the role that one needs at least."""

from typing import Final

from botticelli.web import (
    calendar,
    entrance,
    feeds,
    figures,
    lives,
    review,
    stages,
    themes,
)
from botticelli.web.app import Way

WAYS: Final = (
    Way(method="GET", path="/", handler=entrance.show_start),
    Way(method="GET", path="/login", handler=entrance.show_login, role=None),
    Way(method="POST", path="/login", handler=entrance.log_in, role=None),
    Way(method="POST", path="/logout", handler=entrance.log_out),
    Way(method="GET", path="/health", handler=entrance.show_health, role=None),
    Way(method="GET", path="/review", handler=review.show_review),
    Way(method="POST", path="/candidates/{id:int}", handler=review.change_candidate, role="editor"),
    Way(method="POST", path="/candidates", handler=review.change_candidates, role="editor"),
    Way(
        method="POST",
        path="/candidates/{id:int}/picture",
        handler=lives.describe_picture,
        role="editor",
    ),
    Way(method="GET", path="/posts/{name}", handler=lives.show_post),
    Way(
        method="POST", path="/posts/{id:int}/rendition", handler=lives.edit_rendition, role="editor"
    ),
    Way(method="GET", path="/media/{sha256}", handler=lives.show_picture),
    Way(method="POST", path="/deliveries/{id:int}/settle", handler=lives.settle, role="approver"),
    Way(method="GET", path="/stages", handler=stages.show_stages),
    Way(method="POST", path="/stages", handler=stages.change_stage, role="approver"),
    Way(method="GET", path="/calendar", handler=calendar.show_calendar),
    Way(
        method="POST", path="/deliveries/{id:int}", handler=calendar.change_delivery, role="editor"
    ),
    Way(method="GET", path="/analytics", handler=figures.show_analytics),
    Way(method="GET", path="/themes", handler=themes.show_themes),
    Way(method="POST", path="/themes", handler=themes.change_theme, role="admin"),
    Way(method="GET", path="/calendar.ics", handler=feeds.show_ics, role=None),
    Way(method="GET", path="/posts.atom", handler=feeds.show_atom, role=None),
)
