"""Messages between window and engine: each comes out as it went in, and nothing else is read."""

from __future__ import annotations

import json

import pytest

from worldsim.engine import protocol
from worldsim.engine.protocol import (
    Advance,
    Dropped,
    Failed,
    FrameShown,
    Note,
    Peek,
    Quit,
    Ready,
    Record,
    Recording,
    Replayed,
    Reset,
    Rewind,
    Seen,
    StartReplay,
    Swap,
    decode,
    encode,
)
from worldsim.errors import MessageError

EXAMPLES = [
    Advance((1, -1, 0, 60, -3), 7, 2, 0.05, 11), Seen(3), Peek(4), Rewind(5), Reset(), Record("a.jsonl"), Record(None),
    StartReplay("a.jsonl"), Swap("gallery"), Quit(), Ready(1, "gallery", {"name": "x", "list": [1, {"a": None}]}),
    FrameShown(1, 2, (96, 160), 3, 1, 0, (0.1, -0.2), 9, 12.5, (1, 0), True, -0.5, True, False, 3, 4, {"denoise": 1.5},
               {"hit_ms": 0.5, "accepted": 3}),
    FrameShown(1, 2, (64, 64), 3, 1, 0), Dropped(8), Recording(None, "text"), Note("\u00e9"), Replayed(60, True),
    Failed("why"),
]  # fmt: skip


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda m: type(m).__name__)
def test_decode_inverts_encode(message):
    assert decode(encode(message)) == message


def test_every_kind_of_message_is_tried_here():
    assert {type(m).__name__ for m in EXAMPLES} == set(protocol._KINDS)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\xff\xfe", b"nonsense", b"[]", b"null", b"{}", b'{"kind": 3}', b'{"kind": "Walk"}',
        b'{"kind": ["Seen"]}',
        b'{"kind": "Seen"}', b'{"kind": "Seen", "serial": "1"}', b'{"kind": "Seen", "serial": 1, "extra": 2}',
        b'{"kind": "Advance", "action": [1.5], "id": 1, "epoch": 1, "period_s": 1}', b"[" * 100_000,
        json.dumps({"kind": "Note", "text": None}).encode(), b'{"kind": "Swap", "checkpoint": {}}',
    ],
)  # fmt: skip
def test_what_is_no_message_is_refused_in_one_short_sentence(data):
    with pytest.raises(MessageError) as refused:
        decode(data)
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 300
