"""Signatures: Fast Similarity Sketching against its definition in plain Python, its theory, and datasketch."""

import doctest
import hashlib
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from datasketch import MinHash, MinHashLSH
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from sparkprep.dedup.kernels import sketch as module
from sparkprep.dedup.kernels.bands import SLOTS
from sparkprep.dedup.kernels.shingles import shingle_set
from sparkprep.dedup.kernels.sketch import EMPTY, MANY, fast_similarity_sketch, sketch


def estimate_jaccard(a: npt.NDArray[np.uint64], b: npt.NDArray[np.uint64]) -> float:
    """The share of slots in which two signatures agree."""
    return float((a == b).mean())


MASK = (1 << 64) - 1
shingle_lists = st.lists(st.integers(0, MASK), min_size=1, max_size=40)


def signature(shingles: Iterable[int] | np.ndarray, seed: int = 1, slots: int = SLOTS) -> np.ndarray:
    values = np.array(shingles, np.uint64)
    out = np.empty(slots, np.uint64)
    fast_similarity_sketch(values, len(values), np.uint64(seed), out)
    return out


# The definition, step by step -----------------------------------------------------------------------------------------


def splitmix(x: int) -> int:
    x = (x + 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def hash_of_round(shingle: int, turn: int, seed: int) -> int:
    key = splitmix((seed + turn) & MASK)
    product = (shingle ^ key) * (splitmix(key) | 1)
    return (product >> 64) ^ (product & MASK)


def by_definition(shingles: Iterable[int], seed: int = 1, slots: int = SLOTS) -> list[int]:
    """Rounds 0..t-1 throw every shingle at a slot of chance, rounds t..2t-1 at slot round - t; the least stays."""
    best: dict[int, tuple[int, int]] = {}
    for turn in range(2 * slots):
        for x in set(shingles):
            h = hash_of_round(x, turn, seed)
            slot = h % slots if turn < slots else turn - slots
            value = (turn, h >> 8)
            best[slot] = min(best.get(slot, value), value)
        if len(best) == slots:
            break
    return [best[s][0] << 56 | best[s][1] for s in range(slots)]


@given(shingle_lists, st.integers(0, (1 << 63) - 1))
@hypothesis_settings(max_examples=40)
def test_a_signature_is_that_of_the_definition(shingles: list[int], seed: int) -> None:
    assert signature(shingles, seed).tolist() == by_definition(shingles, seed)


@pytest.mark.parametrize("n", [1, 2, 127, 128, 129, 500, 3000, MANY + 500])
def test_a_signature_of_any_size_is_that_of_the_definition(n: int) -> None:
    shingles = np.random.default_rng(n).integers(0, MASK, n, np.uint64, endpoint=True)
    assert signature(shingles, 7).tolist() == by_definition(shingles.tolist(), 7)


@given(st.lists(st.integers(0, MASK), min_size=1, max_size=6), st.sampled_from([1, 2, 4, 8, 16]))
def test_few_slots_reach_the_rounds_that_fill_what_chance_left_empty(shingles: list[int], slots: int) -> None:
    assert signature(shingles, 3, slots).tolist() == by_definition(shingles, 3, slots)


def test_the_last_rounds_are_reached_and_right() -> None:
    """With two slots, chance leaves one empty in rounds 0 and 1 for half of all single shingles."""
    late = 0
    for x in range(200):
        found = signature([x], 1, 2).tolist()
        assert found == by_definition([x], 1, 2)
        late += max(found) >> 56 >= 2
    assert late > 50


@given(shingle_lists, st.data())
def test_order_and_repeats_of_shingles_do_not_matter(shingles: list[int], data: st.DataObject) -> None:
    more = data.draw(st.permutations(shingles + data.draw(st.lists(st.sampled_from(shingles), max_size=20))))
    assert signature(more).tolist() == signature(shingles).tolist()


@pytest.mark.parametrize("distinct", [1, 3, 50, 400])
def test_a_long_text_of_few_shingles_is_signed_as_those_few(distinct: int) -> None:
    random = np.random.default_rng(distinct)
    few = random.integers(0, MASK, distinct, np.uint64, endpoint=True)
    said_over = np.concatenate([few, random.choice(few, 3 * MANY)])
    assert signature(said_over).tolist() == signature(few).tolist()
    words = " ".join(["one two three four five six seven"] * 2000)
    assert len(words.split()) > MANY
    seven = sketch(pa.array(["one two three four five six seven one two three four"])).signatures
    assert sketch(pa.array([words])).signatures.tolist() == seven.tolist()


def test_another_seed_makes_another_signature() -> None:
    shingles = np.random.default_rng(0).integers(0, MASK, 50, np.uint64, endpoint=True)
    made = [signature(shingles, seed) for seed in range(4)]
    for i, a in enumerate(made):
        for b in made[:i]:
            assert estimate_jaccard(a, b) < 0.05
    text = pa.array(["some words that make more than one shingle"])
    assert not np.array_equal(sketch(text, seed=1).signatures, sketch(text, seed=2).signatures)


# Accuracy -------------------------------------------------------------------------------------------------------------

SHARES = (0.35, 0.6, 0.8, 0.9)  # of a document's shingles that the other one has too
PAIRS_PER_SHARE = 1000


def make_pairs(size: int, random: np.random.Generator) -> list[tuple[np.ndarray, int, int]]:
    """For each share (the pairs' unions, their columns being [shared | first | second]; shared; size of the second)."""
    made = []
    for share in SHARES:
        shared = max(1, round(share * size))
        second = shared + round((size - shared) * 0.75)  # the two differ in size as well
        union = size + second - shared
        made.append((random.integers(0, MASK, (PAIRS_PER_SHARE, union), np.uint64, endpoint=True), shared, second))
    return made


def sketch_estimates(unions: np.ndarray, shared: int, size: int) -> np.ndarray:
    a, b = np.empty(SLOTS, np.uint64), np.empty(SLOTS, np.uint64)
    seed, estimates = np.uint64(1), np.empty(len(unions))
    for i, union in enumerate(unions):
        first, second = union[:size].copy(), np.concatenate([union[:shared], union[size:]])
        fast_similarity_sketch(first, first.size, seed, a)
        fast_similarity_sketch(second, second.size, seed, b)
        estimates[i] = estimate_jaccard(a, b)
    return estimates


def minhash_estimates(unions: np.ndarray, shared: int, size: int, random: np.random.Generator) -> np.ndarray:
    """k-permutation MinHash: 128 hash functions x -> (a x + b) mod 2**64, a odd, the least value of each stays."""
    factors = random.integers(0, MASK, SLOTS, np.uint64, endpoint=True) | np.uint64(1)
    terms = random.integers(0, MASK, SLOTS, np.uint64, endpoint=True)
    agree = np.zeros(len(unions))
    for start in range(0, len(unions), 50):
        part = unions[start : start + 50]
        for a, b in zip(factors, terms, strict=True):
            hashed = part * a + b
            both = hashed[:, :shared].min(axis=1)
            first = np.minimum(both, hashed[:, shared:size].min(axis=1))
            second = np.minimum(both, hashed[:, size:].min(axis=1))
            agree[start : start + 50] += first == second
    return agree / SLOTS


@pytest.mark.parametrize("size", [8, 25, 60, 150, 600])
def test_the_estimate_is_unbiased_and_no_worse_than_minhash(size: int) -> None:
    random = np.random.default_rng([42, size])
    ours, theirs, bias, theory = [], [], [], []
    for unions, shared, second in make_pairs(size, random):
        jaccard = shared / (size + second - shared)
        error = sketch_estimates(unions, shared, size) - jaccard
        bias.append((error.mean(), error.std() / np.sqrt(len(error)), jaccard))
        ours.append(error)
        theirs.append(minhash_estimates(unions, shared, size, random) - jaccard)
        theory.append(jaccard * (1 - jaccard) / SLOTS)
    for mean, standard_error, jaccard in bias:
        assert abs(mean) <= 4 * standard_error, f"at Jaccard {jaccard:.3f}"
    errors = np.concatenate(ours)
    assert len(errors) >= 2000
    assert abs(errors.mean()) <= 4 * errors.std() / np.sqrt(len(errors))
    rmse, reference = (np.sqrt((np.concatenate(e) ** 2).mean()) for e in (ours, theirs))
    assert reference == pytest.approx(np.sqrt(np.mean(theory)), rel=0.05)
    assert rmse <= 1.05 * reference
    if size <= 60:
        assert rmse <= 0.85 * reference  # short texts are what this sketch is chosen for


def test_disjoint_sets_do_not_agree_and_equal_ones_do() -> None:
    random = np.random.default_rng(3)
    for n in (1, 5, 200):
        a, b = random.integers(0, MASK, (2, n), np.uint64, endpoint=True)
        assert estimate_jaccard(signature(a), signature(b)) == 0.0
        assert estimate_jaccard(signature(a), signature(a[::-1])) == 1.0


# Columns of texts -----------------------------------------------------------------------------------------------------

TEXTS = ["The quick brown fox jumps over the lazy dog.", None, "", "...", "naïve 日本", "日本語の文章です", "x " * 40]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.binary(), pa.large_binary()])
def test_a_column_is_sketched_row_by_row_whatever_its_arrow_type(kind: pa.DataType) -> None:
    found = sketch(pa.array(TEXTS).cast(kind))
    for i, text in enumerate(TEXTS):
        shingles = shingle_set(text or "")
        expected = signature(shingles) if shingles.size else np.full(SLOTS, EMPTY)
        assert found.signatures[i].tolist() == expected.tolist()
        assert (found.shingles[i] == 0) == (shingles.size == 0)
    assert found.shingles.tolist() == [5, 0, 0, 0, 1, 4, 36]
    assert found.text_hash[1:4].tolist() == [0, 0, 0]


def test_null_and_wordless_texts_have_empty_signatures() -> None:
    for texts in (pa.array([None, None], pa.string()), pa.array(["", ""]), pa.array(["?!", " "])):
        found = sketch(texts)
        assert (found.signatures == EMPTY).all()
        assert found.shingles.tolist() == [0, 0]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_a_slice_is_sketched_as_its_own_rows(kind: pa.DataType) -> None:
    texts = pa.array(TEXTS, kind)
    everything = sketch(texts)
    for start in range(len(TEXTS) + 1):
        for stop in range(start, len(TEXTS) + 1):
            part = sketch(texts.slice(start, stop - start))
            assert part.signatures.tolist() == everything.signatures[start:stop].tolist()
            assert part.shingles.tolist() == everything.shingles[start:stop].tolist()
            assert part.text_hash.tolist() == everything.text_hash[start:stop].tolist()


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.binary()])
def test_a_chunk_of_no_rows_has_no_signatures(kind: pa.DataType) -> None:
    # The format allows an empty array without offsets, or with none in them.
    bare = [pa.Array.from_buffers(kind, 0, [None, where, pa.py_buffer(b"")]) for where in (None, pa.py_buffer(b""))]
    for texts in (pa.array([], kind), pa.array(TEXTS).cast(kind).slice(3, 0), *bare):
        found = sketch(texts)
        assert found.signatures.shape == (0, SLOTS)
        assert found.shingles.shape == found.text_hash.shape == (0,)


def test_the_width_of_shingles_is_respected() -> None:
    text = pa.array(["one two three four five six"])
    assert [int(sketch(text, width=w).shingles[0]) for w in (1, 2, 5, 6, 7)] == [6, 5, 2, 1, 1]


# Partners -------------------------------------------------------------------------------------------------------------


def test_datasketch_takes_the_signatures() -> None:
    base = " ".join(f"word{i}" for i in range(100))
    texts = [base, base.replace("word50", "another"), " ".join(f"other{i}" for i in range(100)), base.upper() + "!"]
    signatures = sketch(pa.array(texts)).signatures
    hashes = [MinHash(num_perm=SLOTS, hashvalues=s, scheme="affine64") for s in signatures]
    for a, x in zip(hashes, signatures, strict=True):
        for b, y in zip(hashes, signatures, strict=True):
            assert a.jaccard(b) == estimate_jaccard(x, y)
    assert hashes[0].jaccard(hashes[3]) == 1.0
    lsh = MinHashLSH(threshold=0.8, num_perm=SLOTS)
    for name, h in zip("abcd", hashes, strict=True):
        lsh.insert(name, h)
    assert set(lsh.query(hashes[0])) == {"a", "b", "d"}
    assert lsh.query(hashes[2]) == ["c"]


def test_the_examples_in_the_docstrings_hold() -> None:
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0


GOLDEN = {
    "The quick brown fox jumps over the lazy dog.": ("54b88f902d026b993f9a8ffa0273ac20", 0x5AE92461E8B0AEF3),
    "Ünïcode: ΑΣ, İstanbul, Ⅷ and ½ in one line": ("9bf6146e42dba64696a16e7dddb6c8f7", 0x3A09D045A1872387),
    "日本語の文章には空白がない。": ("6775f85861ef2e3b269cac10b2be5a0d", 0xA3EAD102FBF2DE21),
    "short": ("86e42df73f36c00e26f377de740bf458", 0x39F9661AEFF0BA5A),
}


@pytest.mark.parametrize("text", GOLDEN)
def test_the_hashes_are_the_same_on_every_platform(text: str) -> None:
    """Written down once. An index or a run of yesterday would no longer match one of today if these changed."""
    digest, text_hash = GOLDEN[text]
    found = sketch(pa.array([text]))
    assert int(found.text_hash[0]) == text_hash
    assert hashlib.sha256(found.signatures.astype("<u8").tobytes()).hexdigest()[:32] == digest
