import json

import pytest

from tests.golden import footprint

RECORDED = json.loads(footprint.PATH.read_text())


def _grown(found, recorded):
    """What is more than 3 % above its record."""
    return {what: n for what, n in found.items() if n > 1.03 * recorded[what]}


@pytest.mark.parametrize("name", footprint.NAMES)
def test_nothing_grows_by_more_than_three_percent(name):
    found = footprint.measure_one(name)
    assert set(found) == set(RECORDED[name])
    assert not _grown(found, RECORDED[name])


def test_growth_would_be_seen():
    record = RECORDED["cnn_small"]
    assert _grown({**record, "code_bytes": round(1.04 * record["code_bytes"])}, record)
    assert not _grown({**record, "code_bytes": round(1.02 * record["code_bytes"])}, record)
