from . import features as features, losses as losses
