"""What listeners are asked."""

import pytest

from diffmst_lib.evaluation.listening.scales import SCALES, as_data, role


def test_the_four_scales():
    assert list(SCALES) == ["like the record", "balance", "clarity", "overall"]
    for scale in as_data():
        assert all(scale.values()) and scale["question"][-1] in "?."
        assert len({scale["low"], scale["middle"], scale["high"]}) == 3


@pytest.mark.parametrize(
    ("system", "expected"),
    [("equal-loudness", "anchor"), ("equal-loudness-stereo", "system"), ("human", "human")],
)
def test_roles(system, expected):
    assert role(system) == expected
