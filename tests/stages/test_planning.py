"""What a batch is made of."""

from pathlib import Path

from botticelli.narrative.language.load import load_text
from botticelli.stages.generate.plan import plan_items

FILE = """
[narrative.batch]
toc = ["twice", "other"]
[narrative.batch.acts.twice]
narrative = "thrice"
carousel = 2
[narrative.batch.acts.other]
narrative = "once"
[narrative.thrice]
toc = ["a", "b"]
carousel = 3
[narrative.once]
toc = ["a"]
[acts]
a = "A."
b = "B."
"""


def test_rounds_of_acts_and_of_the_narratives_they_run_are_items_as_run_would_run_them():
    file = load_text(FILE, Path("/nowhere/file.toml"))

    items = plan_items(file, file.narratives["batch"], iterations=2)

    thrice = [("thrice", number) for number in range(1, 13)]
    assert items == (*thrice[:6], ("once", 1), *thrice[6:], ("once", 2))
