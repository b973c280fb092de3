"""The published laws: each gives for GPT-2 124M what is known of it, and the prior is their mean."""

import pytest

from trainer.tune.experiments import Scale
from trainer.tune.literature import predictions, prior

TARGET = Scale(12, 768, 12, 4725)


@pytest.mark.parametrize(
    ("source", "rate"),
    [
        ("GPT-3 table", 6e-4),
        ("Kaplan", 6.9e-4),
        ("DeepSeek", 1.66e-3),
        ("modded-nanogpt, AdamW", 2.3e-3),
        ("Step Law 2025", 3.0e-3),
        ("Porian", 5.2e-3),
        ("Wen", 8e-3),
    ],
)
def test_a_law_predicts_what_it_is_known_to(source: str, rate: float) -> None:
    (found,) = [each for each in predictions(TARGET) if each.source.startswith(source)]
    assert found.rate == pytest.approx(rate, rel=0.04)


def test_the_prior_for_the_course_s_run_is_two_thousandths_give_or_take_three_quarters_of_an_octave() -> None:
    known = prior(TARGET)
    assert known.rate == pytest.approx(2e-3, rel=0.05)
    assert known.octaves == pytest.approx(0.75, abs=0.05)
    assert known.interval() == pytest.approx((1.2e-3, 3.4e-3), rel=0.05)


def test_longer_training_wants_a_lower_rate_and_far_from_the_sources_the_doubt_grows() -> None:
    shorter, tiny = prior(Scale(12, 768, 12, 400)), prior(Scale(1, 64, 1, 128))
    assert shorter.rate > prior(TARGET).rate
    assert tiny.octaves > 2 * prior(TARGET).octaves
