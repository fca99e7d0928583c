"""The mixing console: its table of parameters, its effects, and the released code's."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
