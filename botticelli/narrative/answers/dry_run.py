"""A dry run: what would be asked, of which model, for how much; nothing is sent or written."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from botticelli.budget.limits import limits_in_force
from botticelli.config.model import Models
from botticelli.models import catalogue
from botticelli.models.base import Request, Usage
from botticelli.models.offline.fill import fill
from botticelli.models.open import FREE, route
from botticelli.models.prompts import readable
from botticelli.models.usage import input_tokens
from botticelli.narrative.answers.answer import Answer
from botticelli.narrative.language.model import Narrative
from botticelli.pictures.reading import Picture
from botticelli.records import record
from botticelli.store.generation.executions import ActKey

MOST_ROUNDS = 20  # that a dry run walks through one by one
TYPICAL_OUTPUT = 400  # tokens: a post of 1200 characters with its JSON; critiques are shorter


@record
class PlannedCall:
    """One call that a real run would make. Tokens are estimates, high rather than low.

    Args:
        asked: What the model was called when it was asked for.
        cents: US cents; None if the model's price is not known.
        cents_per_output: US cents for each further token of output.
        limits: The model's limits in words, and whence they are.
        times: For how many such calls it stands.
    """

    model: str
    asked: str
    narrative: str
    iteration: int
    act: str
    prompt: str
    input_tokens: int
    output_tokens: int
    cents: float | None
    cents_per_output: float = 0.0
    limits: str = ""
    times: int = 1


@record
class CallsEstimate:
    """What some calls take together.

    Args:
        cents: None if the price of a model is not known.
        limits: model -> its limits in words, and whence they are.
    """

    calls: int
    input_tokens: int
    output_tokens: int
    cents: float | None
    models: tuple[str, ...]
    limits: Mapping[str, str]


def expected_tokens(narrative: Narrative, rounds: int) -> int:
    """Return the tokens that the author expects that many rounds to use; 0 if unsaid."""
    carousel = narrative.carousel
    return rounds * (carousel.estimated_tokens or 0) if carousel else 0


def estimate(calls: Sequence[PlannedCall], *, at_least: int = 0) -> CallsEstimate:
    """Return what the calls take together.

    Where that is less than `at_least` tokens, the rest is output, in equal parts for each call.
    """
    count = sum(call.times for call in calls)
    sent = sum(call.times * call.input_tokens for call in calls)
    received = sum(call.times * call.output_tokens for call in calls)
    extra = max(0, at_least - sent - received) if calls else 0
    cents = [
        None
        if call.cents is None
        else call.times * (call.cents + call.cents_per_output * extra / count)
        for call in calls
    ]
    return CallsEstimate(
        calls=count,
        input_tokens=sent,
        output_tokens=received + extra,
        cents=None if None in cents else sum(each for each in cents if each is not None),
        models=tuple(dict.fromkeys(call.model for call in calls)),
        limits={call.model: call.limits for call in calls if call.limits},
    )


def rounds_of(count: int, caller: object) -> Iterator[int]:
    """Yield the rounds from 1 on; in a dry run few, of which the last stands for all others."""
    if not isinstance(caller, DryRunCaller) or count <= MOST_ROUNDS:
        yield from range(1, count + 1)
        return
    yield from range(1, MOST_ROUNDS)
    before = caller.times
    caller.times *= count - MOST_ROUNDS + 1
    yield MOST_ROUNDS
    caller.times = before


@dataclass
class DryRunCaller:
    """Fills Caller without any model: collects the calls and answers with placeholders.

    Args:
        on: The day whose prices and names hold.
        typical_output: Tokens that an answer is taken to have.
        calls: What was asked so far, in order.
        times: For how many calls one that is asked now stands.
    """

    models: Models
    on: date
    typical_output: int = TYPICAL_OUTPUT
    calls: list[PlannedCall] = field(default_factory=list)
    times: int = 1

    def ask(self, request: Request, *, models: Sequence[str], key: ActKey) -> Answer:
        """See Caller. Raises ConfigError for a model that no driver can reach."""
        asked = (tuple(models) or self.models.default)[0]
        name = catalogue.current_name(asked, self.models, on=self.on)
        way = route(name, self.models)
        output = min(self.typical_output, request.max_tokens or self.typical_output)
        usage = Usage(input=input_tokens(request), output=output)
        if request.image is not None and way.provider not in FREE:
            drawn = catalogue.image_usage(request.image, provider=way.provider)
            usage = replace(drawn, input=usage.input)
        rate = catalogue.price(way.model, self.models, on=self.on)
        dollars = catalogue.cost(usage, rate, pictures=int(request.image is not None))
        cents = None if rate is None else float(dollars * 100)
        is_free = rate is None or way.provider in FREE
        further = 0.0 if is_free else float(catalogue.cost(Usage(output=1), rate) * 100)
        self.calls.append(
            PlannedCall(
                model=way.model,
                asked=name,
                narrative=key.narrative,
                iteration=key.iteration,
                act=key.act_name,
                prompt=readable(request),
                input_tokens=usage.input,
                output_tokens=usage.output,
                cents=0.0 if way.provider in FREE else cents,
                cents_per_output=further,
                limits="" if way.provider in FREE else str(limits_in_force(way.model, self.models)),
                times=self.times,
            )
        )
        text = f"[the answer of act {key.act_name}]"
        if request.image is not None:
            text = Picture(content=b"", mime="image/png", width=0, height=0).facts
        elif request.schema is not None:
            text = json.dumps(fill(request.schema), ensure_ascii=False)
        return Answer(text=text, model=way.model, usage=usage)

    def require(self, models: Sequence[str]) -> None:
        """See Caller. A dry run needs no key."""

    def reject(self, answer: Answer, reason: str) -> None:
        """See Caller. Nothing was recorded, so there is nothing to note."""
