"""A listening test: one page to listen and rate, the ratings collected, and what they say.

Chapter: Results
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
