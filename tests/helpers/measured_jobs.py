"""A job for measurements in processes of their own, which import it by name."""

import os
import signal


def ended_by_the_system(system, num_tracks, seconds):
    """A job that is ended as the system ends one for want of memory."""
    return lambda: os.kill(os.getpid(), signal.SIGKILL)
