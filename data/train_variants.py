"""Train the paper's five variants in the size of `small`: `python data/train_variants.py INDEX --output FOLDER`.

Method 1 with the spectral loss, of at most 8 and of 16 stems; both again, fine-tuned with the audio-feature loss; and
method 2. Each gets the same data and the same number of updates, and none is rehearsed or sees a known answer, so that
the variants differ in method, loss and number of stems alone. The same command again goes on where it stopped.

FOLDER/NAME holds the training of a variant, FOLDER/weights/NAME its weights in half precision and its logs.
"""

import argparse
import shutil
from pathlib import Path

import diffmst_lib as dm
from diffmst_lib.command.arguments import count
from diffmst_lib.data.index import SongIndex

LOGS = ("log.csv", "validation.csv")
EXAMPLES = 8  # of a validation


def settings(name: str, size: str, steps: int) -> dm.training.Recipe:
    """Make the recipe of a variant."""
    return dm.training.recipe(name, size, steps=steps, known=0.0, validate_every=min(300, steps))


def train(name: str, index: SongIndex, folder: Path, size: str, steps: int) -> None:
    """Train a variant, from the weights of the one that it starts from, and keep its weights and logs."""
    wanted = settings(name, size, steps)
    init = dm.DiffMST.from_pretrained(folder / wanted.starts_from) if wanted.starts_from else None
    hardware = dm.training.Hardware(workers=1)
    run = dm.training.train(
        wanted,
        index,
        folder / name,
        init=init,
        resume=True,
        hardware=hardware,
        validation_examples=EXAMPLES,
        progress=True,
    )
    kept = run.model.save_pretrained(folder / "weights" / name, half=True)
    for log in LOGS:
        shutil.copy(folder / name / log, kept / log)


def main(arguments: list[str] | None = None) -> None:
    """Train all variants that are not finished."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("index", metavar="INDEX", help="folder with the index or cache of a data set")
    parser.add_argument("--output", required=True, type=Path, metavar="FOLDER", help="folder for trainings")
    parser.add_argument("--steps", type=count, default=600, help="updates of each variant (default: 600)")
    parser.add_argument("--preset", choices=("tiny", "small"), default="small", help="size of the models")
    options = parser.parse_args(arguments)
    index = SongIndex.load(options.index)
    for name in dm.training.VARIANTS:  # each after the one that it starts from
        print(name)
        train(name, index, options.output, options.preset, options.steps)


if __name__ == "__main__":
    main()
