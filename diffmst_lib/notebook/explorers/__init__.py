"""Explorers: controls, pictures and players for the effects.

Chapters: Gain and pan, The equalizer, The compressor, The console.
"""
