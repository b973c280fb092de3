"""The embedded subsets: the same for the same versions, the promised sizes, and a truth that brute force confirms."""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from checkout import ROOT
from hypothesis import given
from hypothesis import strategies as st

from sparkprep.errors import UserError
from sparkprep.sample import Subset, build, embedded
from sparkprep.sample.__main__ import main
from sparkprep.sample.build import FILES, SampleSettings
from sparkprep.sample.harvest import PACKAGES, docstrings, harvest, split_longest
from sparkprep.sample.planting import PlantingRates, plant
from sparkprep.sample.truth import all_pairs, clusters, shingles

FEW_PACKAGES = ("jinja2", "pyparsing", "markupsafe", "packaging")
REDUCED = SampleSettings(packages=FEW_PACKAGES, stdlib=False, large=300, small=60)


@pytest.fixture(scope="session")
def large() -> Subset:
    return embedded("10k")


@pytest.fixture(scope="session")
def small(large: Subset) -> Subset:
    return embedded("1k")


def columns(path: Path) -> dict[str, list]:
    return pq.read_table(path).to_pydict()


def test_each_subset_has_exactly_the_documents_of_its_name(small: Subset, large: Subset) -> None:
    for subset, size in ((small, 1_000), (large, 10_000)):
        documents = columns(subset.documents)
        assert list(documents) == ["id", "url", "text"]
        assert len(set(documents["id"])) == len(documents["id"]) == size
        assert len(set(documents["url"])) == size
        assert documents["id"] == sorted(documents["id"])


def test_the_small_subset_is_part_of_the_large_one(small: Subset, large: Subset) -> None:
    for name in ("documents", "clusters", "sources"):
        part, whole = (set(map(str, pq.read_table(getattr(s, name)).to_pylist())) for s in (small, large))
        assert part < whole
    chosen = set(columns(small.documents)["id"])
    inside = [row for row in pq.read_table(large.pairs).to_pylist() if row["id_a"] in chosen and row["id_b"] in chosen]
    assert pq.read_table(small.pairs).to_pylist() == inside
    assert len(inside) > 100


def test_the_pairs_of_the_large_subset_agree_with_brute_force(large: Subset) -> None:
    """120 documents, half of them from pairs, against all 10,000, with nothing but Python sets."""
    documents, pairs = columns(large.documents), pq.read_table(large.pairs).to_pylist()
    sets = {id_: shingles(text) for id_, text in zip(documents["id"], documents["text"], strict=True)}
    probes = {pair["id_a"] for pair in pairs[::50]} | set(documents["id"][::150])
    expected = {}
    for a in probes:
        for b, other in sets.items():
            common = len(sets[a] & other)
            if a != b and common and common / len(sets[a] | other) >= 0.5:
                expected[min(a, b), max(a, b)] = common / len(sets[a] | other)
    stored = {(p["id_a"], p["id_b"]): p["jaccard"] for p in pairs if p["id_a"] in probes or p["id_b"] in probes}
    assert len(probes) > 120
    assert stored == expected


def test_clusters_name_every_document_by_the_least_id_of_its_cluster(large: Subset) -> None:
    rows = columns(large.clusters)
    cluster_of = dict(zip(rows["id"], rows["cluster_id"], strict=True))
    assert list(cluster_of) == columns(large.documents)["id"]
    assert all(cluster_of[cluster] == cluster <= id_ for id_, cluster in cluster_of.items())
    for pair in pq.read_table(large.pairs).to_pylist():
        assert pair["jaccard"] < 0.8 or cluster_of[pair["id_a"]] == cluster_of[pair["id_b"]]


def test_copies_are_planted_at_the_declared_rates_and_natural_ones_stand_beside_them(large: Subset) -> None:
    sources, urls = columns(large.sources), columns(large.documents)["url"]
    for kind, count in PlantingRates().counts(10_000).items():
        assert sum(url.startswith(f"https://{kind}.copies.example/") for url in urls) == count
    planted = {id_ for id_, kind in zip(sources["id"], sources["kind"], strict=True) if kind == "planted"}
    assert len(planted) == 700
    pairs = pq.read_table(large.pairs).to_pylist()
    natural = [p for p in pairs if p["jaccard"] >= 0.8 and not {p["id_a"], p["id_b"]} & planted]
    assert len(natural) > 100
    origins = {o for o in sources["planted_from"] if o is not None}
    assert origins <= set(sources["id"]) - planted


def test_exact_and_retyped_copies_have_jaccard_one(large: Subset) -> None:
    documents, sources = columns(large.documents), columns(large.sources)
    texts = dict(zip(documents["id"], documents["text"], strict=True))
    for url, id_, origin in zip(documents["url"], documents["id"], sources["planted_from"], strict=True):
        if url.startswith(("https://exact.", "https://retyped.")):
            assert shingles(texts[id_]) == shingles(texts[origin])
        if url.startswith("https://exact."):
            assert texts[id_] == texts[origin]


def test_only_long_enough_documents_are_taken(large: Subset) -> None:
    documents, kinds = columns(large.documents), columns(large.sources)["kind"]
    lengths = [len(t) for t, kind in zip(documents["text"], kinds, strict=True) if kind != "planted"]
    assert min(lengths) >= 200
    assert set(kinds) == {"docstring", "description", "licence", "planted"}


def test_two_builds_under_another_hash_seed_and_locale_are_equal_byte_for_byte(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from sparkprep.sample.build import SampleSettings, build;"
        f"build(Path(sys.argv[1]), SampleSettings(packages={FEW_PACKAGES!r}, stdlib=False, large=300, small=60))"
    )
    for name, surroundings in (("a", {"PYTHONHASHSEED": "1", "LC_ALL": "C"}), ("b", {"PYTHONHASHSEED": "2"})):
        subprocess.run([sys.executable, "-c", code, str(tmp_path / name)], env=os.environ | surroundings, check=True)
    for file in (f"{size}/{name}" for size in ("1k", "10k") for name in FILES):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_builders_at_the_same_time_leave_one_whole_cache(tmp_path: Path) -> None:
    final = tmp_path / "cache" / "subsets-x"
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: build._build_aside(final, REDUCED), range(2)))
    assert [entry.name for entry in final.parent.iterdir()] == ["subsets-x"]
    assert pq.read_metadata(Subset(final / "10k").documents).num_rows == 300
    assert pq.read_metadata(Subset(final / "1k").documents).num_rows == 60


def test_a_failed_build_leaves_nothing_behind(tmp_path: Path) -> None:
    settings = SampleSettings(packages=("markupsafe",), stdlib=False)
    with pytest.raises(UserError, match=r"carry \d+ documents, 9,300 are needed.*markupsafe"):
        build._build_aside(tmp_path / "subsets-x", settings)
    assert list(tmp_path.iterdir()) == []


def test_a_cache_that_cannot_be_made_is_named_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(UserError, match=r"file.*SPARKPREP_CACHE"):
        embedded("1k", cache=tmp_path / "file")


def test_the_cache_key_changes_with_settings_and_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    key = build.cache_key(REDUCED)
    assert key == build.cache_key(REDUCED)
    assert key != build.cache_key(SampleSettings())
    monkeypatch.setattr(build, "versions", lambda packages: dict.fromkeys(packages, "0"))
    assert key != build.cache_key(REDUCED)


def test_every_package_that_the_subsets_are_made_of_is_pinned() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = {line.partition("==")[0].lower() for line in lines if "==" in line}
    assert set(PACKAGES) <= pins


def test_the_default_cache_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SPARKPREP_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert build.default_cache() == tmp_path / "sparkprep"
    monkeypatch.setenv("SPARKPREP_CACHE", str(tmp_path / "own"))
    assert build.default_cache() == tmp_path / "own"


def test_docstrings_are_read_without_import_and_named_in_order() -> None:
    source = b'''"""Top."""
raise SystemExit("imported")
class A:
    """Of A."""
    def f(self): """Of f."""
if True:
    def g(): """Of g."""
'''
    assert list(docstrings(source, "m")) == [("m", "Top."), ("m.A", "Of A."), ("m.A.f", "Of f."), ("m.g", "Of g.")]
    assert list(docstrings(b"def {{ name }}: pass", "template")) == []


def test_splitting_reaches_the_wanted_number_and_loses_no_word() -> None:
    documents = harvest(("orjson", "pyparsing"), stdlib=False)
    wanted = len(documents) + 10
    parts = split_longest(documents, wanted)
    assert len(parts) >= wanted
    assert len({d.id for d in parts}) == len({d.url for d in parts}) == len(parts)
    words = [sorted(word for d in those for word in d.text.split()) for those in (documents, parts)]
    assert words[0] == words[1]
    assert split_longest(documents, len(documents)) == documents


def test_planting_does_not_depend_on_the_order_of_the_originals() -> None:
    originals = harvest(FEW_PACKAGES, stdlib=False)
    rates = PlantingRates()
    assert plant(originals, rates, 300, 1) == plant(originals[::-1], rates, 300, 1)
    assert plant(originals, rates, 300, 1) != plant(originals, rates, 300, 2)


def test_the_definition_of_shingles_in_the_truth() -> None:
    assert shingles("") == shingles("... --- ___") == set()
    assert shingles("One_two, THREE") == {("one", "two", "three")}
    assert shingles("a b c d e f") == {("a", "b", "c", "d", "e"), ("b", "c", "d", "e", "f")}
    assert shingles("Straße n° ½ Ⅷ x²") == {("straße", "n", "½", "ⅷ", "x²")}


@given(
    st.lists(st.lists(st.sampled_from("abc"), max_size=14).map(" ".join), max_size=12), st.sampled_from([0.1, 0.5, 1])
)
def test_all_pairs_are_those_of_brute_force(texts: list[str], floor: float) -> None:
    corpus = {f"{i:02}": text for i, text in enumerate(texts)}
    expected = []
    for a in sorted(corpus):
        for b in sorted(corpus):
            union = shingles(corpus[a]) | shingles(corpus[b])
            if a < b and union:
                jaccard = len(shingles(corpus[a]) & shingles(corpus[b])) / len(union)
                if jaccard >= floor:
                    expected.append((a, b, jaccard))
    assert all_pairs(corpus, floor) == expected


def test_clusters_join_chains_at_the_threshold_only() -> None:
    pairs = [("b", "c", 0.8), ("c", "d", 0.9), ("a", "b", 0.79)]
    assert clusters(["d", "c", "b", "a"], pairs) == [("a", "a"), ("b", "b"), ("c", "b"), ("d", "b")]


def test_the_command_copies_the_files_and_prints_their_rows(
    tmp_path: Path, small: Subset, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--size", "1k", "--out", str(tmp_path / "new" / "folder")]) == 0
    assert "1,000 rows" in capsys.readouterr().out
    for name in FILES:
        assert (tmp_path / "new" / "folder" / name).read_bytes() == (small.directory / name).read_bytes()


def test_the_command_answers_on_a_terminal_of_any_encoding_and_a_mistake_in_one_line(
    tmp_path: Path, small: Subset
) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "sparkprep.sample", *words],
            env={**os.environ, "PYTHONIOENCODING": "ascii"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
        )

    done = run("--size", "1k", "--out", "größer\n中")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == len(FILES)
    assert r"1,000 rows  gr\xf6\xdfer\n\u4e2d/documents.parquet" in done.stdout
    mistaken = run("--size", "1k", "--ouT", "x")
    assert (mistaken.returncode, mistaken.stdout) == (2, "")
    assert re.fullmatch(r"error: .*--out.*--help` tells what there is\)\n", mistaken.stderr)


def test_the_command_names_a_folder_it_cannot_write(
    tmp_path: Path, small: Subset, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("not a folder")
    assert main(["--size", "1k", "--out", str(tmp_path / "file")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {tmp_path}/file: cannot be made: ")
