"""Feature augmentation: CWFA and the three ways to attach it."""

from mmseg_robust.models.feature_augmentation.backbone_wrapper import cwfa_backbone
from mmseg_robust.models.feature_augmentation.cwfa import CWFA
from mmseg_robust.models.feature_augmentation.neck import CWFANeck

__all__ = ["CWFA", "CWFANeck", "cwfa_backbone"]
