"""The wire: what one end encodes the other decodes, however it is cut, and nothing else gets through."""

from __future__ import annotations

import json
import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guest.protocol import MAX_BODY, MAX_HEADER, Decoder, Frame, ProtocolError, encode

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
frames = st.tuples(
    st.sampled_from(["stdout", "exec", "exit"]),
    st.integers(0, 2**53 - 1),
    st.binary(max_size=200),
    st.dictionaries(
        st.from_regex(r"[a-z_]{1,8}", fullmatch=True).filter(lambda key: key not in ("op", "body", "kind")), json_values
    ),
)


def shown(frame: Frame) -> tuple[str, int, bytes, dict[str, object]]:
    rest = {key: value for key, value in frame.fields.items() if key not in ("type", "op")}
    return frame.type, frame.op, frame.body, rest


@given(st.lists(frames, max_size=5), st.lists(st.integers(1, 50), min_size=1, max_size=20))
def test_frames_arrive_as_sent_however_the_bytes_are_cut(
    sent: list[tuple[str, int, bytes, dict[str, object]]], cuts: list[int]
) -> None:
    sent = [
        (kind, op, body, {key: value for key, value in fields.items() if key != "type"})
        for kind, op, body, fields in sent
    ]
    data = b"".join(encode(kind, op, body, **fields) for kind, op, body, fields in sent)
    decoder, received, at = Decoder(), [], 0
    while at < len(data):
        size = cuts[at % len(cuts)]
        received += decoder.feed(data[at : at + size])
        at += size
    assert [shown(frame) for frame in received] == sent
    assert decoder.pending == 0


@given(st.binary(max_size=2000))
def test_arbitrary_bytes_raise_nothing_but_protocol_error(data: bytes) -> None:
    decoder = Decoder()
    try:
        decoder.feed(data)
    except ProtocolError:
        return
    assert decoder.pending <= len(data)


@pytest.mark.parametrize(
    "head",
    [
        struct.pack(">II", 0, 0),
        struct.pack(">II", 1, 0),
        struct.pack(">II", MAX_HEADER + 1, 0),
        struct.pack(">II", 2, MAX_BODY + 1),
        struct.pack(">II", 0xFFFFFFFF, 0xFFFFFFFF),
    ],
)
def test_lengths_over_the_limits_are_refused_before_anything_is_kept(head: bytes) -> None:
    with pytest.raises(ProtocolError):
        Decoder().feed(head)


@pytest.mark.parametrize(
    "header",
    [
        b"[]",
        b"{}",
        b'"x"',
        b"nul",
        b'{"type":"x"}',
        b'{"type":1,"op":0}',
        b'{"type":"x","op":-1}',
        b'{"type":"x","op":true}',
        b'{"type":"x","op":1.5}',
        b'{"type":"x","op":9007199254740992}',
        b'{"type":"x","op":0,"n":NaN}',
        b'{"type":"x","op":0,"n":Infinity}',
        b'{"type":"x","op":' + b"9" * 5000 + b"}",
        b'{"type":"x","op":0,"deep":' + b"[" * 20000 + b"]" * 20000 + b"}",
        b'\xff\xfe{"type":"x","op":0}',
        b'{"type":"x","op":0}{}',
        b'{"type":"x","op":0} x',
        b'{"type":"x","op":0',
        b'{"type":["x"],"op":0}',
        b'{"type":"x","op":"0"}',
        b'{"a":' * 10_000,
    ],
)
def test_headers_that_are_not_messages_are_refused(header: bytes) -> None:
    with pytest.raises(ProtocolError):
        Decoder().feed(struct.pack(">II", len(header), 0) + header)


def test_what_is_too_large_is_not_sent() -> None:
    with pytest.raises(ProtocolError):
        encode("exec", 1, argv=["x" * MAX_HEADER])
    with pytest.raises(ProtocolError):
        encode("stdin", 1, b"x" * (MAX_BODY + 1))


def test_a_header_is_plain_json() -> None:
    data = encode("stdin", 7, b"body", eof=True)
    header_size, body_size = struct.unpack(">II", data[:8])
    assert json.loads(data[8 : 8 + header_size]) == {"type": "stdin", "op": 7, "eof": True}
    assert data[8 + header_size :] == b"body"
    assert body_size == 4


@given(frames, st.integers(0, 10_000), st.integers(0, 255))
def test_a_frame_with_one_byte_changed_raises_nothing_but_protocol_error(
    sent: tuple[str, int, bytes, dict[str, object]], at: int, byte: int
) -> None:
    kind, op, body, fields = sent
    data = bytearray(encode(kind, op, body, **{key: value for key, value in fields.items() if key != "type"}))
    data[at % len(data)] = byte
    with suppress(ProtocolError):
        Decoder().feed(bytes(data))


def test_the_longest_frame_that_is_allowed_passes_both_ends() -> None:
    padding = "p" * (MAX_HEADER - (len(encode("t", 1, padding="")) - 8))
    (frame,) = Decoder().feed(encode("t", 1, bytes(MAX_BODY), padding=padding))
    assert (len(frame.body), frame.fields["padding"]) == (MAX_BODY, padding)
    with pytest.raises(ProtocolError, match="header"):
        encode("t", 1, padding=padding + "p")


def test_what_is_kept_of_an_unfinished_frame_is_bounded() -> None:
    whole = encode("t", 1, bytes(MAX_BODY))
    decoder = Decoder()
    for at in range(0, len(whole) - 1, 4096):
        assert decoder.feed(whole[at : min(at + 4096, len(whole) - 1)]) == []
    assert decoder.pending < MAX_HEADER + MAX_BODY + 8
    assert len(decoder.feed(whole[-1:])) == 1
    assert decoder.pending == 0
