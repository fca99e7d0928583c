from .desk.desk import Desk as Desk, desk as desk
from .exercises import check as check, checker as checker
from .explorers.base import Explorer as Explorer
from .explorers.effects import (
    explore_bypass as explore_bypass,
    explore_compressor as explore_compressor,
    explore_equalizer as explore_equalizer,
    explore_pan as explore_pan,
)
from .players.encoding import encode_audio as encode_audio
from .players.sounds import Sounds as Sounds, listen as listen
from .sheet import Comparison as Comparison, compare as compare
