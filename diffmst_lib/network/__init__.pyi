from . import controller as controller
from . import encoder as encoder
