"""What this process knows of a tenant's workers apart from the core: open streams and signs of life (R31).

A reload rebuilds the core from rows, and rows know neither. The streams are still open at the edges, and the
silent ones must not look alive only because the engine looked away.
"""

from __future__ import annotations

from collections.abc import Iterable

from limpet.core.decision import CloseStreams, Delivery
from limpet.core.errors import LimpetError
from limpet.core.ids import Instant, WorkerId
from limpet.core.inputs import Input, StreamClosed, StreamOpened, WorkerUnsubscribed
from limpet.core.views import WorkerView

STREAM_INPUTS = frozenset({StreamOpened, StreamClosed, WorkerUnsubscribed})


class Presence:
    """Open sessions by worker, oldest first, and the last signs of life that a dropped core knew."""

    def __init__(self) -> None:
        self._sessions: dict[str, list[int]] = {}
        self._seen: dict[str, int] = {}
        self._lost: set[str] = set()
        self._reopened: dict[str, tuple[int, int]] = {}  # worker: (when its streams were handed back, really last seen)

    def note_input(self, item: Input, reply: object) -> None:
        """A committed input of `STREAM_INPUTS` and its reply."""
        if isinstance(item, StreamOpened) and not isinstance(reply, LimpetError):
            sessions = self._sessions.setdefault(item.worker_id, [])
            if item.session not in sessions:
                sessions.append(item.session)
        elif isinstance(item, StreamClosed):
            self._close(item.worker_id, item.session)
        elif isinstance(item, WorkerUnsubscribed):
            self._close(item.worker_id, None)

    def note_deliveries(self, deliveries: Iterable[Delivery]) -> None:
        """The core ends streams itself; such a stream counts as closed from then on."""
        for delivery in deliveries:
            if isinstance(delivery, CloseStreams):
                self._close(delivery.worker_id, delivery.session)

    def remember(self, workers: Iterable[WorkerView]) -> None:
        """Keep the signs of life of a core that is about to be dropped, also of those it held lost: that may be undurable."""
        views = [view for view in workers if view.seen_at is not None]
        self._seen = {view.worker_id: self._really_seen(view, view.seen_at or 0) for view in views}
        self._lost = {view.worker_id for view in views if view.lost_at is not None or view.gone_at is not None}

    @property
    def seen(self) -> dict[str, int]:
        """Last signs of life by worker id, as `Machine.load` takes them."""
        return dict(self._seen)

    def reopen(self, now: Instant, *, within_us: int) -> tuple[list[StreamOpened], list[CloseStreams]]:
        """What a fresh core is told about streams, and the streams that must prove themselves anew.

        Opening a stream is a sign of life, and telling it again is not: so a worker that was silent for longer
        than `within_us` is made to reconnect, and what the others really last said is remembered. A lost worker is
        found again only by a stream that it opens itself.
        """
        opened: list[StreamOpened] = []
        closed: list[CloseStreams] = []
        self._reopened.clear()
        for worker_id, sessions in list(self._sessions.items()):
            seen_at = self._seen.get(worker_id)
            if seen_at is None or now - seen_at > within_us or worker_id in self._lost:
                closed.append(CloseStreams(WorkerId(worker_id), None, "the engine rebuilt its memory"))
                del self._sessions[worker_id]
            else:
                opened.extend(StreamOpened(worker_id, session) for session in sessions)
                self._reopened[worker_id] = (now, seen_at)
        return opened, closed

    def _really_seen(self, view: WorkerView, seen_at: int) -> int:
        handed_back_at, seen_before = self._reopened.get(view.worker_id, (None, 0))
        return seen_before if seen_at == handed_back_at else seen_at

    def _close(self, worker_id: str, session: int | None) -> None:
        sessions = self._sessions.get(worker_id)
        if sessions is None:
            return
        left = [] if session is None else [open_one for open_one in sessions if open_one != session]
        if left:
            self._sessions[worker_id] = left
        else:
            del self._sessions[worker_id]
