"""Why a picture of a video is lost: a code for programs, a text for people."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from perception.installation import install_command

NO_KEY_FRAME = "no_key_frame"
LOST_PACKET = "lost_packet"
DAMAGED_PACKET = "damaged_packet"
NO_PICTURE = "no_picture"
B_FRAMES = "b_frames"
DECODER_CRASHED = "decoder_crashed"
OTHER_CODEC = "other_codec"
NOT_INSTALLED = "not_installed"

TEXTS: Mapping[str, str] = MappingProxyType(
    {
        NO_KEY_FRAME: "no key frame came before it, so it cannot be decoded",
        LOST_PACKET: "a packet before it is missing, and none is decoded up to the next key frame",
        DAMAGED_PACKET: "a packet does not decode, and none is decoded up to the next key frame",
        NO_PICTURE: "the packet holds no picture, or the decoder gave none for it",
        B_FRAMES: "its pictures come in another order than they were taken (B frames), which messages of "
        "video forbid; encode without B frames (-bf 0)",
        DECODER_CRASHED: "the decoder crashed or took too long, and none is decoded up to the next key frame",
        OTHER_CODEC: "the topic changed its codec, and none is decoded up to the next key frame",
        NOT_INSTALLED: "decoding video needs the extra `video`",
    }
)


def loss_text(code: str, detail: str = "") -> str:
    """Return the reason of a loss in words."""
    if code == NOT_INSTALLED:
        detail = install_command("video")
    return f"video: {TEXTS[code]}" + (f" ({detail})" if detail else "")
