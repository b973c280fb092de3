"""A place names a document for ever; the keys of a run are found from it and back."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sparkprep.dedup.index.layout import MOST_CRAWLS, MOST_PIECES, MOST_ROWS, Places, number_of_piece, place, serial_of

PIECES = st.lists(
    st.tuples(st.integers(0, MOST_CRAWLS - 1), st.integers(0, MOST_PIECES - 1), st.integers(1, MOST_ROWS)),
    min_size=1,
    max_size=8,
    unique_by=lambda piece: piece[:2],
)


@given(pieces=PIECES, data=st.data())
def test_places_and_keys_stand_for_each_other(pieces: list[tuple[int, int, int]], data: st.DataObject) -> None:
    starts = np.cumsum([0, *(rows for *_, rows in pieces)])[:-1].tolist()
    first = [place(serial, piece) for serial, piece, _ in pieces]
    places = Places(first, starts)
    which = data.draw(st.integers(0, len(pieces) - 1))
    serial, piece, rows = pieces[which]
    number = data.draw(st.integers(0, rows - 1))
    named, key = np.array([first[which] + number]), np.array([starts[which] + number])
    assert (places.of_keys(key) == named).all()
    assert (places.keys(named) == key).all()
    assert (serial_of(named)[0], number_of_piece(int(named[0]))) == (serial, piece)
