"""Names and groups of the corruptions."""

from __future__ import annotations

import pytest

from mmseg_robust.compat import load_imagecorruptions
from mmseg_robust.corruptions import COMMON, EXTRA, GROUPS, NAMES
from mmseg_robust.corruptions.checks import check_name, check_severity
from mmseg_robust.errors import InputError


def test_names_are_those_of_imagecorruptions() -> None:
    package = load_imagecorruptions()
    assert list(COMMON) == package.get_corruption_names("common")
    assert list(EXTRA) == package.get_corruption_names("validation")


def test_groups_hold_every_name_once() -> None:
    assert sorted(name for names in GROUPS.values() for name in names) == sorted(NAMES)


def test_an_unknown_name_gets_a_suggestion() -> None:
    assert check_name("fog") == "fog"
    with pytest.raises(InputError, match=r"Unknown corruption 'gausian_noise'.*'gaussian_noise'"):
        check_name("gausian_noise")
    with pytest.raises(InputError, match="Known: gaussian_noise, shot_noise"):
        check_name("xyz")


@pytest.mark.parametrize("severity", [-1, 6, 2.0, "3", True])
def test_a_bad_severity_is_refused(severity: object) -> None:
    with pytest.raises(InputError, match="integer from 0"):
        check_severity(severity)  # type: ignore[arg-type]
