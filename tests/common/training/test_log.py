"""`log.csv`: rows with different columns, blank cells, damaged files, and what is read off it."""

import pytest

from common.errors import UserError
from common.training.log import format_log, images_per_second, last_values, log_curves, read_log, train_seconds

ROWS = [
    {"step": 1, "seconds": 0.5, "critic_loss": 2.0, "critic_gap": 1.5},
    {"step": 2, "seconds": 1.0, "generator_loss": -0.25},
    {"step": 3, "seconds": 1.5, "critic_loss": 1e-30, "critic_gap": 0.1, "generator_loss": 3.0},
]


def test_rows_with_different_columns_come_back_as_they_were(tmp_path):
    """An interval of one step of an alternating training measures one player alone."""
    (tmp_path / "log.csv").write_text(format_log(ROWS))
    header, *lines = (tmp_path / "log.csv").read_text().splitlines()
    assert header == "step,seconds,critic_loss,critic_gap,generator_loss"
    assert lines[1] == "2,1.0,,,-0.25", "a value that was not measured is blank"
    assert read_log(tmp_path / "log.csv") == ROWS
    assert read_log(tmp_path / "none.csv") == []


def test_values_are_read_from_the_newest_row_that_has_them():
    assert last_values(ROWS[:2], "critic_gap", "generator_loss", "z_corr") == {
        "critic_gap": 1.5,
        "generator_loss": -0.25,
    }
    assert last_values([], "critic_gap") == {} == train_seconds([])
    assert train_seconds(ROWS) == {"train_seconds": 1.5}
    assert log_curves(ROWS, "critic_gap", "z_corr") == {"critic_gap": ([1, 3], [1.5, 0.1])}


def test_images_per_second_is_a_median_without_the_first_interval():
    rows = [{"step": 10 * i, "seconds": s} for i, s in [(1, 60.0), (2, 61.0), (3, 62.0), (4, 64.0)]]
    assert images_per_second(rows, 8) == 80
    assert images_per_second(rows[:1], 8) == 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "step,seconds\n5,abc\n",
        "seconds,loss\n1,2\n",
        "step,loss\n1,2\n",
        "step,seconds\n1\n",
        "step,seconds\n1,2,3\n",
        "step,seconds\n5,1\n3,2\n",
        "step,seconds\n5,1\n5,2\n",
        "step,seconds\n1.5,2\n",
        "step,seconds\n-1,2\n",
        "\0\0\0",
        "not a log",
    ],
)
def test_damaged_log_is_refused(text, tmp_path):
    (tmp_path / "log.csv").write_text(text)
    with pytest.raises(UserError, match=r"log.csv is damaged"):
        read_log(tmp_path / "log.csv")
