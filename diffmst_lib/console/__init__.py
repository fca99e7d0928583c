"""The mixing console: its table of parameters, its effects, and those of the released code.

Chapters: Gain and pan, The equalizer, The compressor, The console.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
