"""Training: recipes, the two methods, the loop. Chapters 12 to 14."""

from .loop import Run, Stopped, examples_of, train, update
from .methods import Task, distance_from_neutral, make_task, method1_task, method2_task, random_params, task_loss, vary
from .recipes import VARIANTS, Recipe, recipe
from .validation import held_out, judge, summary

__all__ = [
    "VARIANTS", "Recipe", "Run", "Stopped", "Task", "distance_from_neutral", "examples_of", "held_out", "judge", "make_task",
    "method1_task", "method2_task", "random_params", "recipe", "summary", "task_loss", "train", "update", "vary",
]
