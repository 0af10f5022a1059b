"""What a run has used, or would use, in one line."""

from typing import TYPE_CHECKING

from botticelli.text import counted

if TYPE_CHECKING:
    from botticelli.narrative.answers.dry_run import CallsEstimate
    from botticelli.store.runs import RunUsage


def spent(report: "RunUsage", *, reused: int = 0, seconds: float) -> str:
    """Return what a run used. `reused`: stored answers that were not paid for again."""
    free = f" ({counted(reused, 'answer')} reused)" if reused else ""
    return (
        f"{counted(report.calls, 'call')}{free}, {report.input_tokens:,} tokens in,"
        f" {report.output_tokens:,} out, ${report.cost_usd:.4f}, {seconds:.1f} s"
    )


def priced(report: "CallsEstimate") -> str:
    """Return what a run would use, its price in US cents."""
    price = "price unknown" if report.cents is None else f"about {report.cents:.2f} cents"
    models = ", ".join(report.models) or "any model"
    used = (
        f"{counted(report.calls, 'call')} to {models}, about {report.input_tokens:,} tokens in"
        f" and {report.output_tokens:,} out, {price}; nothing was spent"
    )
    limits = [f"limits of {model}: {limits}" for model, limits in report.limits.items()]
    return "\n  ".join([used, *limits])
