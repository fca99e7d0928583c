from .console import (
    _maximum_rss_gb as _maximum_rss_gb,
    console_table as console_table,
    loss_step as loss_step,
    loss_times as loss_times,
    machine as machine,
    model_table as model_table,
    render_table as render_table,
    rendering as rendering,
    training_step as training_step,
    training_step_of_model as training_step_of_model,
)
from .loader import data_table as data_table
from .training import noise_task as noise_task, step_parts as step_parts, step_table as step_table
