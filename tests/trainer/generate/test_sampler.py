"""A seed draws llm.c's coins; tokens come as often as the softmax says, and none that top-k or top-p shuts out."""

import ctypes

import numpy as np
import pytest
from bounds import FLOAT64, TRANSCENDENTAL, worst
from hypothesis import given
from hypothesis import strategies as st

from sparkprep.errors import UserError
from trainer.generate.sampler import Choice, Coins, Sampler, pick, walk_in_float32

# Few distinct values, so that many are equal.
LOGITS = st.lists(st.integers(-8, 8), min_size=1, max_size=40).map(lambda values: np.array(values, np.float32) / 2)

# An exp, two sums of up to 40 terms (one to divide by, one to compare with the coin) and a product, in float64.
BORDER = worst(TRANSCENDENTAL + 2 * 40 + 4, FLOAT64)


def softmax(logits):
    weights = np.exp(logits.astype(np.float64) - logits.max())
    return weights / weights.sum()


def ranked(logits):
    """Ids from the likeliest on, of equals the least first."""
    return sorted(range(len(logits)), key=lambda i: (-logits[i], i))


def test_the_coins_are_llm_cs():
    coins = Coins(1337)
    assert [round(coins.next(), 8) for _ in range(3)] == [0.23031723, 0.19051826, 0.31086516]


@given(st.integers(1, 2**64 - 1))
def test_every_coin_is_a_float32_below_1(seed):
    coins = Coins(seed)
    for _ in range(20):
        coin = coins.next()
        assert 0 <= coin < 1
        assert float(np.float32(coin)) == coin


@pytest.mark.parametrize("seed", [0, -1, 2**64])
def test_a_seed_without_random_numbers_is_refused(seed):
    with pytest.raises(UserError, match=f"the seed {seed}"):
        Coins(seed)


def test_the_same_seed_draws_the_same_tokens_and_another_seed_others():
    logits = np.random.default_rng(0).normal(size=(50, 1000)).astype(np.float32)

    def draw(seed):
        sampler = Sampler(seed)
        return [sampler.draw(row) for row in logits]

    assert draw(5) == draw(5)
    assert draw(5) != draw(6)


def test_tokens_come_as_often_as_the_softmax_says():
    logits = np.linspace(-2, 2, 12).astype(np.float32)
    sampler = Sampler(1337, Choice(temperature=0.8))
    draws = 20_000
    seen = np.bincount([sampler.draw(logits) for _ in range(draws)], minlength=12)
    expected = draws * softmax(logits / 0.8)
    chi_square = ((seen - expected) ** 2 / expected).sum()
    assert chi_square < 31.26  # exceeded by one seed in a thousand at 11 degrees of freedom


@given(LOGITS, st.floats(0, 1, exclude_max=True))
def test_a_draw_walks_the_cumulative_sum(logits, coin):
    probabilities = Choice().probabilities(logits)
    reached, expected = 0.0, None
    for token, probability in enumerate(probabilities):
        reached += probability
        if coin < reached:
            expected = token
            break
    found = pick(probabilities, coin)
    # Where the coin falls on a border but for rounding, either neighbour is right.
    assert found == expected or abs(np.cumsum(probabilities)[min(found, len(logits) - 1)] - coin) <= BORDER


def llmc_walk(logits, coin):
    """llm.c's sample_softmax, a term at a time; expf is that of the C library."""
    expf = ctypes.CDLL(None).expf
    expf.restype, expf.argtypes = ctypes.c_float, [ctypes.c_float]
    weights = [np.float32(expf(logit)) for logit in logits.tolist()]
    border = np.float32(coin * sum(map(float, weights)))
    reached = np.float32(0)
    for token, weight in enumerate(weights):
        reached += weight
        if border < reached:
            return token
    return len(logits) - 1


@pytest.mark.parametrize("spread", [0.02, 1.0, 6.0])
def test_a_seed_draws_the_tokens_that_llm_c_draws(spread):
    random = np.random.default_rng(7)
    coins, sampler = Coins(11), Sampler(11)
    others = 0
    for _ in range(8):
        logits = (spread * random.normal(size=50257)).astype(np.float32)
        coin = coins.next()
        token = sampler.draw(logits)
        assert token == llmc_walk(logits, coin)
        others += token != pick(Choice().probabilities(logits), coin)
    assert spread > 0.1 or others  # in float64 some of them are others


def test_a_running_sum_that_ends_below_the_coin_gives_the_last_token():
    # 1 + 2^-25 is 1 in float32, so that the second to the 41st add nothing.
    logits = np.array([0.0, *[-25 * np.log(2)] * 40], np.float32)
    assert llmc_walk(logits, 1 - 2**-24) == 40
    assert walk_in_float32(logits, 1 - 2**-24) == 40


@pytest.mark.parametrize("shift", [200.0, -200.0])
def test_logits_beyond_what_expf_holds_are_drawn_all_the_same(shift):
    logits = np.log(np.array([0.25, 0.5, 0.25])) + shift
    assert walk_in_float32(logits, 0.5) is None
    sampler = Sampler(3)
    assert {sampler.draw(logits) for _ in range(60)} == {0, 1, 2}


@pytest.mark.parametrize("coin", [0.0, 0.5, 1 - 2**-24])
def test_a_token_without_probability_is_never_drawn(coin):
    assert pick(np.array([0.0, 0.0, 0.3, 0.0, 0.7 - 1e-16, 0.0]), coin) in (2, 4)


@given(LOGITS, st.integers(1, 45))
def test_top_k_leaves_the_k_likeliest_in_their_proportions(logits, k):
    found = Choice(top_k=k).probabilities(logits)
    kept = ranked(logits)[:k]
    assert sorted(np.flatnonzero(found)) == sorted(kept)
    expected = softmax(logits)[kept]
    np.testing.assert_allclose(found[kept], expected / expected.sum(), rtol=2 * BORDER)


@given(LOGITS, st.floats(0.01, 1.0))
def test_top_p_leaves_the_fewest_tokens_that_have_the_share(logits, p):
    found = Choice(top_p=p).probabilities(logits)
    kept = int((found > 0).sum())
    assert sorted(np.flatnonzero(found)) == sorted(ranked(logits)[:kept])
    shares = np.cumsum(softmax(logits)[ranked(logits)])
    assert kept >= 1
    assert shares[kept - 1] >= p - 2 * BORDER
    assert kept == 1 or p == 1 or shares[kept - 2] < p + 2 * BORDER
    assert abs(found.sum() - 1) <= BORDER


def test_top_p_counts_what_temperature_and_top_k_left():
    logits = np.log(np.array([0.4, 0.3, 0.2, 0.1]))
    assert np.flatnonzero(Choice(top_p=0.65).probabilities(logits)).tolist() == [0, 1]
    # Of the first two, the likeliest alone has 0.57; divided by a temperature of a half, 0.64,
    # so exactly that the last digit of an exp would decide about a top-p of 0.64.
    assert np.flatnonzero(Choice(top_k=2, top_p=0.57).probabilities(logits)).tolist() == [0]
    assert np.flatnonzero(Choice(0.5, top_k=2, top_p=0.63).probabilities(logits)).tolist() == [0]


@given(LOGITS)
def test_temperature_0_takes_the_likeliest_and_the_least_id_of_equals(logits):
    assert Sampler(1, Choice(temperature=0)).draw(logits) == ranked(logits)[0]


@pytest.mark.parametrize("temperature", [1e-300, 1e-5, 1.0, 1e300])
def test_extreme_logits_and_temperatures_stay_probabilities(temperature):
    found = Choice(temperature=temperature).probabilities(np.array([-3e38, 3e38, -np.inf, 2.9e38], np.float32))
    assert np.isfinite(found).all()
    assert abs(found.sum() - 1) <= BORDER
    assert found[2] == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_logits_that_are_no_numbers_are_refused(bad):
    with pytest.raises(UserError, match="no finite logits"):
        Sampler().draw(np.array([0.0, bad, 1.0]))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"temperature": -0.1}, "temperature -0.1"),
        ({"temperature": float("nan")}, "temperature nan"),
        ({"temperature": float("inf")}, "temperature inf"),
        ({"top_k": 0}, "top-k 0"),
        ({"top_p": 0.0}, "top-p 0.0"),
        ({"top_p": 1.5}, "top-p 1.5"),
        ({"top_p": float("nan")}, "top-p nan"),
    ],
)
def test_a_choice_that_leaves_nothing_is_refused(arguments, told):
    with pytest.raises(UserError, match=told):
        Choice(**arguments)
