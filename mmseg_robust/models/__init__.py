"""Model components: feature augmentation, data preprocessors, outputs of encoder stages."""

from mmseg_robust.models.data_preprocessors import CorruptionSegDataPreProcessor
from mmseg_robust.models.feature_augmentation import CWFA, CWFANeck, cwfa_backbone
from mmseg_robust.models.stage_outputs import StageOutput, find_stage_outputs

__all__ = [
    "CWFA",
    "CWFANeck",
    "CorruptionSegDataPreProcessor",
    "StageOutput",
    "cwfa_backbone",
    "find_stage_outputs",
]
