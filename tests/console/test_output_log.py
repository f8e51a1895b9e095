"""Output is kept in order, told apart by stream, and bounded whatever comes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from console.output_log import MAX_LINE_CHARS, OutputLog


def texts(log: OutputLog) -> list[tuple[str, str]]:
    return [(line.stream, line.text) for line in log.lines]


def test_pieces_of_one_line_join() -> None:
    log = OutputLog()
    for piece in ("he", "llo\nwor", "ld"):
        log.write("stdout", piece)
    assert texts(log) == [("stdout", "hello"), ("stdout", "world")]


def test_streams_do_not_join() -> None:
    log = OutputLog()
    log.write("stdout", "out")
    log.write("stderr", "err\n")
    log.write("stdout", "more")
    assert texts(log) == [("stdout", "out"), ("stderr", "err"), ("stdout", "more")]


def test_old_lines_give_way_and_are_counted() -> None:
    log = OutputLog(max_lines=3)
    log.write("stdout", "".join(f"{number}\n" for number in range(10)))
    assert [text for _, text in texts(log)] == ["7", "8", "9"]
    assert log.dropped == 7


def test_a_line_without_end_does_not_grow_for_ever() -> None:
    log = OutputLog(max_chars=20_000)
    for _ in range(100):
        log.write("stderr", "x" * 1000)
    assert max(len(text) for _, text in texts(log)) <= MAX_LINE_CHARS
    assert sum(len(text) for _, text in texts(log)) <= 20_000 + MAX_LINE_CHARS


@given(st.lists(st.text(max_size=50)))
def test_no_text_within_the_bounds_is_lost(pieces: list[str]) -> None:
    log = OutputLog()
    for piece in pieces:
        log.write("stdout", piece)
    whole = "".join(pieces)
    kept = [text for _, text in texts(log)]
    assert kept == (whole.removesuffix("\n").split("\n") if whole else [])


@given(st.lists(st.tuples(st.sampled_from(("stdout", "stderr")), st.text("ab\n", max_size=30)), max_size=30))
def test_what_is_kept_is_the_end_whenever_it_is_read(pieces: list[tuple[str, str]]) -> None:
    often, once = OutputLog(max_lines=4, max_chars=40), OutputLog(max_lines=4, max_chars=40)
    for stream, text in pieces:
        often.write(stream, text)
        once.write(stream, text)
        assert len(often.lines) <= 4
    whole = "".join(text for _, text in pieces)
    for log in (often, once):
        kept = "".join(text for _, text in log.pieces()) if log.dropped else whole
        assert whole.replace("\n", "").endswith(kept.replace("\n", ""))
    assert texts(once)[-1:] == texts(often)[-1:] or len(whole) > 40


def test_a_flood_is_counted_as_if_each_piece_had_been_read() -> None:
    often, once = OutputLog(), OutputLog()
    for number in range(2000):
        for log in (often, once):
            log.write("stdout", f"{number}\n" * 100)
        assert often.lines
    assert texts(once) == texts(often)
    assert once.dropped == often.dropped == 198_000
