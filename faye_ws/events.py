"""Events and event targets, after the DOM (WHATWG DOM, 2), in snake case."""

from __future__ import annotations

import logging
from collections.abc import Callable
from enum import Enum
from inspect import iscoroutinefunction
from typing import Any, TypeVar, overload

_logger = logging.getLogger("faye_ws")

Listener = Callable[[Any], object]
_L = TypeVar("_L", bound=Listener)


class Event:
    """Something that happened to `target`; `type` names it."""

    __slots__ = ("target", "type")

    def __init__(self, type: str, target: Any) -> None:
        self.type = type
        self.target = target

    def __repr__(self) -> str:
        return f"<{self.__class__.__name__} {self.type}>"


class MessageEvent(Event):
    """A message: `data` is `str` if it is text, `bytes` if it is binary."""

    __slots__ = ("data",)

    def __init__(self, type: str, target: Any, data: str | bytes) -> None:
        self.type = type
        self.target = target
        self.data = data


class StreamMessageEvent(MessageEvent):
    """An event of an event stream (WHATWG HTML, 9.2.6).

    `last_event_id` is the ID of the last event that had one, up to this; `origin` that of
    the server, such as `https://example.com`.
    """

    __slots__ = ("last_event_id", "origin")

    data: str

    def __init__(self, type: str, target: Any, data: str, last_event_id: str, origin: str) -> None:
        super().__init__(type, target, data)
        self.last_event_id = last_event_id
        self.origin = origin

    def __repr__(self) -> str:
        return f"<{self.__class__.__name__} {self.type} {self.last_event_id!r} {self.data[:80]!r}>"


class ErrorEvent(Event):
    """Something went wrong: `message` says what, `error` is the exception."""

    __slots__ = ("error",)

    def __init__(self, type: str, target: Any, error: Exception) -> None:
        super().__init__(type, target)
        self.error = error

    @property
    def message(self) -> str:
        """What went wrong, as a sentence."""
        return str(self.error)


class CloseEvent(Event):
    """The connection is closed (RFC 6455, 7.1.4 to 7.1.6).

    `code` and `reason` are the peer's: 1005 if its close frame had none, 1006 if there was
    no close frame. `was_clean` tells whether the closing handshake was completed.
    """

    __slots__ = ("code", "reason", "was_clean")

    def __init__(self, type: str, target: Any, code: int, reason: str, was_clean: bool) -> None:
        super().__init__(type, target)
        self.code = code
        self.reason = reason
        self.was_clean = was_clean

    def __repr__(self) -> str:
        return f"<CloseEvent {self.code} {self.reason!r}>"


class _Kind(Enum):
    ALWAYS = 0
    ONCE = 1
    ATTRIBUTE = 2  # set by `target.onmessage = f`


class EventTarget:
    """Something to listen to.

    As in the DOM, a listener is added once for each type of event however often it is
    added, listeners are called in the order they were added, and one that is added while
    an event is dispatched waits for the next. One that raises does not keep the others
    from being called.
    """

    # Immutable, so that it can change while an event is dispatched.
    __slots__ = ("_listeners",)

    event_types: frozenset[str]

    def __init__(self) -> None:
        self._listeners: tuple[tuple[str, Listener, _Kind], ...] = ()

    @overload
    def on(self, type: str) -> Callable[[_L], _L]: ...
    @overload
    def on(self, type: str, listener: _L) -> _L: ...
    def on(self, type: str, listener: Listener | None = None) -> Any:
        """Call `listener` with every event of a type; without it, decorate one.

        Raises:
            ValueError: there are no events of this type.
            TypeError: the listener can't be called.
        """
        return self._add_or_decorate(type, listener, _Kind.ALWAYS)

    @overload
    def once(self, type: str) -> Callable[[_L], _L]: ...
    @overload
    def once(self, type: str, listener: _L) -> _L: ...
    def once(self, type: str, listener: Listener | None = None) -> Any:
        """Call `listener` with the next event of a type only; otherwise as `on`."""
        return self._add_or_decorate(type, listener, _Kind.ONCE)

    def off(self, type: str, listener: Listener) -> None:
        """Remove a listener, if it is there."""
        self.check_type(type)
        self._set_listeners(
            tuple(
                entry
                for entry in self._listeners
                if entry[0] != type or entry[1] != listener or entry[2] is _Kind.ATTRIBUTE
            )
        )

    def add_event_listener(self, type: str, listener: Listener, *, once: bool = False) -> None:
        """Call `listener` with every event of a type, or the next only (DOM, 2.7)."""
        self._add_or_decorate(type, listener, _Kind.ONCE if once else _Kind.ALWAYS)

    def remove_event_listener(self, type: str, listener: Listener) -> None:
        """Remove a listener, if it is there (DOM, 2.7)."""
        self.off(type, listener)

    def dispatch_event(self, event: Event) -> None:
        """Call the listeners of an event, one after the other."""
        listeners = self._listeners
        for entry in listeners:
            type, listener, kind = entry
            if type != event.type:
                continue
            # DOM, 2.9: "If listener's removed is true, then continue."
            if self._listeners is not listeners and entry not in self._listeners:
                continue
            if kind is _Kind.ONCE:
                self.off(type, listener)
            try:
                listener(event)
            except BaseException as error:
                self.listener_raised(error)

    def has_listener(self, type: str) -> bool:
        """Return whether anybody listens to events of a type."""
        return any(entry[0] == type for entry in self._listeners)

    def heard_types(self) -> set[str]:
        """Return the types of events that somebody listens to."""
        return {type for type, _, _ in self._listeners}

    def remove_all_listeners(self) -> None:
        """Remove the listeners of all types."""
        self._set_listeners(())

    def listeners_changed(self) -> None:
        """Handle that listeners were added or removed. For subclasses."""

    def listener_raised(self, error: BaseException) -> None:
        """Handle what a listener raised, or pass it on by raising it. For subclasses."""
        _logger.error("a listener raised", exc_info=error)

    def _add_or_decorate(self, type: str, listener: Listener | None, kind: _Kind) -> Any:
        self.check_type(type)
        if listener is None:
            return lambda function: self._add_or_decorate(type, function, kind)
        if not callable(listener):
            raise TypeError(f"a listener must be callable, not {listener!r}")
        if iscoroutinefunction(listener):
            # It would be called, and nothing would happen.
            raise TypeError(f"a listener can't be a coroutine function: {listener!r}")
        known = ((type, listener, _Kind.ALWAYS), (type, listener, _Kind.ONCE))
        if not any(entry in known for entry in self._listeners):
            self._set_listeners((*self._listeners, (type, listener, kind)))
        return listener

    def check_type(self, type: str) -> None:
        """Raise a `ValueError` unless there are events of a type. For subclasses."""
        if type not in self.event_types:
            known = ", ".join(sorted(self.event_types))
            raise ValueError(f"no event is called {type!r}: there are {known}")

    def _set_listeners(self, listeners: tuple[tuple[str, Listener, _Kind], ...]) -> None:
        self._listeners = listeners
        self.listeners_changed()

    def _get_attribute(self, type: str) -> Listener | None:
        for known, listener, kind in self._listeners:
            if known == type and kind is _Kind.ATTRIBUTE:
                return listener
        return None

    def _set_attribute(self, type: str, listener: Listener | None) -> None:
        if listener is not None and not callable(listener):
            raise TypeError(f"on{type} must be callable or None, not {listener!r}")
        old = self._get_attribute(type)
        others = list(self._listeners)
        place = len(others)
        if old is not None:
            # As in the DOM, a new value takes the place of the old one in the order.
            place = others.index((type, old, _Kind.ATTRIBUTE))
            del others[place]
        if listener is not None:
            others.insert(place, (type, listener, _Kind.ATTRIBUTE))
        self._set_listeners(tuple(others))


class event_handler:
    """The attribute `onfoo` of an event target: one listener that can be replaced."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._type = name.removeprefix("on")

    def __get__(self, target: EventTarget | None, owner: type) -> Any:
        return self if target is None else target._get_attribute(self._type)

    def __set__(self, target: EventTarget, listener: Listener | None) -> None:
        target._set_attribute(self._type, listener)
