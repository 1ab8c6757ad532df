"""ROS definitions as recorders write them, made fit for the parsers of `rosbags`.

Those want `\\n` as the end of a line, no headers between files in IDL, and nothing that they do not know.
What means nothing for the bytes of a message is removed: comments, defaults, constants of .msg files,
annotations and preprocessor lines of .idl files.
"""

from __future__ import annotations

import re

_SEPARATOR = "=" * 80
_RULE = re.compile(r"={3,}[ \t]*")
_MSG_HEAD = re.compile(r"MSG:[ \t]*(\S+)[ \t]*")
_IDL_HEAD = re.compile(r"(?:IDL|MSG):[ \t]*\S+[ \t]*")
_MSG_FIELD = re.compile(r"(\S+)[ \t]+([A-Za-z]\w*)[ \t]*(=?)", re.ASCII)
_IDL_NOISE = re.compile(
    r'("(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])+\')|//[^\n]*|/\*.*?(?:\*/|\Z)|^[ \t]*#[^\n]*',
    re.DOTALL | re.MULTILINE,
)
_IDL_ANNOTATION = re.compile(r'"(?:\\.|[^"\\])*"|@\w+[ \t\n]*|\(|\)')


def plain_text(data: bytes) -> str:
    """Return a definition as text with `\\n` line ends. Bytes that are no UTF-8 can only be in comments."""
    text = data.decode("utf-8-sig", errors="replace").replace("\r\n", "\n").replace("\r", "\n")
    return text.rstrip("\0")


def clean_msg(text: str, name: str) -> str:
    """Return a .msg definition, with those it depends on, as types and names of fields alone.

    Args:
        text: As `plain_text` gives it.
        name: The full name of the message (`sensor_msgs/msg/Image`): a header with it may come first.
    """
    lines: list[str] = []
    after_rule = False
    for line in text.split("\n"):
        line = line.strip()
        if _RULE.fullmatch(line):
            after_rule = True
            continue
        if (head := _MSG_HEAD.fullmatch(line)) and (after_rule or not lines):
            if lines or ros1_name(head[1]) != ros1_name(name):
                lines += [_SEPARATOR, f"MSG: {head[1]}"]
        elif field := _MSG_FIELD.match(line.split("#", 1)[0]):
            if not field[3]:
                lines.append(f"{field[1]} {field[2]}")
        elif line and not line.startswith(("#", "@")):
            lines.append(line)  # the parser says what is wrong with it
        after_rule = False
    return "".join(f"{line}\n" for line in lines)


def clean_idl(text: str) -> str:
    """Return .idl definitions one after another, without headers, comments and annotations.

    Raises:
        ValueError: A field is `@optional`, which changes the bytes of the message.
    """
    text = _IDL_NOISE.sub(lambda match: match[1] or " ", text)
    text = "\n".join(
        line
        for line in text.split("\n")
        if not (_RULE.fullmatch(line.strip()) or _IDL_HEAD.fullmatch(line.strip()))
    )
    return _without_annotations(text)


def _without_annotations(text: str) -> str:
    """Return the text without `@name` and `@name (...)`, which strings and parentheses may be in."""
    kept: list[str] = []
    at = depth = 0
    begin = 0  # of what is kept
    after_name = -1  # where an annotation's name ended: a parenthesis there is its own
    for token in _IDL_ANNOTATION.finditer(text):
        sign = token[0][0]
        if depth == 0 and sign == "@":
            if token[0].strip() == "@optional":
                raise ValueError("optional fields (@optional) are not read")
            kept.append(text[begin : token.start()])
            begin = after_name = token.end()
        elif sign == "(" and (depth or token.start() == after_name):
            depth += 1
        elif sign == ")" and depth:
            depth -= 1
            at = token.end()
            begin = at if depth == 0 else begin
    return "".join(kept) + text[begin:]


def ros1_name(name: str) -> str:
    """Return `sensor_msgs/Image` for `sensor_msgs/msg/Image`: the spelling of ROS 1."""
    parts = name.split("/")
    return f"{parts[0]}/{parts[-1]}"
