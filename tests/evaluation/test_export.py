"""A record as CSV and as Markdown."""

from __future__ import annotations

import csv
import io

from small_counts import CLASSES, PROTOCOL, random_counts
from test_record import record

from mmseg_robust.corruptions import Cell
from mmseg_robust.evaluation.export import to_csv, to_markdown
from mmseg_robust.evaluation.record import build_record


def lines(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_csv_has_a_line_a_cell_with_all_figures() -> None:
    result = build_record(PROTOCOL, random_counts(), CLASSES, {})
    found = lines(to_csv(result))
    assert [Cell(row["corruption"], int(row["severity"])) for row in found] == list(PROTOCOL.passes)
    for row, entry in zip(found, [result["clean"], *result["cells"]]):
        for name in ("mIoU", "aAcc", "mAcc", "ECE"):
            assert float(row[name]) == entry[name]  # unrounded
        assert [float(row["mIoU_low"]), float(row["mIoU_high"])] == entry["mIoU_interval"]
        assert [float(row[f"IoU_{name}"]) for name in CLASSES] == entry["IoU"]
        assert int(row["nan_images"]) == 0
    assert float(found[3]["flip_rate"]) == result["cells"][2]["flip_rate"]


def test_what_is_not_known_is_empty_in_csv() -> None:
    result = record()
    result["cells"][0]["mIoU_interval"] = None
    found = lines(to_csv(result))
    assert found[0]["flip_rate"] == found[0]["IoU_b"] == ""
    assert found[1]["mIoU_low"] == found[1]["mIoU_high"] == ""


def test_names_with_commas_stay_one_field() -> None:
    result = record()
    result["classes"] = ["sign, pole", 'a "b"']
    assert lines(to_csv(result))[0].keys() >= {"IoU_sign, pole", 'IoU_a "b"'}


def test_markdown_holds_the_table_the_figures_and_the_notes() -> None:
    result = record()
    text = to_markdown(result, PROTOCOL)
    table = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[part.strip() for part in line.strip("|").split("|")] for line in table]
    assert cells[0] == ["corruption", "s2", "s4", "mean", "95 %"]
    assert cells[1] == ["---", "---:", "---:", "---:", "---:"]
    assert len(cells) == 2 + 1 + 6 + 4 + 1  # clean, corruptions, groups, mean
    assert {len(row) for row in cells} == {5}
    fog = next(row for row in cells if row[0] == "fog")
    assert fog[1] == f"{result['cells'][-2]['mIoU']:.2f}"
    assert f"clean {result['summary']['clean']:.2f}" in text
    assert "*No baseline: mCE and relative mCE left out.*" in text


def test_markdown_keeps_the_lines_of_the_figures_apart() -> None:
    head = to_markdown(record(), PROTOCOL).split("\n\n")[0].splitlines()
    assert len(head) > 2
    assert all(line.endswith("  ") for line in head[:-1])
