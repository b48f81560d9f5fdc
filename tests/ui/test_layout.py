"""Every device is visible at any size from 60x15 up."""

from hypothesis import given
from hypothesis import strategies as st

from gputop.ui.charts.layout import CELL_WIDTH, PANE_WIDTH, ROW_WIDTH, choose

HOST_AND_BARS = 3


@given(st.integers(1, 16), st.integers(60, 400), st.integers(15, 120), st.integers(1, 600))
def test_the_chosen_form_fits_and_leaves_the_table_its_rows(devices, width, height, table_rows):
    rows = height - HOST_AND_BARS
    grid = choose(devices, width, rows, table_rows)
    assert grid.columns * -(-grid.height // grid.item_height) >= devices
    assert grid.height <= rows
    least = {"pane": PANE_WIDTH, "row": ROW_WIDTH, "cell": CELL_WIDTH}[grid.form]
    assert width // grid.columns >= least


@given(st.integers(1, 16), st.integers(60, 400), st.integers(20, 120))
def test_more_rows_never_give_a_poorer_form(devices, width, rows):
    rank = {"cell": 0, "row": 1, "pane": 2}
    smaller = choose(devices, width, rows, 10)
    larger = choose(devices, width, rows + 1, 10)
    assert rank[larger.form] >= rank[smaller.form]


def test_a_few_devices_on_a_big_terminal_get_tall_charts():
    assert choose(1, 120, 36, 4).chart_rows > 2
    assert choose(2, 200, 46, 8).chart_rows > 2


def test_sixteen_devices_fit_the_smallest_terminal():
    grid = choose(16, 60, 15 - HOST_AND_BARS, 30)
    assert grid.form == "cell"
    assert grid.height == 8
