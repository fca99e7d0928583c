"""Sound in a notebook or on a page: players to compare mixes, and faders to make one."""

from diffmst_lib.widgets.board import Faders, faders
from diffmst_lib.widgets.encoding import encode_audio
from diffmst_lib.widgets.sounds import Sounds, listen

__all__ = ["Faders", "Sounds", "encode_audio", "faders", "listen"]
