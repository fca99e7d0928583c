"""Audio in and out: decoding files, resampling, loading songs, measuring loudness.

Chapters: A first mix, Data.
"""
