"""Sliders on the effects."""
