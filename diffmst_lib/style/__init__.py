"""The style of a mix: audio features, and losses between them.

Chapters: Audio features, Losses.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
