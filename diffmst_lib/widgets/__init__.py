"""Sound in a notebook or on a page: players to compare mixes, a desk to make one, sliders on the effects."""

from diffmst_lib.widgets.desk import Desk, desk
from diffmst_lib.widgets.encoding import encode_audio
from diffmst_lib.widgets.explore import explore_bypass, explore_compressor, explore_equalizer, explore_pan
from diffmst_lib.widgets.explorer import Explorer
from diffmst_lib.widgets.sounds import Sounds, listen

__all__ = [
    "Desk", "Explorer", "Sounds", "desk", "encode_audio", "explore_bypass", "explore_compressor",
    "explore_equalizer", "explore_pan", "listen",
]
