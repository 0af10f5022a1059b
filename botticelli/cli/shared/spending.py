"""What a run has used, or would use, in one line."""

from decimal import Decimal

from botticelli.text import counted


def spent(
    calls: int,
    input_tokens: int,
    output_tokens: int,
    cost_usd: Decimal,
    *,
    reused: int = 0,
    seconds: float,
) -> str:
    """Return what a run used, in one line."""
    free = f" ({counted(reused, 'answer')} reused)" if reused else ""
    return (
        f"{counted(calls, 'call')}{free}, {input_tokens:,} tokens in, {output_tokens:,} out,"
        f" ${cost_usd:.4f}, {seconds:.1f} s"
    )


def priced(
    calls: int,
    input_tokens: int,
    output_tokens: int,
    cents: float | None,
    *,
    models: tuple[str, ...],
) -> str:
    """Return what a run would use, in one line."""
    price = "price unknown" if cents is None else f"about {cents:.2f} cents"
    asked = ", ".join(models) or "any model"
    return (
        f"{counted(calls, 'call')} to {asked}, about {input_tokens:,} tokens in"
        f" and {output_tokens:,} out, {price}; nothing was spent"
    )
