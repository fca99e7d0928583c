"""Mixes of a song: results, baselines, fits, whole songs."""
