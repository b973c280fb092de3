"""What a block of work has shuffled, as Spark counts it: its own jobs and no others."""

from pyspark.sql import SparkSession

from sparkprep.spark.shuffles import shuffled_bytes


def shuffle(spark: SparkSession, rows: int) -> None:
    spark.sparkContext.parallelize(range(rows), 2).map(lambda n: (n, n.to_bytes(100))).partitionBy(2).count()


def test_only_the_jobs_of_the_block_are_counted(spark: SparkSession) -> None:
    with shuffled_bytes(spark) as nothing:
        spark.sparkContext.parallelize(range(10), 2).count()
        assert nothing() == 0
    with shuffled_bytes(spark) as told:
        shuffle(spark, 500)
        once = told()
        shuffle(spark, 500)
        assert told() == 2 * once
    shuffle(spark, 500)
    with shuffled_bytes(spark) as inside, shuffled_bytes(spark) as within:
        shuffle(spark, 500)
        assert inside() == within() == once
    assert once > 500
