"""What a trace tells of runs and deliveries."""

from collections.abc import Callable

from botticelli import tracing
from botticelli.errors import Exit
from botticelli.stages.post.target import Desk, Result
from botticelli.store.delivery.deliveries import Delivery


def traced(work: Callable[[Desk, Delivery], Result], desk: Desk, delivery: Delivery) -> Result:
    """Do `work` at a delivery inside a span that tells what became of it."""
    facts: dict[str, tracing.Value | None] = {
        "botticelli.destination": delivery.destination,
        "botticelli.platform": desk.platform.name,
        "botticelli.delivery.id": delivery.id,
        "botticelli.post.id": delivery.post_id,
    }
    with tracing.span(f"deliver {delivery.destination}", facts, kind="client") as span:
        result = work(desk, delivery)
        span.set({"botticelli.delivery.state": result.state})
        if result.exit_code != Exit.DONE:
            span.fail(result.state)
        return result
