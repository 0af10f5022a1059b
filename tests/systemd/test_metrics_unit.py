"""The unit that docs/deployment.md shows for Prometheus' figures, in a real systemd."""

import re
from pathlib import Path

import pytest

from botticelli.store.schema import EXPECTED_VERSION
from tests.systemd.conftest import boot, furnish, start_outside
from tests.systemd.test_units import EXTERNAL, journal

pytestmark = pytest.mark.slow

DOCUMENT = Path(__file__).parents[2] / "docs/deployment.md"
FOLDER = "/var/lib/node_exporter/textfile"


def documented():
    """File -> text, as the document has them: indented, each under its path as a comment."""
    section = DOCUMENT.read_text().partition("## Figures for Prometheus")[2].partition("\n## ")[0]
    lines = "\n".join(re.findall(r"^    (.*)$|^$", section, re.MULTILINE))
    pieces = re.split(r"^# (/etc/systemd/system/\S+)$", lines, flags=re.MULTILINE)[1:]
    return {
        path: text.split("\n*/5")[0] for path, text in zip(pieces[::2], pieces[1::2], strict=True)
    }


def test_the_documented_timer_writes_figures_that_node_exporter_may_read(lab):
    furnish(lab, database_url=EXTERNAL)
    lab.put("/etc/group", "root:x:0:\nnode-exporter:x:990:\nnobody:x:65534:\n")
    for path, text in documented().items():
        lab.put(path, text)
    boot(lab)
    start_outside(lab)
    # A stage has put the schema in place: looking creates nothing.
    assert lab.run("systemctl start botticelli-post.service").code == 0, journal(lab, "*-post")
    assert lab.run(f"install -d -g node-exporter -m 2775 {FOLDER}").code == 0

    assert lab.run("systemctl start botticelli-metrics.timer").code == 0
    done = lab.run("systemctl start botticelli-metrics.service")

    assert done.code == 0, journal(lab, "botticelli-metrics")
    assert lab.run(f"stat -c '%a %G' {FOLDER}/botticelli.prom").out.split() == [
        "644",
        "node-exporter",
    ]
    assert (
        f"botticelli_schema_version {EXPECTED_VERSION}"
        in lab.run(f"cat {FOLDER}/botticelli.prom").out
    )
    assert lab.run(f"ls -A {FOLDER}").out.split() == ["botticelli.prom"]
    assert "botticelli-metrics.timer" in lab.run("systemctl list-timers --no-legend").out
