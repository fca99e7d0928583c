from . import effects as effects, params as params, released as released
