"""What has to be seen on a GPU, in one command of under five minutes: `python tests/gpu_check.py`.

It runs the device tests, compares the GPU with the CPU, times the console, takes a training step of `small`
and of `paper`, trains for a minute, and prints one table. It exits with 0 when everything is as it should be
and with 1 when something is not. Without a GPU it says so in one line and exits with 2. `--cpu` runs the same
in miniature on the CPU, with the ways to compute that a GPU takes, so that this script itself is tested.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import math
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import torch

import diffmst_lib as dm
from diffmst_lib.bench import noise_task
from diffmst_lib.console import effects
from diffmst_lib.console.engines.ballistics import smooth
from diffmst_lib.training import Hardware, Recipe, Stopped, distance_from_neutral, recipe, task_loss, train

RATE = 44100
WRONG = "NOT AS IT SHOULD BE"
CLOSE_DB = -60.0  # differences and gradients on the GPU are below this, against the CPU's
DEVICE_TESTS = Path(__file__).parent / "test_device.py"


@dataclass(frozen=True)
class Size:
    """How much to do.

    Attributes:
        device: "cuda" or "cpu".
        tests: What to say to pytest.
        compared_s: Length of the sounds that are compared.
        console: Stereo stems and seconds of the console.
        steps: Models, and examples and stereo stems of their step.
        step_s: Length of those stems.
        trained: The model that is trained, and for how many seconds.
    """

    device: str
    tests: tuple[str, ...]
    compared_s: float
    console: tuple[int, float]
    steps: dict[str, tuple[dm.ModelConfig, int, int]]
    step_s: float
    trained: tuple[str, float]


def full() -> Size:
    """What a GPU does."""
    models = {name: dm.ModelConfig.preset(name) for name in ("small", "paper")}
    steps = {"small": (models["small"], 8, 8), "paper": (models["paper"], 2, 4)}
    return Size("cuda", (str(DEVICE_TESTS),), 10.0, (16, 10.0), steps, 5.0, ("small", 60.0))


def miniature() -> Size:
    """The same on a CPU, in seconds."""
    small = dm.ModelConfig.preset("tiny")
    sizes = {"width": 8, "layers": 1, "heads": 2, "feedforward": 8, "channels": (2, 4), "chunk": 2}
    paper = dataclasses.replace(dm.ModelConfig.preset("paper"), pools=((4, 4), (8, 4)), **sizes)
    steps = {"small": (small, 1, 3), "paper": (paper, 1, 2)}
    one_test = f"{DEVICE_TESTS}::test_no_tensor_is_made_on_the_default_device"
    return Size("cpu", (one_test,), 0.25, (3, 0.25), steps, 1.0, ("tiny", 2.0))


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    """White noise at -20 dB."""
    return 0.1 * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def wait(device: str) -> None:
    """Let the GPU finish."""
    if device == "cuda":
        torch.cuda.synchronize()


def seconds(job: Callable[[], object], device: str, repeats: int = 3) -> float:
    """Median time of a job, after a run that compiles."""
    job()
    times = []
    for _ in range(repeats):
        wait(device)
        began = time.perf_counter()
        job()
        wait(device)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def row(what: str, good: bool | None = None, **cells: str) -> dict[str, str]:
    """A row of the table; `good` is None for what is only measured."""
    verdict = {None: "", True: "ok", False: WRONG}[good]
    return {"what": what, "CPU": "", "GPU": "", "difference": ""} | cells | {"": verdict}


def device_tests(size: Size) -> dict[str, str]:
    """The tests of devices, in a process of their own."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *size.tests]
    done = subprocess.run(command, capture_output=True, text=True, cwd=DEVICE_TESTS.parents[1])
    if done.returncode:
        print(done.stdout[-4000:], done.stderr[-2000:], sep="\n")
    summary = (done.stdout.strip().splitlines() or ["nothing printed"])[-1].strip("= ")
    return row("device tests", done.returncode == 0, GPU=summary)


def knobs(num_tracks: int, device: str) -> list[torch.Tensor]:
    """A console in the unit interval, leaves of a graph."""
    generator = torch.Generator().manual_seed(0)
    shapes = (
        (num_tracks, len(dm.param_table("track"))),
        (len(dm.param_table("fx_bus")),),
        (len(dm.param_table("master_bus")),),
    )
    units = [0.1 + 0.8 * torch.rand(shape, generator=generator) for shape in shapes]
    return [unit.to(device).requires_grad_() for unit in units]


def comparisons(size: Size) -> dict[str, Callable[[str, bool], list[torch.Tensor]]]:
    """Functions of a device and of whether it stands for the GPU, that give a result and its gradients."""
    samples = round(size.compared_s * RATE)

    def with_gradients(
        compute: Callable[..., torch.Tensor], *inputs: torch.Tensor, device: str
    ) -> list[torch.Tensor]:
        leaves = [x.detach().to(device).requires_grad_() for x in inputs]
        y = compute(*leaves)
        return [y.detach(), *torch.autograd.grad(y.square().sum(), leaves)]

    def equalizer(device: str, gpu: bool) -> list[torch.Tensor]:
        frequencies = torch.tensor([[60.0, 200.0, 700.0, 2000.0, 6000.0, 9000.0]] * 2)
        gains = torch.tensor([[6.0, -4.0, 3.0, -6.0, 4.0, 2.0]] * 2)
        return with_gradients(
            lambda x, gain_db, frequency_hz, q: effects.parametric_eq(
                x,
                sample_rate=RATE,
                gain_db=gain_db,
                frequency_hz=frequency_hz,
                q=q,
                backend="fft" if gpu else "recursion",
            ),
            noise(2, 2, samples),
            gains,
            frequencies,
            torch.full((2, 6), 1.2),
            device=device,
        )

    def compressor(device: str, gpu: bool) -> list[torch.Tensor]:
        names = ("threshold_db", "ratio", "attack_ms", "release_ms", "knee_db", "makeup_gain_db")
        values = torch.tensor(
            [[-30.0, -24.0], [4.0, 2.0], [5.0, 20.0], [80.0, 200.0], [6.0, 3.0], [2.0, 0.0]]
        )
        return with_gradients(
            lambda x, *knobs: effects.compressor(
                x,
                sample_rate=RATE,
                lookahead_samples=441,
                backend="steps" if gpu else "compiled",
                **dict(zip(names, knobs, strict=True)),
            ),
            noise(2, 2, samples),
            *values,
            device=device,
        )

    def smoother(device: str, gpu: bool) -> list[torch.Tensor]:
        poles = torch.tensor([0.99, 0.5]), torch.tensor([0.9998, 0.99])
        return with_gradients(smooth, -100 * noise(2, samples).abs(), *poles, device=device)

    def reverb(device: str, gpu: bool) -> list[torch.Tensor]:
        bands = torch.rand(2, 1, 12, generator=torch.Generator().manual_seed(2))
        return with_gradients(
            lambda x, gains, decays: effects.reverb(
                x, sample_rate=RATE, band_gains=gains, band_decays=decays, mix=0.5
            ),
            noise(1, 2, samples),
            *bands,
            device=device,
        )

    def features(device: str, gpu: bool) -> list[torch.Tensor]:
        return with_gradients(
            lambda mix: torch.cat([f.flatten() for f in dm.audio_features(mix).values()]),
            noise(1, 2, samples) * torch.tensor([[1.0], [0.6]]),
            device=device,
        )

    def losses(device: str, gpu: bool) -> list[torch.Tensor]:
        mixes = noise(2, 2, samples), noise(2, 2, samples, seed=3) * torch.tensor([[1.0], [0.4]])
        target = mixes[1].to(device)

        def both(mix: torch.Tensor) -> torch.Tensor:
            return dm.audio_feature_loss(mix, target)["total"] + dm.mrstft_loss(mix, target)

        return with_gradients(both, mixes[0], device=device)

    def console(device: str, gpu: bool) -> list[torch.Tensor]:
        units, tracks = knobs(4, device), noise(4, 2, samples).to(device)
        mix = dm.MixingConsole(RATE)(tracks, dm.ConsoleParams.from_unit(*units), fx_bus=True).mix
        return [mix.detach(), *torch.autograd.grad(mix.square().sum(), units)]

    return {
        "equalizer": equalizer,
        "compressor": compressor,
        "smooth" + (" (Triton)" if size.device == "cuda" and find_spec("triton") else ""): smoother,
        "reverb": reverb,
        "features": features,
        "losses": losses,
        "console, effects bus on": console,
    }


def difference_db(found: torch.Tensor, wanted: torch.Tensor, but: int = 0) -> float:
    """The largest difference, `but` that many values, in dB against the largest value that is wanted."""
    wanted = wanted.double()
    errors = (found.cpu().double() - wanted).abs().flatten()
    error = errors.topk(but + 1).values[-1] / wanted.abs().max()
    return 20 * torch.log10(error.clamp(min=1e-15)).item()


def compare(size: Size) -> Iterator[dict[str, str]]:
    """The largest difference of a result and of its gradients.

    Of the gradients one value in 1,000 does not count: where a gain stands between falling and returning,
    rounding decides whether it follows the attack or the release.
    """
    for name, compute in comparisons(size).items():
        pairs = list(zip(compute(size.device, True), compute("cpu", False), strict=True))
        result = difference_db(*pairs[0])
        gradient = max(difference_db(*pair, but=pair[0].numel() // 1000) for pair in pairs[1:])
        text = f"{result:.0f} dB, gradients {gradient:.0f} dB"
        yield row(name, max(result, gradient) < CLOSE_DB, difference=text)


def time_console(size: Size) -> dict[str, str]:
    """Console forward and backward, without the effects bus."""
    num_tracks, length = size.console
    cells = {}
    for label, device in (("CPU", "cpu"), ("GPU", size.device)):
        tracks = noise(num_tracks, 2, round(length * RATE)).to(device)

        def step(device: str = device, tracks: torch.Tensor = tracks) -> None:
            params = dm.ConsoleParams.from_unit(*knobs(num_tracks, device))
            dm.MixingConsole(RATE)(tracks, params, fx_bus=False).mix.square().mean().backward()

        cells[label] = f"{seconds(step, device):.3f} s"
    return row(f"console, forward and backward, {num_tracks} stereo stems x {length:g} s", **cells)


def training_steps(size: Size) -> Iterator[dict[str, str]]:
    """An update of each model on noise: time, and on a GPU the most memory that it holds."""
    for name, (config, batch_size, num_stems) in size.steps.items():
        task = noise_task(batch_size, num_stems, size.step_s, as_channels=not config.stems)
        parts = {f.name: getattr(task, f.name) for f in dataclasses.fields(task)}
        on_device = {k: v.to(size.device) for k, v in parts.items() if isinstance(v, torch.Tensor)}
        task = dataclasses.replace(task, **on_device)
        settings, model = recipe("af-16", config), dm.DiffMST(config).to(size.device)
        optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate)
        lengths = []

        def step(model=model, optimizer=optimizer, task=task, settings=settings, lengths=lengths) -> None:
            passes = max(1, model.config.passes)
            mix, params = model(task.tracks, task.reference, pans=task.pans, mask=task.mask, passes=passes)
            distance = distance_from_neutral(params, task.pans, task.mask)
            optimizer.zero_grad()
            (task_loss(mix, task, settings) + settings.pull * distance).backward()
            lengths.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)))
            optimizer.step()

        if size.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        text = f"{seconds(step, size.device):.3f} s"
        if size.device == "cuda":
            text += f", {torch.cuda.max_memory_allocated() / 1e9:.2f} GB"
        finite = all(map(math.isfinite, lengths))
        what = f"training step of {name}, {batch_size} x {num_stems} stereo stems x {size.step_s:g} s"
        yield row(what, finite, GPU=text)


def until_time_is_up(settings: Recipe, length: float) -> Recipe:
    """The same recipe, but that it stops a training as Ctrl-C does, `length` seconds after its first step.

    Not before the log has two rows, of ten steps each.
    """
    began: list[float] = []

    class Timed(Recipe):
        def rate(self, step: int) -> float:
            began.append(time.perf_counter())
            if step >= 20 and began[-1] - began[0] > length:
                signal.raise_signal(signal.SIGINT)
            return super().rate(step)

    return Timed(**vars(settings))


def train_for_a_while(size: Size) -> dict[str, str]:
    """Train on the songs that come with the library, and stop."""
    model, length = size.trained
    index = dm.data.SongIndex.load(dm.data_dir())
    much = {"steps": 100_000, "validate_every": 100_000, "first_look": 8}
    if size.device == "cpu":
        much |= {"batch_size": 1, "seconds": 1.0}
    hardware = Hardware(accelerator=size.device, workers=0 if size.device == "cpu" else 4)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", dm.InputNote)  # that these songs are few
        settings = until_time_is_up(recipe("af-16", model, **much), length)
        with contextlib.suppress(Stopped):
            train(settings, index, folder, hardware=hardware, validation_examples=2)
        log = pd.read_csv(Path(folder) / "log.csv")
    steps, losses = log["step"].iloc[-1], log["loss"]
    few = max(1, len(losses) // 10)
    text = f"{steps} steps in {length:g} s, loss {losses[:few].mean():.3f} to {losses[-few:].mean():.3f}"
    return row(f"training {model}", bool(losses.notna().all()), GPU=text)


def main(arguments: list[str] | None = None) -> int:
    """Run it all; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cpu", action="store_true", help="the same in miniature on the CPU")
    options = parser.parse_args(arguments)
    if not options.cpu and not torch.cuda.is_available():
        print("no GPU: nothing was checked (--cpu runs the same in miniature on the CPU)")
        return 2
    size = miniature() if options.cpu else full()
    name = "CPU in the GPU's place" if options.cpu else torch.cuda.get_device_name()
    triton = "with" if find_spec("triton") else "without"
    print(f"{name}, torch {torch.__version__}, {triton} Triton, {torch.get_num_threads()} threads")
    began = time.perf_counter()
    rows = [device_tests(size), *compare(size), time_console(size), *training_steps(size)]
    rows.append(train_for_a_while(size))
    print(pd.DataFrame(rows).to_string(index=False))
    print(summary(rows, time.perf_counter() - began))
    return int(any(map(is_wrong, rows)))


def is_wrong(one: dict[str, str]) -> bool:
    """Whether a row is not as it should be."""
    return one[""] == WRONG


def summary(rows: list[dict[str, str]], took_s: float) -> str:
    """The last line: how long it took, and what is wrong."""
    wrong = [one["what"] for one in rows if is_wrong(one)]
    return f"{took_s:.0f} s; " + (f"wrong: {', '.join(wrong)}" if wrong else "all as it should be")


if __name__ == "__main__":
    sys.exit(main())
