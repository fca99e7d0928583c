"""What a figure shows, once it has been drawn."""

import matplotlib.pyplot as plt


def drawn(figure):
    """The labels of the axes, once the figure has been drawn."""
    figure.canvas.draw()
    assert plt.get_fignums() == []  # else a notebook shows it twice
    return [(axis.get_xlabel(), axis.get_ylabel()) for axis in figure.axes]


def entries(figure):
    """The texts of its legends."""
    legends = [*figure.legends, *(axis.get_legend() for axis in figure.axes)]
    return [text.get_text() for legend in legends if legend for text in legend.get_texts()]


def curves(axis):
    """Its labeled lines by name, as (x, y)."""
    return {line.get_label(): line.get_data() for line in axis.lines if not line.get_label().startswith("_")}


def ticks(axis):
    """The texts along its frequency axis; those between them are blank."""
    assert not any(label.get_text() for label in axis.get_xticklabels(minor=True))
    return [label.get_text() for label in axis.get_xticklabels()]
