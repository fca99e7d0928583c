"""Tools for notebooks: comparisons, players, explorers, the desk, exercises.

Chapters: A first mix, Gain and pan, The equalizer, The compressor, The console, Losses.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
