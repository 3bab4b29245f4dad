"""Mistakes in a config or a command line end in one ``error:`` line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from mmseg_robust.engine import command_line
from mmseg_robust.engine.command_line import ToolParser, load_config, run_tool
from mmseg_robust.errors import InputError

MISTAKES = {
    "base.py": ("_base_ = ['mmsegg::segformer/a.py']\n", "mmsegg"),
    "keys.py": ("_base_ = ['one.py', 'two.py']\n", "shared"),
    "imports.py": ("custom_imports = dict(imports=['no_such_module'])\n", "no_such_module"),
    "name.py": ("lr = undefined_name\n", "NameError: name 'undefined_name'"),
    "broken.json": ('{"model": \n', "JSON"),
}


@pytest.fixture(autouse=True)
def no_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "0")  # restored afterwards: parsing sets it
    for name in ("RANK", "SLURM_PROCID", "SLURM_LOCALID", "OMPI_COMM_WORLD_LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)


def error(monkeypatch: pytest.MonkeyPatch, capsys: Any, *arguments: Any) -> str:
    """Load a config as a tool; returns the one line that it must print."""
    monkeypatch.setattr(sys, "argv", ["tool", *map(str, arguments)])
    assert run_tool(lambda: load_config(ToolParser("A tool").parse()) and None) == 2
    line = capsys.readouterr().err
    assert line.startswith("error: ")
    assert line.count("\n") == 1
    return line


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_in_a_config(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, name: str
) -> None:
    (tmp_path / "one.py").write_text("shared = 1\n")
    (tmp_path / "two.py").write_text("shared = 2\n")
    content, expected = MISTAKES[name]
    (tmp_path / name).write_text(content)
    line = error(monkeypatch, capsys, tmp_path / name)
    assert f"'{tmp_path / name}' cannot be read" in line
    assert expected in line


def test_launcher_without_its_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    config = tmp_path / "config.py"
    config.write_text("a = 1\n")
    for launcher, words in {"pytorch": "torchrun", "slurm": "srun", "mpi": "mpirun"}.items():
        assert words in error(monkeypatch, capsys, config, "--launcher", launcher)
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setattr(sys, "argv", ["tool", str(config), "--launcher", "pytorch"])
    assert load_config(ToolParser("A tool").parse()).launcher == "pytorch"


def test_one_rank_speaks(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """The others wait until it has."""
    waits: list[float] = []
    monkeypatch.setattr(command_line.time, "sleep", waits.append)

    def main() -> None:
        raise InputError("the folder is missing")

    for rank, printed in ((0, "error: the folder is missing\n"), (1, "")):
        monkeypatch.setenv("LOCAL_RANK", str(rank))
        assert run_tool(main) == 2
        assert capsys.readouterr().err == printed
    assert waits == [command_line.SECONDS_FOR_THE_MESSAGE]
    # Once the ranks have joined, each may find something of its own.
    monkeypatch.setattr(command_line, "is_distributed", lambda: True)
    assert run_tool(main) == 2
    assert capsys.readouterr().err == "error: the folder is missing\n"
