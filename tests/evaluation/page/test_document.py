"""The page as a browser reads it: structure, figures, escaping, records with parts missing."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from made_up_runs import made_up_counts, made_up_record, write_made_up_run
from PIL import Image

from mmseg_robust.corruptions import get_protocol
from mmseg_robust.errors import InputError
from mmseg_robust.evaluation.page import write_page
from mmseg_robust.evaluation.published import published_baselines
from mmseg_robust.evaluation.record_files import read_record

VERSION_1 = Path(__file__).parents[1] / "data" / "version_1_plain.json"
DEMO = get_protocol("demo")
VOID = {"meta", "img", "br", "path", "use"}
#: Attributes by which a page loads or points to something.
ADDRESSES = {"href", "xlink:href", "src", "srcset", "action", "data", "poster"}
ALWAYS = {"figures", "corruptions", "run"}


class Page(HTMLParser):
    """Reads a page strictly: every element that is opened is closed, in order."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.words: list[str] = []
        self.rows: list[list[str]] = []
        self.open: list[str] = []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag == "tr":
            self.rows.append([])
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            return
        self.words.append(data)
        if {"td", "th"} & set(self.open):
            self.rows[-1].append(data)

    @property
    def text(self) -> str:
        return "\n".join(self.words)

    def all(self, attribute: str) -> list[str]:
        return [value for name, value in self.attributes if name == attribute]

    def row(self, name: str) -> list[str]:
        """The first table row of this name."""
        return next(row[1:] for row in self.rows if row[0] == name)


def shown(folder: Path, *args: Any, **options: Any) -> Page:
    path = folder / "new" / "page.html"
    write_page(path, *args, **options)
    return Page(path)


def picture(width: int, height: int, colour: tuple[int, int, int] = (200, 10, 10)) -> Image.Image:
    return Image.new("RGB", (width, height), colour)


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_made_up_run(tmp_path_factory.mktemp("baseline"), 0.6)


@pytest.fixture(scope="module")
def record(baseline: Path) -> dict[str, Any]:
    """A record of version 2 with all that it can hold."""
    return made_up_record(0.8, baseline=baseline)


def test_structure(tmp_path: Path, record: dict[str, Any], baseline: Path) -> None:
    worst = [{"name": "a.png", "cell": "fog/4", "mIoU": 3.14, "picture": picture(9, 5)}]
    page = shown(tmp_path, record, read_record(baseline), worst)
    identifiers = page.all("id")
    assert len(identifiers) == len(set(identifiers))
    assert {*ALWAYS, "severities", "cells", "classes", "worst"} <= set(identifiers)
    assert set(page.all("aria-labelledby")) <= set(identifiers)
    assert page.tags.count("h1") == page.tags.count("title") == page.tags.count("main") == 1
    assert page.source.startswith("<!DOCTYPE html>") and ("lang", "en") in page.attributes
    assert "prefers-color-scheme: dark" in page.source
    assert ("name", "viewport") in page.attributes


def test_nothing_is_loaded_or_run(tmp_path: Path, record: dict[str, Any]) -> None:
    worst = [{"name": "a.png", "picture": picture(9, 5), "prediction": picture(9, 5)}]
    page = shown(tmp_path, record, None, worst)
    assert not {"script", "link", "iframe", "object", "a"} & set(page.tags)
    for name, value in page.attributes:
        assert not name.startswith("on")
        if name in ADDRESSES:
            assert value.startswith(("#", "data:image/")), value
    assert "@import" not in page.source
    assert page.source.count("url(") == page.source.count("url(#")


def test_headline_figures(tmp_path: Path, record: dict[str, Any], baseline: Path) -> None:
    summary, other = record["summary"], read_record(baseline)["summary"]
    page = shown(tmp_path, record, read_record(baseline))
    for key in ("clean", "mean", "retention"):
        low, high = summary[f"{key}_interval"]
        assert f"{summary[key]:.2f}" in page.text
        assert f"95\u00a0% interval [{low:.2f},\u00a0{high:.2f}]" in page.text
        assert f"{summary[key] - other[key]:+.2f}" in page.text
    low, high = summary["difference_interval"]["mean"]
    assert f"[{low:+.2f},\u00a0{high:+.2f}] against the baseline" in page.text
    assert f"{summary['mCE']:.2f}" in page.text
    assert f"relative {summary['relative_mCE']:.2f}" in page.text
    assert f"{summary['ECE']:.3f}" in page.text and f"clean {summary['clean_ECE']:.3f}" in page.text
    assert f"{100 * summary['flip_rate']:.2f} %" in page.text


def test_tables_hold_the_record(tmp_path: Path, record: dict[str, Any], baseline: Path) -> None:
    page = shown(tmp_path, record, read_record(baseline))
    fog, other = record["corruptions"]["fog"], read_record(baseline)["corruptions"]["fog"]
    low, high = fog["mIoU_interval"]
    assert page.row("fog") == [
        f"{fog['mIoU']:.2f}",
        f"[{low:.2f},\u00a0{high:.2f}]",
        f"{other['mIoU']:.2f}",
        f"{fog['mIoU'] - other['mIoU']:+.2f}",
        f"{100 * fog['mIoU'] / record['summary']['clean']:.1f}",
        f"{fog['CE']:.1f}",
        f"{fog['relative_CE']:.1f}",
        f"{fog['ECE']:.3f}",
        f"{100 * fog['flip_rate']:.1f}",
    ]
    assert page.row("noise")[0] == f"{record['groups']['noise']['mIoU']:.2f}"
    cells = [entry["mIoU"] for entry in record["cells"] if entry["corruption"] == "fog"]
    heat = [row[1:] for row in page.rows if row[0] == "fog"][1]
    assert heat == [f"{value:.1f}" for value in (*cells, fog["mIoU"])]


def test_classes_are_sorted_by_loss(tmp_path: Path, record: dict[str, Any]) -> None:
    page = shown(tmp_path, record)
    head = next(i for i, row in enumerate(page.rows) if row[0] == "class")
    rows = page.rows[head + 1 : head + 1 + len(record["classes"])]
    losses = [float(row[3]) for row in rows]
    assert losses == sorted(losses, reverse=True)
    assert {row[0] for row in rows} == set(record["classes"])


def test_charts_say_what_they_show(tmp_path: Path, record: dict[str, Any], baseline: Path) -> None:
    page = shown(tmp_path, record, read_record(baseline))
    labels = page.all("aria-label")
    assert page.tags.count("svg") == 2 * len(DEMO.groups) + 1 == page.all("role").count("img")
    fog, other = record["corruptions"]["fog"], read_record(baseline)["corruptions"]["fog"]
    assert f"fog {fog['mIoU']:.1f} (baseline {other['mIoU']:.1f})" in labels
    steps = [record["clean"], *(e for e in record["cells"] if e["corruption"] == "fog")]
    assert "fog " + ", ".join(f"{step['mIoU']:.1f}" for step in steps) in labels
    assert "gaussian noise" in page.words, "text stays text"
    assert "#0101" not in page.source, "a stand-in colour was left"


def test_strings_are_escaped(tmp_path: Path, record: dict[str, Any]) -> None:
    evil = "<script>alert('1')</script>\"&"
    bad = {
        **record,
        "classes": [evil, *record["classes"][1:]],
        "notes": [evil],
        "run": {"config": evil, "versions": {evil: evil}, evil: 1},
        "baseline": evil,
        "protocol": {**record["protocol"], "source": evil, "name": evil},
        "name": evil,
        "corruptions": {**record["corruptions"], evil: {"mIoU": 1.0}},
    }
    worst = [{"name": evil, "cell": evil, "picture": picture(4, 4)}]
    page = shown(tmp_path, bad, bad, worst)
    assert "script" not in page.tags
    assert page.text.count("<script>") > 10
    assert any("<script>" in value for value in page.all("alt"))


def test_what_was_run(tmp_path: Path, record: dict[str, Any]) -> None:
    run = {**record["run"], "versions": {"torch": "9.9"}, "seconds": 12.5, "empty": None}
    page = shown(tmp_path, {**record, "run": run, "notes": ["a note"]})
    for text in ("demo, version 1", "engine", "9.9", "12.5", "a note", DEMO.source):
        assert text in page.words
    assert "bootstrap over images, 1000 resamples, seed 0, level 0.95" in page.words
    assert "empty" not in page.words


def test_nan_is_told(tmp_path: Path, record: dict[str, Any]) -> None:
    cells = [dict(entry) for entry in record["cells"]]
    cells[1].update(nan_images=3, mIoU=float("nan"), IoU=[float("nan")] * 3)
    page = shown(tmp_path, {**record, "cells": cells})
    assert "The model gave NaN for 3 images of cell gaussian_blur/4." in page.words
    assert "nan" not in page.text.lower().replace("gave nan", "")


def test_record_of_version_1(tmp_path: Path) -> None:
    record = read_record(VERSION_1)
    page = shown(tmp_path, record, record)
    assert {*ALWAYS, "severities", "cells", "classes"} <= set(page.all("id"))
    assert f"{record['summary']['retention']:.2f} %" in page.words
    assert "interval" not in page.text and "mCE" not in page.words and "Flip rate" not in page.words
    assert page.tags.count("svg") == 8


@pytest.mark.parametrize("name", ["segformer-b5", "gscnn"])
def test_published_baselines(tmp_path: Path, name: str) -> None:
    page = shown(tmp_path, read_record(published_baselines()[name]))
    assert set(page.all("id")) >= ALWAYS
    assert not {"severities", "cells", "classes", "worst", "notes"} & set(page.all("id"))
    assert "79.87 %" in page.words or name != "segformer-b5"
    assert any("Table 5" in text for text in page.words)


TOP = [
    "run", "classes", "num_images", "clean", "cells", "corruptions", "groups", "severities",
    "summary", "baseline", "bootstrap", "notes", "protocol",
]  # fmt: skip


@pytest.mark.parametrize("key", TOP)
def test_any_part_may_be_missing(tmp_path: Path, record: dict[str, Any], key: str) -> None:
    assert set(TOP) | {"schema", "schema_version"} == set(record)
    fewer = {name: value for name, value in record.items() if name != key}
    page = shown(tmp_path, fewer, {**record, key: None})
    assert set(page.all("id")) >= ALWAYS


def test_empty_entries(tmp_path: Path, record: dict[str, Any]) -> None:
    """What one image or a predictor without logits leaves: nulls for intervals and ECE."""
    sparse = json.loads(json.dumps(record))
    for entry in [sparse["clean"], *sparse["cells"], *sparse["corruptions"].values()]:
        entry.update(mIoU_interval=None, ECE=None, flip_rate=None)
    sparse["summary"] = dict.fromkeys(sparse["summary"])
    page = shown(tmp_path, sparse)
    assert "None" not in page.text and "Flip rate" not in page.words
    one = made_up_record(counts=made_up_counts(0.8, DEMO, images=1))
    assert "95\u00a0% interval" not in shown(tmp_path, one).text


def test_the_same_record_gives_the_same_page(tmp_path: Path, record: dict[str, Any]) -> None:
    write_page(tmp_path / "a.html", record)
    write_page(tmp_path / "b.html", record)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_a_page_that_cannot_be_written(tmp_path: Path, record: dict[str, Any]) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"Cannot write .*file/page\.html"):
        write_page(tmp_path / "file" / "page.html", record)
