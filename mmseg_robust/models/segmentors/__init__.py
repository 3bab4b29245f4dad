"""Segmentors for training with several views of each image."""

from mmseg_robust.models.segmentors.multi_view import (
    MultiViewCascadeEncoderDecoder,
    MultiViewEncoderDecoder,
)

__all__ = ["MultiViewCascadeEncoderDecoder", "MultiViewEncoderDecoder"]
