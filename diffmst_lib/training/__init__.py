"""Training: the two methods of the paper, its five variants, one loop.

Chapters: Method 1, Method 2, Training at scale.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
