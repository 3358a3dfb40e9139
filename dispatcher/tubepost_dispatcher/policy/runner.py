"""A policy module, and calls of its hooks: runs in the policy process, and is light.

Whatever goes wrong becomes a `Fault` that names the line of the module. What a hook cannot be kept from doing
(an endless loop, `os._exit`) is dealt with from outside, by `process`.
"""

from __future__ import annotations

import inspect
import json
import traceback
from collections.abc import Callable, Mapping
from types import CodeType, ModuleType, TracebackType
from typing import Any, Final

import tubepost_policy
from tubepost_dispatcher.policy.wire import FILE, HOOKS
from tubepost_policy import Classification, Disposition, Message, Outcome, Request, Response, Status
from tubepost_policy.message import action_of
from tubepost_policy.request import changes_of
from tubepost_policy.response import changed

MAX_TEXT: Final = 300
"""Characters of a fault's text."""

_dumps, _loads = json.dumps, json.loads  # a module may put others in their place

_CLASSES: Final = (tubepost_policy.SUCCESS, tubepost_policy.TEMPFAILED, tubepost_policy.PERMFAILED)
_DISPOSITIONS: Final = (tubepost_policy.CONTINUE, tubepost_policy.DONE)


class Fault(Exception):
    """What is wrong with a module, or went wrong in a hook.

    Attributes:
        kind: `exception`, `memory`, `exit`, `result` (it returned what it must not) or `module`.
        text: what happened, in words.
        line: of the module, 0 for none.
        hook: name of the function, empty for the module itself.
    """

    def __init__(self, kind: str, text: str, line: int = 0, hook: str = "") -> None:
        super().__init__(text)
        self.kind = kind
        self.text = text[:MAX_TEXT]
        self.line = line
        self.hook = hook

    def facts(self) -> dict[str, Any]:
        """As it travels."""
        return {"kind": self.kind, "text": self.text, "line": self.line, "hook": self.hook}


class Module:
    """A module that was loaded, with its hooks.

    Args:
        source: its text.

    Raises:
        Fault: it cannot be compiled or run, or a hook takes other arguments than it is called with.
    """

    def __init__(self, source: str) -> None:
        module = ModuleType("policy")
        module.__file__ = FILE
        # Not in sys.modules: a module that imports `policy` is to find its own, or none.
        code = _compiled(source)
        _remember(source)
        try:
            exec(code, module.__dict__)  # noqa: S102 - this is what it is for, in a process of its own
        except BaseException as error:  # noqa: BLE001 - SystemExit and whatever else
            raise fault_of(error, "") from None
        self.hooks: dict[str, Callable[..., Any]] = {}
        self.warnings: list[str] = []
        for name, (least, most) in HOOKS.items():
            found = module.__dict__.get(name)
            if found is not None:
                _check_shape(name, found, least, most)
                self.hooks[name] = found
        for name, value in module.__dict__.items():
            if name.startswith(("apn_", "generic_delivery_")) and callable(value) and name not in HOOKS:
                self.warnings.append(
                    f"line {_line_of(value)}: {name} is no hook and is never called; hooks are "
                    f"{', '.join(HOOKS)}"
                )
        if not self.hooks:
            self.warnings.append(f"the module has no hook; hooks are {', '.join(HOOKS)}")

    def call(self, call: Mapping[str, Any]) -> dict[str, Any]:
        """Call the hooks of one point.

        Args:
            call: `point`, `message`, and what the point has besides: `request` or `response`, `outcome`.

        Returns:
            What they have changed and asked for, as JSON values; empty where nothing.

        Raises:
            Fault: a hook failed.
        """
        outcome = Outcome(call["outcome"]) if "outcome" in call else None
        message = Message(call["message"], outcome)
        answer: dict[str, Any] = {}
        match call["point"]:
            case "request":
                request = Request(call["request"])
                self._hook("apn_request_eval", _no_result, request, message)
                changes = _settled("apn_request_eval", lambda: changes_of(request))
                if changes:
                    answer["request"] = changes
            case "response":
                self._respond(Response(call["response"], message), call["response"], answer)
            case _:
                if self._hook("generic_delivery_msg_dispose", _disposition, message) == tubepost_policy.DONE:
                    answer["done"] = True
        action = action_of(message)
        if action is not None:
            answer["action"] = action
        context = message.context.changes
        if context is not None:
            answer["context"] = context
        return answer

    def _respond(self, response: Response, facts: Mapping[str, Any], answer: dict[str, Any]) -> None:
        self._hook("apn_response_eval", _no_result, response)
        if changes := changed(response):
            answer["response"] = changes
        status = Status(response.status, response.reason, facts.get("legacy", 0))
        classified = self._hook("apn_status_classifier", _classification, status)
        if classified is not None:
            answer["classified"] = classified

    def _hook(self, name: str, check: Callable[[Any], Any], *values: Any) -> Any:
        """Call a hook if the module has it, and check what it returns."""
        hook = self.hooks.get(name)
        if hook is None:
            return None
        try:
            result = hook(*values)
        except BaseException as error:  # noqa: BLE001 - SystemExit and whatever else
            raise fault_of(error, name) from None
        try:
            return check(result)
        except ValueError as error:
            raise Fault("result", f"it returned {_shown(result)}; {error}", _line_of(hook), name) from None


def _no_result(result: object) -> None:
    if result is not None and result not in _DISPOSITIONS:
        raise ValueError("it returns nothing, and changes what it is given")


def _classification(result: object) -> Classification | None:
    if result is not None and result not in _CLASSES:
        raise ValueError("it returns SUCCESS, TEMPFAILED, PERMFAILED or None")
    return result


def _disposition(result: object) -> Disposition | None:
    if result is not None and result not in _DISPOSITIONS:
        raise ValueError("it returns CONTINUE, DONE or None")
    return result


def _settled(hook: str, changes: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return changes()
    except (TypeError, ValueError, RecursionError) as error:
        raise Fault("result", f"request.json cannot be written as JSON: {error}", 0, hook) from None


def _compiled(source: str) -> CodeType:
    try:
        return compile(source, FILE, "exec", dont_inherit=True)
    except SyntaxError as error:
        raise Fault("module", f"SyntaxError: {error.msg}", error.lineno or 0) from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise Fault("module", f"{type(error).__name__}: {error}") from None


def _remember(source: str) -> None:
    """Let tracebacks show lines of the module, which is in no file."""
    import linecache  # noqa: PLC0415 - traceback has imported it

    linecache.cache[FILE] = (len(source), None, source.splitlines(keepends=True), FILE)


def _check_shape(name: str, hook: object, least: int, most: int) -> None:
    if not callable(hook):
        raise Fault("module", f"{name} is {type(hook).__name__}, not a function", 0, name)
    line = _line_of(hook)
    if inspect.iscoroutinefunction(hook) or inspect.isgeneratorfunction(hook):
        raise Fault("module", f"{name} is a plain function: without async and yield", line, name)
    try:
        signature = inspect.signature(hook)
    except (TypeError, ValueError):
        return
    for count in range(least, most + 1):
        try:
            signature.bind(*range(count))
        except TypeError as error:
            wanted = "1 argument" if most == 1 else f"{most} arguments"
            text = f"{name} is called with {wanted}, and takes {signature}: {error}"
            raise Fault("module", text, line, name) from None


def _line_of(hook: object) -> int:
    code = getattr(inspect.unwrap(hook) if callable(hook) else hook, "__code__", None)
    return code.co_firstlineno if isinstance(code, CodeType) and code.co_filename == FILE else 0


def fault_of(error: BaseException, hook: str) -> Fault:
    """The fault that an exception of a module is."""
    if isinstance(error, Fault):
        return error
    line = _line_in_module(error.__traceback__)
    if isinstance(error, SystemExit):
        kind, text = "exit", f"sys.exit({_shown(error.code)}) was called"
    elif isinstance(error, MemoryError):
        kind, text = "memory", "MemoryError: the memory limit is reached"
    else:
        kind = "exception" if hook else "module"
        words = "".join(traceback.format_exception_only(error)).strip().splitlines()
        text = words[-1] if words else type(error).__name__
    return Fault(kind, text, line, hook)


def _line_in_module(trace: TracebackType | None) -> int:
    """Line of the innermost frame that is in the module."""
    line = 0
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == FILE:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _shown(value: object) -> str:
    try:
        return f"{value!r:.80}"
    except Exception:  # noqa: BLE001 - a __repr__ of the module's own
        return f"a {type(value).__name__}"


def encode(answer: Mapping[str, Any]) -> bytes:
    """An answer as JSON."""
    return _dumps(answer, separators=(",", ":")).encode("ascii")


def decode(call: bytes) -> dict[str, Any]:
    """A call from JSON."""
    found: dict[str, Any] = _loads(call)
    return found
