"""Chat messages, tool definitions and tool calls: checked, and brought to one form."""

from __future__ import annotations

import difflib
import json
from typing import Any

from rankwise.data.json_records import Report, StrictJSON
from rankwise.data.table import Message, kind_of, quoted

ROLES = ("system", "user", "assistant", "tool")
_SHAREGPT_ROLES = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "tool": "tool",
    "observation": "tool",
}
_MEANT = {"human": "user", "gpt": "assistant", "bot": "assistant", "model": "assistant", "ai": "assistant"} | {
    "developer": "system",
    "function": "tool",
}
_KEPT = ("name", "tool_call_id")


def read_messages(value: object, key: str, report: Report) -> list[Message] | None:
    """The messages under `key` (`messages`, `prompt`, `completion`, ShareGPT's `conversations`); None if faulty."""
    if not isinstance(value, list) or not value:
        got = "an empty list" if isinstance(value, list) else kind_of(value)
        report("wrong-type", f'"{key}" is {got}, expected a list of messages {{"role": ..., "content": ...}}')
        return None
    messages = [_read_message(item, f'"{key}" item {number}', report) for number, item in enumerate(value, 1)]
    return [m for m in messages if m is not None] if all(messages) else None


def check_turns(messages: list[Message], report: Report) -> bool:
    """Whether the conversation has a user turn and ends with the assistant's, each with something in it."""
    sound = True
    for number, message in enumerate(messages, 1):
        if message["content"].strip() or message.get("tool_calls"):
            continue
        if message["role"] == "assistant":
            report("empty-answer", f"message {number}, the assistant's, is empty; write the answer or drop the row")
            sound = False
        elif message["role"] == "user":
            report("empty-question", f"message {number}, the user's, is empty; write it or drop the row")
            sound = False
    if not any(message["role"] == "user" for message in messages):
        report("no-user-turn", "the conversation has no user message; at least one is needed")
        sound = False
    if messages[-1]["role"] != "assistant":
        report("last-turn-not-assistant", f"the last message is the {messages[-1]['role']}'s, expected the assistant's")
        sound = False
    return sound


def read_tools(value: object, report: Report) -> tuple[dict[str, Any], ...] | None:
    """The row's tool definitions, from a list or the JSON text of one; None if there are none or they are faulty."""
    if isinstance(value, str):
        if not value.strip():
            return None
        value = _embedded_json(value, '"tools"', report)
        if value is None:
            return None
    if not isinstance(value, list):
        report("bad-tools", f'"tools" is {kind_of(value)}, expected a list of tool definitions, or its JSON text')
        return None
    tools: list[dict[str, Any]] = []
    for number, tool in enumerate(value, 1):
        function = tool.get("function", tool) if isinstance(tool, dict) else None
        if isinstance(function, dict) and isinstance(function.get("name"), str) and function["name"]:
            tools.append(tool)
        else:
            report("bad-tools", f'"tools" item {number} has no function name; expected {{"name": ..., ...}}')
    return tuple(tools) or None


def last_user_text(messages: list[Message]) -> str:
    return next((str(m["content"]) for m in reversed(messages) if m["role"] == "user"), "")


def answer_text(message: Message) -> str:
    """The text of an assistant turn, or its tool calls as JSON when it has none."""
    if message["content"].strip() or not message.get("tool_calls"):
        return str(message["content"])
    return json.dumps([call["function"] for call in message["tool_calls"]], ensure_ascii=False, sort_keys=True)


def _read_message(item: object, place: str, report: Report) -> Message | None:
    if not isinstance(item, dict):
        report("wrong-type", f"{place} is {kind_of(item)}, expected an object with a role and a content")
        return None
    sharegpt = "from" in item and "role" not in item
    role_key, text_key = ("from", "value") if sharegpt else ("role", "content")
    calls = item.get("tool_calls")
    missing = [k for k in (role_key, text_key) if k not in item and not (k == text_key and calls)]
    if missing:
        report("missing-key", f"{place} lacks {quoted(missing)}; got {quoted(list(item)) or 'no keys'}")
        return None
    role = _read_role(item[role_key], place, sharegpt, report)
    content = item.get(text_key)
    if content is None and calls:
        content = ""
    if not isinstance(content, str):
        report("content-not-text", f'"{text_key}" of {place} is {kind_of(content)}, expected a string')
        role = None
    message: Message = {"role": role, "content": content}
    message |= {k: item[k] for k in _KEPT if isinstance(item.get(k), str)}
    if calls:
        read = _read_tool_calls(calls, place, report)
        if role not in ("assistant", None):
            report("bad-tool-call", f'{place} has "tool_calls" but is the {role}\'s; only the assistant calls tools')
            return None
        if read is None:
            return None
        message["tool_calls"] = read
    return message if role else None


def _read_role(role: object, place: str, sharegpt: bool, report: Report) -> str | None:
    known = _SHAREGPT_ROLES if sharegpt else {name: name for name in ROLES}
    if isinstance(role, str) and role in known:
        return known[role]
    got = f'"{role}"' if isinstance(role, str) else kind_of(role)
    close: list[str] = []
    if isinstance(role, str):
        meant = _MEANT.get(role.lower().strip())
        close = [meant] if meant in known else difflib.get_close_matches(role.lower().strip(), known, 1)
    hint = f'; did you mean "{close[0]}"?' if close else ""
    report("unknown-role", f"role of {place} is {got}, expected one of {', '.join(known)}{hint}")
    return None


def _read_tool_calls(calls: object, place: str, report: Report) -> list[dict[str, Any]] | None:
    """Tool calls as `{"type": "function", "function": {"name", "arguments": object}}`, as chat templates want them."""
    if not isinstance(calls, list):
        report("bad-tool-call", f'"tool_calls" of {place} is {kind_of(calls)}, expected a list')
        return None
    read: list[dict[str, Any]] = []
    for number, call in enumerate(calls, 1):
        where = f"tool call {number} of {place}"
        function = call.get("function", call) if isinstance(call, dict) else None
        name = function.get("name") if isinstance(function, dict) else None
        if not isinstance(function, dict) or not isinstance(name, str) or not name:
            report("bad-tool-call", f'{where} has no function name; expected {{"name": ..., "arguments": {{...}}}}')
            return None
        arguments = function.get("arguments")
        if isinstance(arguments, str):
            arguments = _embedded_json(arguments or "{}", f"arguments of {where}", report)
            if arguments is None:
                return None
        if arguments is None:
            arguments = {}
        if not isinstance(arguments, dict):
            report("bad-tool-call", f"arguments of {where} are {kind_of(arguments)}, expected an object")
            return None
        normal: dict[str, Any] = {"type": "function", "function": {"name": name, "arguments": arguments}}
        if isinstance(call, dict) and isinstance(call.get("id"), str):
            normal["id"] = call["id"]
        read.append(normal)
    return read


def _embedded_json(text: str, place: str, report: Report) -> Any:
    try:
        return StrictJSON().parse_all(text, report)
    except ValueError as error:
        report("invalid-json", f"{place} is a string that is not JSON: {error}")
        return None
