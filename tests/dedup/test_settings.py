"""Settings: every value that cannot work is refused with a message that names it."""

from dataclasses import FrozenInstanceError, fields

import pytest

from sparkprep.dedup.kernels.bands import RECALL, probability
from sparkprep.dedup.settings import Settings
from sparkprep.errors import UserError, called_by_flags
from sparkprep.options import options_of

REFUSED = [
    ({"threshold": 0.0}, "threshold"),
    ({"threshold": -0.5}, "threshold"),
    ({"threshold": 1.01}, "threshold"),
    ({"threshold": 80}, "threshold"),
    ({"threshold": float("nan")}, "threshold"),
    ({"threshold": 0.03}, "threshold"),
    ({"threshold": 0.001}, "threshold"),
    ({"rule": "both"}, "rule"),
    ({"rule": ""}, "rule"),
    ({"shingle_words": 0}, "shingle_words"),
    ({"shingle_words": -5}, "shingle_words"),
    ({"seed": -1}, "seed"),
    ({"seed": 1 << 64}, "seed"),
    ({"bucket_cap": 1}, "bucket_cap"),
    ({"bucket_leaders": 0}, "bucket_leaders"),
    ({"driver_budget": -1}, "driver_budget"),
    ({"keep": ""}, "keep"),
    ({"keep": "-"}, "keep"),
    ({"max_bad": "many"}, "max_bad"),
    ({"max_bad": "-1"}, "max_bad"),
    ({"bands": 10}, "rows"),
    ({"rows": 10}, "bands"),
    ({"bands": 0, "rows": 5}, "bands: 0"),
    ({"bands": 5, "rows": -1}, "rows: -1"),
    ({"bands": 20, "rows": 7}, "bands=20 rows=7"),
]


@pytest.mark.parametrize(("values", "name"), REFUSED, ids=lambda v: str(v))
def test_a_value_that_cannot_work_is_refused_by_its_name_in_python_and_by_its_flag(values: dict, name: str) -> None:
    with pytest.raises(UserError) as refused:
        Settings(**values)
    assert name in str(refused.value)
    flag = "--" + name.split("=")[0].split(":")[0].replace("_", "-")
    assert flag not in str(refused.value)
    with called_by_flags(), pytest.raises(UserError) as refused:
        Settings(**values)
    assert flag in str(refused.value)


@pytest.mark.parametrize(
    "values",
    [
        {"threshold": 1.0},
        {"threshold": 0.05},
        {"shingle_words": 1},
        {"seed": 0},
        {"bucket_cap": 2},
        {"bucket_leaders": 1},
        {"driver_budget": 0},
        {"keep": "-date"},
        {"keep": "first"},
        {"rule": "component"},
        {"bands": 16, "rows": 8},
        {"threshold": 0.01, "bands": 128, "rows": 1},  # whoever names the bands answers for the recall
    ],
    ids=str,
)
def test_values_at_the_border_are_taken(values: dict) -> None:
    settings = Settings(**values)
    assert all(getattr(settings, name) == value for name, value in values.items())


def test_the_defaults_are_those_of_the_documentation() -> None:
    settings = Settings()
    assert (settings.threshold, settings.keep, settings.rule, settings.shingle_words) == (0.8, "longest", "leader", 5)
    assert (settings.text_column, settings.id_column, settings.source_column) == ("text", None, None)


def test_the_banding_in_force_is_the_given_one_or_that_of_the_threshold() -> None:
    given = Settings(threshold=0.9, bands=20, rows=5).banding
    assert (given.bands, given.rows) == (20, 5)
    for threshold in (0.5, 0.7, 0.8, 0.95):
        chosen = Settings(threshold=threshold)
        assert probability(threshold, chosen.banding.bands, chosen.banding.rows) >= RECALL - 1e-12


def test_settings_do_not_change_once_made() -> None:
    with pytest.raises(FrozenInstanceError):
        Settings().threshold = 0.5  # type: ignore[misc]


def test_every_setting_is_an_option_with_a_meaning_and_its_default() -> None:
    options = list(options_of(Settings))
    assert [each.name for each in options] == [f.name for f in fields(Settings)]
    for each in options:
        assert each.default == getattr(Settings(), each.name)
        assert len(each.meaning) > 10


@pytest.mark.parametrize("values", [{"threshold": "0.7"}, {"seed": 1.5}, {"rows": "6", "bands": 3}, {"keep": None}])
def test_a_value_of_another_type_is_refused(values: dict) -> None:
    with pytest.raises(UserError, match=f"^{next(iter(values))}: .* is not a"):
        Settings(**values)
