"""What docs/narratives.md shows is true."""

import json
import re
from importlib.resources import files
from pathlib import Path

import pytest

from botticelli.narrative.checks.narrative_file import check_queries, check_schemas, findings_of
from botticelli.narrative.language.load import load_text

PAGE = (Path(__file__).parents[2] / "docs" / "narratives.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_every_block_of_the_page_is_a_whole_file_without_a_mistake(block, tmp_path):
    path = tmp_path / "block.toml"
    path.write_text(block)

    file = load_text(block, path)

    assert file.warnings == ()
    findings = findings_of(file)
    check_queries(file, findings=findings)
    check_schemas(file, findings=findings)
    assert findings.problems == []


def test_the_page_counts_calls_rightly():
    batch = next(block for block in BLOCKS if "[narrative.batch]" in block)
    file = load_text(batch, Path("batch.toml"))

    rounds = file.narratives["batch"].carousel.iterations
    acts = sum(len(file.narratives[act.narrative].acts) for act in file.narratives["batch"].acts)
    assert f"{rounds} rounds x 2 narratives x 2 acts are {rounds * acts} calls" in PAGE


def test_the_page_names_the_schema_by_its_own_address():
    schema = json.loads((files("botticelli") / "narrative" / "dialect.schema.json").read_text())

    assert schema["$id"] in PAGE
