"""Figures for notebooks and reports. Each function draws one figure and returns it.

Chapters: A first mix, Gain and pan, The equalizer, The compressor, Audio features, Losses.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
