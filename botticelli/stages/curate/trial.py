"""Is a model fit to judge? Planted posts with a known answer, and a prompt as long as a batch's.

The posts go through the very judge that `curate` uses, with its narrative and page; nothing is
stored but the calls. Some servers drop the front of a long prompt and answer all the same: a word
planted there shows it.
"""

import json
from collections.abc import Sequence
from typing import Final

from botticelli.errors import BotticelliError, ConfigError, TryLater
from botticelli.models.base import Message, ModelError, Part, PermanentError, Request
from botticelli.narrative.files import about
from botticelli.narrative.run.context import RunContext
from botticelli.records import record
from botticelli.stages.curate.judge import Judge, find_judge
from botticelli.stages.curate.rubric import read_answer
from botticelli.store.curation.judging import CRITERIA, Candidate
from botticelli.store.generation.executions import ActKey

PLANTED: Final = about.SHIPPED / "trial" / "pairs.json"  # [{good, bad}]: two of the same kind
LEAST_PAIRS: Final = 4  # in which the good one must be ahead, so that it is no toss of a coin
LEAST_MARGIN: Final = 5.0  # of 50, on average: less does not separate drafts
LONGEST: Final = 1200  # characters of a post that the shipped narratives ask for
WORD: Final = "PERIWINKLE"
ANSWER: Final = {
    "type": "object",
    "required": ["word"],
    "additionalProperties": False,
    "properties": {"word": {"type": "string", "description": "The word, in capitals"}},
}


@record
class JudgeTrial:
    """What a trial found.

    Args:
        model: Who was asked.
        answered: How many of the planted posts have a usable score, and of how many.
        pairs_right: Pairs in which the good post is ahead.
        margin: By how many points of 50 on average.
        window_tokens: What the server says that it read of the long prompt; None: it does not say.
        window_sent: Characters of that prompt.
        problems: What speaks against this judge, a line each; none: it is fit.
    """

    model: str
    answered: int
    planted: int
    pairs_right: int
    pairs: int
    margin: float
    window_tokens: int | None
    window_sent: int
    problems: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """1 if it is not fit to judge."""
        return int(bool(self.problems))


def try_judge(context: RunContext, model: str) -> JudgeTrial:
    """Ask a model to judge planted posts, and for a word at the front of a long prompt.

    Raises:
        ConfigError, ModelError, TryLater: It cannot be asked.
    """
    pairs = [(each["good"], each["bad"]) for each in json.loads(PLANTED.read_text("utf-8"))]
    totals, refused = _totals(context, [text for pair in pairs for text in pair])
    firsts = range(0, 2 * len(pairs), 2)
    margins = [totals[n] - totals[n + 1] for n in firsts if {n, n + 1} <= totals.keys()]
    right = sum(margin > 0 for margin in margins)
    margin = round(sum(margins) / len(margins), 1) if margins else 0.0
    sent, tokens, window = _window(context, model, " ".join(good for good, _ in pairs))
    problems = [f"the answer does not fit the schema: {each}" for each in refused[:1]]
    if not problems and right < LEAST_PAIRS:
        problems.append(f"it does not tell good from bad: right in {right} of {len(pairs)} pairs")
    elif not problems and margin < LEAST_MARGIN:
        problems.append(f"it hardly tells good from bad: {margin} of 50 points between them")
    return JudgeTrial(
        model=model,
        answered=len(totals),
        planted=2 * len(pairs),
        pairs_right=right,
        pairs=len(pairs),
        margin=margin,
        window_tokens=tokens,
        window_sent=sent,
        problems=(*problems, *([window] if window else [])),
    )


def _totals(context: RunContext, texts: Sequence[str]) -> tuple[dict[int, int], Sequence[str]]:
    """Return the points of the planted posts by their place, and what was wrong with the answer."""
    file, narrative = find_judge(context.config, cwd=context.cwd)
    group = [
        Candidate(
            id=1000 + place,
            fence=0,
            text_content=text,
            content_type="post",
            tags=[],
            source_narrative=None,
            attempts=0,
        )
        for place, text in enumerate(texts)
    ]
    try:
        judged = Judge(context=context, file=file, narrative=narrative)(context.conn, group)
    except (ConfigError, ModelError, TryLater):
        raise
    except BotticelliError as error:
        return {}, [error.what]
    answer = read_answer(judged.value, codes=judged.codes)
    totals = {each.id - 1000: sum(each.points[name] for name in CRITERIA) for each in answer.scores}
    return totals, [f"one entry {why}" for why in answer.refused.values()]


def _window(context: RunContext, model: str, posts: str) -> tuple[int, int | None, str]:
    """Return what was sent, the tokens that were read of it, and what is wrong with the window."""
    batch = context.config.curate.batch
    filling = "\n\n".join((posts * (LONGEST // len(posts) + 1))[:LONGEST] for _ in range(batch))
    text = (
        f"The word is {WORD}. Keep it in mind; what follows are {batch} posts.\n\n{filling}\n\n"
        "Before the posts stood a word in capitals. Answer with that word as JSON: "
        '{"word": "..."}. If you do not see it, answer {"word": "none"}.'
    )
    request = Request(
        model=model, messages=(Message(role="user", parts=(Part(text=text),)),), schema=ANSWER
    )
    key = ActKey(narrative="models test", act_name="window", sequence_number=0)
    what = f"it does not see the beginning of a batch of {batch}"
    hint = "raise num_ctx, or lower curate.batch"
    try:
        answer = context.caller().ask(request, models=[model], key=key)
    except PermanentError as error:
        if error.unrecoverable or error.retired:
            raise
        return len(text), None, f"{what}: {error.what}; {hint}"
    tokens = answer.usage.input if answer.usage else None
    return len(text), tokens, "" if WORD in answer.text.upper() else f"{what}; {hint}"
