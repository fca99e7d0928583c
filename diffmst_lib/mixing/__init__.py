"""Mixes of whole songs: their results, baselines without a reference, optimization, and by a network.

Chapters: A first mix, Style by optimization, The controller.
"""
