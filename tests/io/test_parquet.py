"""What a Parquet file that is being written holds in memory."""

from pathlib import Path

import pyarrow as pa

from sparkprep.io.parquet import parquet_sink

LONG = 16 << 20


def test_a_long_text_is_held_for_its_page_and_not_as_its_own_statistics(tmp_path: Path) -> None:
    schema = pa.schema([("id", pa.int64()), ("text", pa.string())])
    batch = pa.RecordBatch.from_pydict({"id": [1], "text": ["abcdefgh" * (LONG // 8)]}, schema)
    before = pa.total_allocated_bytes()
    with parquet_sink(str(tmp_path / "long.parquet"), schema, plain=["text"], row_group_bytes=1) as sink:
        sink.write(batch)
        held = (pa.total_allocated_bytes() - before) / LONG
    assert held < 3  # the page, and the page compressed; the least and the greatest, twice each, would be four more
