"""The values of a metric during training."""

import json

from common.experiments.gan import MetricHistory


def test_history_is_sorted_by_step_and_leaves_out_the_untrained_networks(tmp_path):
    history = MetricHistory(tmp_path / "run" / "distances.json")
    assert history.curve() == ([], [])
    for step, value in ((0, 9.0), (1000, 2.5), (200, 4.0)):
        history.record(step, value)
    assert history.curve() == ([200, 1000], [4.0, 2.5])


def test_history_of_a_resumed_run_replaces_what_is_computed_again(tmp_path):
    first = MetricHistory(tmp_path / "modes.json")
    first.record(100, 7)
    first.record(200, 8)
    resumed = MetricHistory(tmp_path / "modes.json")
    resumed.record(200, 9)
    assert resumed.curve() == ([100, 200], [7, 9])
    assert json.loads((tmp_path / "modes.json").read_text()) == {"100": 7, "200": 9}
