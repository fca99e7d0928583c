from . import effects as effects
from . import params as params
from . import released as released
