from .loop import Run as Run, Stopped as Stopped, examples_of as examples_of, train as train, update as update
from .methods import (
    Task as Task,
    distance_from_neutral as distance_from_neutral,
    make_task as make_task,
    method1_task as method1_task,
    method2_task as method2_task,
    random_params as random_params,
    task_loss as task_loss,
    vary as vary,
)
from .recipes import Recipe as Recipe, VARIANTS as VARIANTS, recipe as recipe
from .validation import held_out as held_out, judge as judge, summary as summary
