"""What is thought aloud is no answer, whatever family thinks; what only speaks of it is one."""

import pytest

from botticelli.models.thoughts import without_thoughts

HARMONY = "<|channel|>analysis<|message|>draft {}<|end|><|start|>assistant<|channel|>"

TAKEN_OUT = {
    "Qwen, DeepSeek": ("<think>\n{a}\n</think>\n\nHi", "Hi"),
    "opened by the template": ("{a} <b>\n</think>\n\nHi", "Hi"),
    "without an end": ("<think>Let me see. Hi", ""),
    "an empty thought": ("<think>\n\n</think>\n\nHi", "Hi"),
    "in capitals, with an attribute": ('<THINK mode="x">a</THINK>Hi', "Hi"),
    "thinking": ("<thinking>a</thinking>Hi", "Hi"),
    "thought": ("<thought>a</thought>\nHi", "Hi"),
    "reasoning": ("<reasoning>\na\n</reasoning>\nHi", "Hi"),
    "Seed": ("<seed:think>a</seed:think>Hi", "Hi"),
    "Magistral": ("[THINK]a[/THINK]Hi", "Hi"),
    "Magistral without an end": ("[THINK]a", ""),
    "Kimi": ("◁think▷a◁/think▷Hi", "Hi"),
    "Kimi without an end": ("◁think▷a", ""),
    "Command A": (
        "<|START_THINKING|>a<|END_THINKING|><|START_RESPONSE|>Hi<|END_RESPONSE|>",
        "Hi",
    ),
    "OpenThinker": (
        "<|begin_of_thought|>a<|end_of_thought|>\n<|begin_of_solution|>Hi<|end_of_solution|>",
        "Hi",
    ),
    "Gemma": ("<|channel>thought\na<channel|>Hi", "Hi"),
    "gpt-oss": (HARMONY + "final<|message|>Hi<|return|>", "Hi"),
    "gpt-oss, JSON": (HARMONY + "final <|constrain|>json<|message|>[1]", "[1]"),
    "gpt-oss, no final": ("<|channel|>analysis<|message|>a", ""),
    "gpt-oss, without marks": ("analysisThe user wants.assistantfinalHi", "Hi"),
    "Granite": ("Here is my thought process:\na\n\nHere is my response:\nHi", "Hi"),
    "Granite without an end": ("Here is my thought process:\na", ""),
    "an answer in a tag": ("<think>a</think><answer>[1]</answer>", "[1]"),
    "twice": ("<think>a</think>Hi <think>b</think>you", "Hi you"),
    "one in another": ("<think>a<think>b</think>c</think>Hi", "Hi"),
    "half a code span": ("<think>see ` there</think>Hi `x`", "Hi `x`"),
    "later, without an end": ("Hi\n<think>is that right", "Hi"),
    "the end of a turn": ("Hi<|im_end|>", "Hi"),
}
KEPT = (
    "Use `<think>` and `</think>` around it.",
    "Models write <think> first.",
    "```\n<think>a</think>\n```\nis what you see",
    '{"text_content": "a <think>b</think> c"}',
    "The mark `<|channel|>final<|message|>` begins it.",
    "analysis of the opening",
    "I think that [THINKING] is hard <b>work</b>",
    "",
)


@pytest.mark.parametrize("name", TAKEN_OUT)
def test_thoughts_are_taken_out(name):
    text, answer = TAKEN_OUT[name]
    assert without_thoughts(text).strip() == answer


@pytest.mark.parametrize("text", KEPT)
def test_what_speaks_of_thoughts_is_kept(text):
    assert without_thoughts(text) == text


def test_marks_without_end_take_time_in_proportion():
    for text in ("<think>" * 20_000, "<" * 100_000, "`<think>" * 20_000, "a</think>" * 20_000):
        without_thoughts(text)
