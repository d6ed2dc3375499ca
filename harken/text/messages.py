"""Chats as they are passed around: a list of {"role": …, "content": …} objects, checked. Errors name the message and the field.

The shape is OpenAI's and Hugging Face's: https://huggingface.co/docs/transformers/chat_templating
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..base.errors import InputError

DEEPEST = 100  # objects in objects


def checked(messages: object) -> list[dict[str, Any]]:
    """Messages as templates expect them: plain JSON, content one text, no keys that are null."""
    if isinstance(messages, str | bytes | Mapping) or not isinstance(messages, Sequence):
        raise InputError(f'messages should be a list of {{"role": …, "content": …}} objects, not {_kind(messages)}')
    if not messages:
        raise InputError("there are no messages: a chat needs at least one")
    return [_message(message, f"messages[{index}]") for index, message in enumerate(messages)]


def _message(message: object, where: str) -> dict[str, Any]:
    if not isinstance(message, Mapping):
        raise InputError(f'{where} is {_kind(message)}, but should be an object: {{"role": …, "content": …}}')
    message = {key: value for key, value in message.items() if value is not None}
    role, content = message.get("role"), message.get("content")
    if not isinstance(role, str) or not role:
        what = f"is {_kind(role)}" if "role" in message else "is missing"
        raise InputError(f"{where}.role {what}: it should be text such as 'user' or 'assistant'")
    if isinstance(content, list | tuple):
        content = "".join(_part(part, f"{where}.content[{index}]") for index, part in enumerate(content))
    elif content is None and not message.get("tool_calls"):
        raise InputError(f"{where}.content is missing: it should be text")
    elif content is not None and not isinstance(content, str):
        raise InputError(f'{where}.content is {_kind(content)}, but should be text, or a list of {{"type": "text", "text": …}} parts')
    return plain(message if content is None else {**message, "content": content}, where)


def _part(part: object, where: str) -> str:
    if not isinstance(part, Mapping) or "type" not in part:
        raise InputError(f'{where} is {_kind(part)}, but should be an object: {{"type": "text", "text": …}}')
    if part["type"] != "text":
        raise InputError(f"{where} is of the type {part['type']!r}, but only text can be read")
    if not isinstance(part.get("text"), str):
        raise InputError(f"{where}.text is {_kind(part.get('text'))}, but should be text")
    return part["text"]


def objects(values: object, where: str) -> list[Any]:
    """A list of objects, plain JSON."""
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Sequence):
        raise InputError(f"{where} should be a list of objects, not {_kind(values)}")
    for index, value in enumerate(values):
        if not isinstance(value, Mapping):
            raise InputError(f"{where}[{index}] is {_kind(value)}, but should be an object")
    return plain(list(values), where)


def plain(value: Any, where: str) -> Any:
    """A copy of nothing but JSON: an object of any other kind has methods that no sandbox knows."""
    if value is None or type(value) in (bool, int, float):
        return value
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise InputError(f"{where} has half a character in it, at {error.start}: repair the text where it was cut") from None
        return str.__str__(value)
    if where.count(".") + where.count("[") > DEEPEST:
        raise InputError(f"{where.partition('.')[0]} is nested more than {DEEPEST} deep: no chat is")
    if isinstance(value, Mapping):
        return {str(key): plain(part, f"{where}.{key}") for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part, f"{where}[{index}]") for index, part in enumerate(value)]
    raise InputError(f"{where} is {_kind(value)}, but should be plain JSON")


def _kind(value: object) -> str:
    return "null" if value is None else f"a {type(value).__name__}"
