"""Records out of archives of every packing, sound and damaged."""

import gzip
import io
import random
from collections.abc import Callable

import pytest
import zstandard
from warc_files import answer, archive, bomb, html, record, responses

from sparkprep.extract import members
from sparkprep.extract.members import MemberSource
from sparkprep.extract.records import Damage, Record, read_records

LIMIT = 1 << 20


def read(data: bytes, limit: int = LIMIT) -> list[Record | Damage]:
    return list(read_records(io.BytesIO(data), limit))


def sound(data: bytes) -> list[str]:
    return [r.headers["warc-target-uri"][20:] for r in read(data) if isinstance(r, Record) and not r.fault]


def with_dictionary(records: list[bytes], packed: bool) -> bytes:
    words = zstandard.train_dictionary(4000, [answer(html(n)) + bytes([n]) for n in range(200)])
    engine = zstandard.ZstdCompressor(dict_data=words)
    frame = zstandard.compress(words.as_bytes()) if packed else words.as_bytes()
    head = b"\x5d\x2a\x4d\x18" + len(frame).to_bytes(4, "little") + frame
    return head + b"".join(engine.compress(each) for each in records)


def in_blocks(records: list[bytes]) -> bytes:
    whole = b"".join(records)
    return b"".join(gzip.compress(whole[i : i + 100]) for i in range(0, len(whole), 100))


@pytest.mark.parametrize(
    "pack",
    [
        lambda records: archive(records, bytes),
        archive,
        lambda records: gzip.compress(b"".join(records)),
        lambda records: archive(records, zstandard.compress),
        lambda records: with_dictionary(records, packed=False),
        lambda records: with_dictionary(records, packed=True),
        in_blocks,
        lambda records: archive(records) + bytes(10_000),
    ],
    ids=["plain", "gzip", "one gzip", "zstd", "dictionary", "packed dictionary", "blocks across records", "padded"],
)
def test_the_records_are_the_same_however_they_are_packed(pack: Callable[[list[bytes]], bytes]) -> None:
    found = read(pack(responses(9)))
    assert [r.block for r in found if isinstance(r, Record)] == [answer(html(n)) for n in range(9)]
    assert not any(r.fault for r in found)


def test_a_record_lies_at_the_offset_that_is_told() -> None:
    records = responses(5)
    for pack in (bytes, gzip.compress):
        data = archive(records, pack)
        for number, found in enumerate(read(data)):
            assert data[found.offset :].startswith(pack(records[number]))


@pytest.mark.parametrize("cut", [1, 9, 200])
def test_an_archive_that_ends_too_early_gives_all_before(cut: int) -> None:
    for pack in (gzip.compress, zstandard.compress):
        data = archive(responses(5), pack)
        found = read(data[:-cut])
        assert sound(data[:-cut]) == ["0", "1", "2", "3"]
        assert found[-1].fault
        assert found[-1].offset + found[-1].lost == len(data) - cut


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress], ids=["plain", "gzip", "zstd"])
def test_damage_costs_the_record_that_it_is_in(pack: Callable[[bytes], bytes]) -> None:
    records = [pack(each) for each in responses(6)]
    middle = len(records[3]) // 2 if pack is not bytes else 3
    records[3] = records[3][:middle] + b"\xff" * 40 + records[3][middle + 40 :]
    data = b"".join(records)
    assert sound(data) == ["0", "1", "2", "4", "5"]
    faults = [each for each in read(data) if each.fault]
    assert [(each.offset, each.offset + each.lost) for each in faults] == [
        (len(b"".join(records[:3])), len(b"".join(records[:4])))
    ]


@pytest.mark.parametrize("cut", [5, 40, 150, 250, 400])
@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress], ids=["plain", "gzip", "zstd"])
def test_a_record_that_was_cut_short_costs_not_the_one_behind_it(pack: Callable[[bytes], bytes], cut: int) -> None:
    """As where a crawler died, and the next one went on with its file."""
    records = [pack(each) for each in responses(6)]
    records[2] = records[2][: min(cut, len(records[2]) - 4)]
    data = b"".join(records)
    assert sound(data) == ["0", "1", "3", "4", "5"]
    (fault,) = (each for each in read(data) if each.fault)
    assert (fault.offset, fault.offset + fault.lost) == (len(b"".join(records[:2])), len(b"".join(records[:3])))


def test_an_archive_whose_first_bytes_are_damaged_is_known_by_its_next_member() -> None:
    for pack in (gzip.compress, zstandard.compress):
        data = b"\xff\xff" + archive(responses(4), pack)[2:]
        assert sound(data) == ["1", "2", "3"]


def test_bytes_that_begin_many_members_are_not_searched_without_end() -> None:
    """Each of these says that 64 KB of what follows are its own, as they lie."""
    data = (gzip.compress(b"WARC/1.0" + bytes(100_000), 0)[:40] * 20_000) + b"\xff" * (1 << 17) + archive(responses(2))
    assert sound(data) == ["0", "1"]
    source = MemberSource(io.BytesIO(data), "gzip")
    while source.next():
        pass
    assert source._searched < (members._SEARCHES + 1) * (len(data) + members._SEARCHED_AGAIN)


@pytest.mark.parametrize("told", ["1", "100000", "x", ""])
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_a_record_whose_length_lies_costs_no_other(told: str, pack: Callable[[bytes], bytes]) -> None:
    records = responses(4)
    length = f"Content-Length: {len(answer(html(1)))}".encode()
    records[1] = records[1].replace(length, f"Content-Length: {told}".encode())
    data = archive(records, pack)
    assert sound(data) == ["0", "2", "3"]
    assert sum(1 for each in read(data) if each.fault) == 1


def test_what_is_no_archive_is_damage() -> None:
    for data in (b"hello", gzip.compress(b"hello"), b"\x1f\x8b\x08", random.Random(1).randbytes(100_000)):
        assert all(isinstance(each, Damage) for each in read(data))
        assert read(data)
    assert read(b"") == []


def test_a_block_beyond_the_limit_is_cut_and_the_next_record_read() -> None:
    large = record("response", random.Random(1).randbytes(3 * LIMIT), "https://example.org/large")
    for pack in (bytes, gzip.compress, zstandard.compress):
        found = read(archive([large, *responses(2)], pack))
        assert isinstance(found[0], Record)
        assert (len(found[0].block), found[0].length, found[0].fault) == (LIMIT, 3 * LIMIT, "")
        assert sound(archive([large, *responses(2)], pack))[-2:] == ["0", "1"]


def test_a_bomb_is_given_up_and_the_next_record_read() -> None:
    head = record("response", b"").replace(b"Content-Length: 0", b"Content-Length: 10000000000").rstrip()
    data = bomb(1 << 28, head + b"\r\n\r\n") + archive(responses(2))
    found = read(data)
    assert "inflates to more than" in found[0].fault
    assert sound(data) == ["0", "1"]
