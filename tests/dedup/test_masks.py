"""Bit masks of document keys: the same answers as Python sets, on Spark."""

from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkprep.dedup import masks
from sparkprep.dedup.columns import MASK
from sparkprep.documents.keys import KEY
from sparkprep.spark.tables import Table

# Around the borders of words, bit 63 (the sign of a word) alone, in company and missing, and large keys as Spark makes.
LARGE = [(1 << 33) + 63, (1 << 33) + 64, (1 << 55) + 127]
BORDERS = [0, 1, 62, 63, 64, 65, 126, 127, 128, 191, 192, 255, 256, 6399, 6400, *LARGE]
RANDOM = np.random.default_rng(2)
SETS = {
    "nothing": [],
    "bit 63 alone": [63, 127, (1 << 33) + 63],
    "all but bit 63": list(range(64, 127)),
    "borders": BORDERS,
    "some of many": sorted({*BORDERS, *range(64, 128), *RANDOM.integers(0, 3000, 800).tolist()}),
}
ALL = sorted({*BORDERS, *range(0, 3000, 3), *range(60, 130), *SETS["some of many"]})


@pytest.fixture(scope="module")
def documents(spark: SparkSession) -> DataFrame:
    return spark.createDataFrame([(k, f"text {k}") for k in ALL], f"{KEY} long, text string").cache()


@pytest.mark.parametrize("name", SETS)
def test_a_mask_answers_like_a_set(spark: SparkSession, documents: DataFrame, tmp_path: Path, name: str) -> None:
    chosen = set(SETS[name])
    table = Table(str(tmp_path / "mask"), MASK)
    table.save(masks.of_keys(np.array(SETS[name], np.int64)))
    mask = table.read(spark)
    inside, outside = masks.inside(documents, mask), masks.outside(documents, mask)
    assert inside.columns == outside.columns == documents.columns
    labelled = inside.withColumn("answer", F.lit("inside")).union(outside.withColumn("answer", F.lit("outside")))
    answers = sorted((row[KEY], row["text"], row["answer"]) for row in labelled.collect())
    assert answers == [(k, f"text {k}", "inside" if k in chosen else "outside") for k in ALL]
    assert masks.KeySet(table).contains(np.array(ALL)).tolist() == [k in chosen for k in ALL]


def test_a_mask_made_on_the_cluster_is_the_one_made_on_the_driver(spark: SparkSession, tmp_path: Path) -> None:
    for name in ("nothing", "some of many"):
        folder = tmp_path / name.replace(" ", "_")
        keys = SETS[name]
        by_driver, by_cluster = (Table(str(folder / where), MASK) for where in ("driver", "cluster"))
        by_driver.save(masks.of_keys(np.array(keys + keys[:3], np.int64)))
        rows = spark.createDataFrame([(k,) for k in keys + keys[:5]], f"{KEY} long").repartition(3)
        by_cluster.write(masks.aggregate(rows))
        driver, cluster = (sorted(map(tuple, table.read(spark).collect())) for table in (by_driver, by_cluster))
        assert driver == cluster
        assert len({word for word, _ in driver}) == len(driver), "one row for each word"


def test_a_mask_takes_16_bytes_for_64_documents() -> None:
    table = masks.of_keys(np.random.default_rng(0).permutation(64_000))
    assert table.num_rows == 1000
    assert set(table.column(1).to_pylist()) == {-1}  # all 64 bits
