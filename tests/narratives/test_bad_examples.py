"""One mistake a file: each is told with its line, its key and what is meant."""

from pathlib import Path

import pytest

from botticelli.errors import ConfigError
from botticelli.narrative.language.load import load_file

BAD = sorted((Path(__file__).parent / "examples" / "bad").glob("*.toml"))


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_mistake_is_told_in_the_words_at_the_end_of_the_file(path):
    expected = [line[3:] for line in path.read_text().splitlines() if line.startswith("#! ")]

    with pytest.raises(ConfigError) as caught:
        load_file(path)

    told = [str(problem).replace(f"{path.parent}/", "") for problem in caught.value.problems]
    assert sorted(told) == sorted(expected)
