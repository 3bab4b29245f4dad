"""Dynamic sparse training: how many weights of each layer are active, and which ones, over a run.

Pure functions and small classes that need torch alone, but for the broadcast of masks;
:class:`~mmseg_robust.engine.hooks.DynamicSparseTrainingHook` puts them into a run. Read in this
order: ``settings`` (what a user chooses), ``densities`` (active weights by layer), ``schedule``
(when masks change), ``updates`` (drop and grow), ``rules`` (the methods), ``masks`` (weights and
optimizer state).
"""
