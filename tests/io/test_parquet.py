"""What a Parquet file that is being written holds in memory; that it is read as it was written or not at all."""

from pathlib import Path

import pyarrow as pa
import pytest

from sparkprep.errors import UserError
from sparkprep.io.parquet import open_parquet, parquet_sink, write_parquet

LONG = 16 << 20


def test_a_long_text_is_held_for_its_page_and_not_as_its_own_statistics(tmp_path: Path) -> None:
    schema = pa.schema([("id", pa.int64()), ("text", pa.string())])
    batch = pa.RecordBatch.from_pydict({"id": [1], "text": ["abcdefgh" * (LONG // 8)]}, schema)
    before = pa.total_allocated_bytes()
    with parquet_sink(str(tmp_path / "long.parquet"), schema, plain=["text"], row_group_bytes=1) as sink:
        sink.write(batch)
        held = (pa.total_allocated_bytes() - before) / LONG
    assert held < 3  # the page, and the page compressed; the least and the greatest, twice each, would be four more


@pytest.mark.parametrize("compression", ["none", "snappy"])
def test_a_page_that_was_changed_on_the_disk_is_an_error_and_no_other_rows(tmp_path: Path, compression: str) -> None:
    path = tmp_path / "part.parquet"
    batch = pa.RecordBatch.from_pydict({"id": list(range(1000)), "text": [f"text {n}" for n in range(1000)]})
    write_parquet(str(path), iter([batch]), batch.schema, compression=compression, plain=["text"])
    content = bytearray(path.read_bytes())
    content[len(content) // 4] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="checksum"), open_parquet(str(path)) as file:
        file.read()
