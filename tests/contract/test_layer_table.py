"""docs/models.md says of every layer what is true of it."""

import keras
import pytest

from keras_gxnor import GXNORDense, converters
from tests.contract import layer_table as table


def _row(place, row):
    """Our own layers in `make test`, and every sixth of the others; all of them in .ci/run."""
    quick = row.label.startswith(("GXNOR", "Discrete")) or place % 6 == 0
    return pytest.param(row, id=row.label, marks=[] if quick else pytest.mark.slow)


@pytest.mark.parametrize("row", [_row(*pair) for pair in enumerate(table.ROWS)])
def test_the_row_of_the_docs_is_what_happens(row):
    found = table.cells(row)
    assert "WRONG" not in found
    assert table.written()[found[0]] == table.text([found]).splitlines()[-1]


def test_the_docs_have_these_rows_and_no_others():
    assert len(table.written()) == len(table.ROWS)


def test_a_layer_that_does_not_train_is_seen():
    class Frozen(GXNORDense):
        def read_kernels(self):
            return tuple(map(keras.ops.stop_gradient, super().read_kernels()))

    row = table.Row("frozen", lambda: Frozen(8), table.FLAT, table.kernel)
    assert not table.trains(table.model_of(row), row)


def test_a_wrong_back_end_is_seen(monkeypatch):
    class Report:
        ok = False

    monkeypatch.setattr(converters, "verify", lambda *_: Report())
    assert table.cells(table.ROWS[0])[2:5] == ("WRONG",) * 3
