from . import features as features
from . import losses as losses
