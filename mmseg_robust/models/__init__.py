"""Model components: feature augmentation, several views, data preprocessors, stage outputs."""

from mmseg_robust.models.autoencoders import LinearLatentAutoEncoder
from mmseg_robust.models.classifiers import multi_view_image_classifier
from mmseg_robust.models.data_preprocessors import (
    BlurLevelPreprocessor,
    CorruptionSegDataPreProcessor,
)
from mmseg_robust.models.feature_augmentation import CWFA, CWFANeck, cwfa_backbone
from mmseg_robust.models.multi_view import FMATerm, JensenShannonTerm, StabilityTerm, TaskLossTerm
from mmseg_robust.models.segmentors import MultiViewCascadeEncoderDecoder, MultiViewEncoderDecoder
from mmseg_robust.models.stage_outputs import StageOutput, find_stage_outputs

__all__ = [
    "CWFA",
    "BlurLevelPreprocessor",
    "CWFANeck",
    "CorruptionSegDataPreProcessor",
    "FMATerm",
    "JensenShannonTerm",
    "LinearLatentAutoEncoder",
    "MultiViewCascadeEncoderDecoder",
    "MultiViewEncoderDecoder",
    "StabilityTerm",
    "StageOutput",
    "TaskLossTerm",
    "cwfa_backbone",
    "find_stage_outputs",
    "multi_view_image_classifier",
]
