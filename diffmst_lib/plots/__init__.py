"""Figures, for notebooks, reports and tables alike: a file an idea, a function a figure, which it returns."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
