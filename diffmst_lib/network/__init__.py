"""What is learned: the configuration, the encoders, the controller, and their files.

Chapters: The encoder, The controller.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
