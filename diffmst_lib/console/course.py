"""Settings in the course of a song: at which samples they are read, and what holds in between.

Outside of fades an automation stands still. In a fade the console is read every 5 ms: filters and compressors
keep a reading until the next one, gains go from one to the next in a straight line.

Chapter: Mix your own song.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from .automation import Automation
from .params import ConsoleParams
from .table import param_table

STEP_S = 0.005  # between two readings in a fade
Settings = ConsoleParams | Automation


def consoles_of(settings: Settings) -> list[ConsoleParams]:
    """List the consoles of a song: one, or one a section."""
    return settings.consoles if isinstance(settings, Automation) else [settings]


class Course:
    """The consoles of a song, from its first sample to its last.

    Args:
        settings: One console, or a console a section.
        tracks: The song's tracks (N, 2, T): the consoles are brought to their type.

    Attributes:
        times: The samples at which the console is read, (points,), ascending from 0.
        rooms: The settings of the effects bus that occur, (rooms, K): sections that share one share its reverb.

    Example:
        >>> soft, loud = (ConsoleParams.neutral(["kick"], sample_rate=1000) for _ in range(2))
        >>> loud.track("kick")["fader_db"] = 6.0
        >>> course = Course(Automation([0.0, 2.0], [soft, loud], ["A", "B"], fade_s=0.01), torch.zeros(1, 2, 4000))
        >>> course.times.tolist(), [round(db, 3) for db in course.strip(0)["fader_db"].tolist()]
        ([0, 1995, 2000, 2005], [0.0, 0.0, 3.0, 6.0])
    """

    def __init__(self, settings: Settings, tracks: torch.Tensor):
        moving = settings if isinstance(settings, Automation) else None
        consoles = consoles_of(settings)
        self.preset, self.sample_rate = consoles[0].preset, consoles[0].sample_rate
        num_samples, rate = tracks.shape[-1], self.sample_rate
        times = [0]
        for begin_s, end_s in moving.fades() if moving else ():
            # Rounded outwards, so that before and after a fade the consoles are exactly the sections'.
            begin, end = math.floor(begin_s * rate), math.ceil(end_s * rate)
            steps = math.ceil((end_s - begin_s) / STEP_S)
            times += [round(begin + (end - begin) * step / steps) for step in range(steps + 1)]
        self.times = np.array(sorted({time for time in times if 0 <= time < num_samples}))
        read = [moving.at(time / rate) if moving else consoles[0] for time in self.times.tolist()]
        self._tracks = torch.stack([console.tracks.detach() for console in read]).to(tracks)
        self._master = torch.stack([console.master_bus_values.detach() for console in read]).to(tracks)
        rooms = torch.stack([console.fx_bus_values.detach() for console in consoles]).to(tracks)
        self.rooms, of_sections = torch.unique(rooms, dim=0, return_inverse=True)
        self._weights = np.zeros((len(self.times), len(consoles)))
        for number, weights in enumerate(self._weights.T):
            weights[:] = section_weights(settings, number, self.times / rate)
        # A room hears a section's sends as far as the section is there.
        self.room_shares = self._weights @ np.eye(len(self.rooms))[of_sections.cpu().numpy()]

    def strip(self, row: int) -> dict[str, torch.Tensor]:
        """Return the knobs of one strip by name, (points,) each."""
        return self._by_name("track", self._tracks[:, row])

    def master_bus(self) -> dict[str, torch.Tensor]:
        """Return the knobs of the master bus by name, (points,) each."""
        return self._by_name("master_bus", self._master)

    def room(self, number: int) -> dict[str, torch.Tensor]:
        """Return the knobs of one setting of the effects bus by name, (1,) each."""
        return self._by_name("fx_bus", self.rooms[number : number + 1])

    def _by_name(self, section: str, values: torch.Tensor) -> dict[str, torch.Tensor]:
        specs = param_table(section, self.preset, self.sample_rate)
        return {spec.name: values[:, i] for i, spec in enumerate(specs)}

    def steps(self, first: int, last: int) -> tuple[slice, np.ndarray]:
        """Cut the samples from `first` to before `last` where the console is read anew.

        Returns:
            The readings that hold, and the edges of their steps (steps + 1,), from 0 to last - first.
        """
        begin = int(np.searchsorted(self.times, first, "right")) - 1
        end = int(np.searchsorted(self.times, last, "left"))
        edges = np.concatenate([[first], self.times[begin + 1 : end], [last]]) - first
        return slice(begin, end), edges

    def gains(self, readings: torch.Tensor, first: int, last: int) -> torch.Tensor:
        """Return gains from sample `first` to before `last`: straight lines between their readings.

        Args:
            readings: Gains (points, ...).
            first: A sample.
            last: A later one.

        Returns:
            Gains (..., 1) where they stand still, else (..., last - first).
        """
        here, _ = self.steps(first, last)
        some = readings[here.start : here.stop + 1]  # and the one that the last line leads to
        if bool((some == some[:1]).all()):
            return some[0][..., None]
        at, times = np.arange(first, last), self.times[here.start : here.stop + 1]
        lines = [np.interp(at, times, column) for column in some.reshape(len(some), -1).T.numpy()]
        return torch.from_numpy(np.stack(lines)).to(readings).view(*readings.shape[1:], last - first)


def section_weights(settings: Settings, number: int, seconds: np.ndarray) -> np.ndarray:
    """Tell how much of a section's console there is at some times: 1 inside it, straight lines in the fades.

    Args:
        settings: One console, or a console a section.
        number: The number of the section.
        seconds: Times (points,).

    Returns:
        Weights (points,), which add up to 1 over the sections.
    """
    weights = np.ones(len(seconds))
    fades = settings.fades() if isinstance(settings, Automation) else []
    if number > 0:
        weights *= np.interp(seconds, fades[number - 1], (0.0, 1.0))
    if number < len(fades):
        weights *= np.interp(seconds, fades[number], (1.0, 0.0))
    return weights
