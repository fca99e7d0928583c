from . import controller as controller, encoder as encoder
