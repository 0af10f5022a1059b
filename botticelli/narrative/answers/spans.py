"""What a trace says about narratives and calls: OpenTelemetry's conventions for generative AI.

https://github.com/open-telemetry/semantic-conventions-genai (attributes gen_ai.*); ours are
botticelli.*. Neither prompts nor answers are included.
"""

from contextlib import AbstractContextManager
from typing import Final

from botticelli import tracing
from botticelli.models.base import Reply, Request
from botticelli.tracing import Span

# Provider here -> gen_ai.provider.name, gen_ai.operation.name; any other keeps its name.
PROVIDERS: Final = {"gemini": "gcp.gemini"}
OPERATIONS: Final = {"gemini": "generate_content"}
CHAT: Final = "chat"
IN_PROCESS: Final = ("local", "offline")


def running(narrative: str, *, iteration: int, item_id: int | None) -> AbstractContextManager[Span]:
    """Return the span of one run of a narrative."""
    return tracing.span(
        f"invoke_workflow {narrative}",
        {
            "gen_ai.operation.name": "invoke_workflow",
            "gen_ai.workflow.name": narrative,
            "botticelli.iteration": iteration,
            "botticelli.item.id": item_id,
        },
    )


def asking(request: Request, *, provider: str, act: str) -> AbstractContextManager[Span]:
    """Return the span of one request to a model."""
    operation = OPERATIONS.get(provider, CHAT)
    return tracing.span(
        f"{operation} {request.model}",
        {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": PROVIDERS.get(provider, provider),
            "gen_ai.request.model": request.model,
            "gen_ai.request.max_tokens": request.max_tokens,
            "gen_ai.request.temperature": request.temperature,
            "gen_ai.output.type": "text" if request.schema is None else "json",
            "botticelli.act.name": act,
        },
        kind="internal" if provider in IN_PROCESS else "client",
    )


def answered(span: Span, reply: Reply) -> None:
    """Add to a request's span what came back. Output tokens include those of thinking."""
    usage = reply.usage
    span.set(
        {
            "gen_ai.response.model": reply.model_version or None,
            "gen_ai.response.id": reply.request_id or None,
            "gen_ai.response.finish_reasons": (reply.finish.value,),
            "gen_ai.usage.input_tokens": None if usage is None else usage.input,
            "gen_ai.usage.cache_read.input_tokens": (usage.cached or None) if usage else None,
            "gen_ai.usage.output_tokens": usage.output + usage.thoughts if usage else None,
            "gen_ai.usage.reasoning.output_tokens": (usage.thoughts or None) if usage else None,
        }
    )
