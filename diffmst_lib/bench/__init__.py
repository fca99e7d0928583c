"""Measurements of time and memory: `diffmst bench`. Ratios within one run count."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
