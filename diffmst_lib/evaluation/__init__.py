"""Comparison of mixing systems: baselines, metrics, tables, a listening test.

Chapter: How good is a mix?
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
