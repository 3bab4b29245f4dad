"""The report of a robustness run as one HTML page that needs nothing beside it."""

from mmseg_robust.evaluation.page.document import write_page

__all__ = ["write_page"]
