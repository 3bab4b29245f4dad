"""Says at the start of a training which test corruptions it trains on."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from mmengine.logging import print_log

from mmseg_robust.augmentations import BatchAugmentation, overlap
from mmseg_robust.corruptions.protocols import PROTOCOLS


def log_seen_corruptions(augmentations: Mapping[str, BatchAugmentation]) -> None:
    """Logs which corruptions of the known protocols resemble what views train on.

    A warning if there are any: scores on them are not scores on unseen corruptions.

    Args:
        augmentations (Mapping): Of the views that are drawn, by their names.
    """
    lines, warn = [], False
    for view, augmentation in augmentations.items():
        seen = {name: overlap(augmentation, test) for name, test in PROTOCOLS.items()}
        names = sorted({corruption for found in seen.values() for corruption in found})
        unseen = [name for name, found in seen.items() if not found]
        warn = warn or bool(names)
        lines.append(
            f"  view {view!r} ({type(augmentation).__name__}): {', '.join(names) or 'none'}; "
            f"protocols without any of them: {', '.join(unseen) or 'none'}"
        )
    print_log(
        "Test corruptions that resemble the augmentations of this training, so that scores on them "
        "are not scores on unseen corruptions:\n" + "\n".join(lines),
        logger="current",
        level=logging.WARNING if warn else logging.INFO,
    )
