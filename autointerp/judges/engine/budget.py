"""Ceilings on money and requests; attempts are counted before they are sent."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass

from autointerp.errors import LimitReached

__all__ = ["Budget", "Lend", "Reservation"]

Lend = Callable[[float, int], tuple[float, float]]
"""(money, requests) wanted to (money, requests) lent: at least as much of each, or 0."""

_UNKNOWN_FACTOR = 1.5
"""Of the dearest reply so far, for a cost without a bound."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """Room for one attempt; give it back exactly once by `Budget.settle` or `Budget.cancel`."""

    bound_usd: float


class Budget:
    """Money and requests left to a run; for one event loop at a time."""

    def __init__(
        self,
        *,
        max_usd: float | None = None,
        max_requests: int | None = None,
        spent_usd: float = 0.0,
        n_requests: int = 0,
        lend: Lend | None = None,
    ) -> None:
        """`spent_usd` and `n_requests` come from earlier sessions. `lend`, where others share the ceilings: gives room
        as it is needed, beyond what is spent.
        """
        self.max_usd, self.max_requests = max_usd, max_requests
        self._spent_usd, self._n_requests = spent_usd, n_requests
        self._lend = lend
        self._room_usd = math.inf if max_usd is None else max_usd if lend is None else spent_usd
        self._room_requests = math.inf if max_requests is None else max_requests if lend is None else n_requests
        self._reserved_usd, self._n_reserved, self._dearest_usd = 0.0, 0, 0.0
        self._waiting: list[asyncio.Future[None]] = []

    @property
    def spent_usd(self) -> float:
        """Money spent, with attempts of unknown outcome at their bound."""
        return self._spent_usd

    @property
    def n_requests(self) -> int:
        """Attempts sent, in flight included."""
        return self._n_requests

    async def reserve(self, bound_usd: float | None) -> Reservation:
        """Wait for room for an attempt that costs at most `bound_usd` (None: unknown). Raises LimitReached."""
        while True:
            bound = self._bound(bound_usd)
            missing_usd = max(0.0, self._spent_usd + self._reserved_usd + bound - self._room_usd)
            missing_requests = int(self._n_requests >= self._room_requests)
            if not missing_usd and not missing_requests:
                break
            if self._borrow(missing_usd, missing_requests):
                continue
            if missing_requests:
                raise LimitReached(
                    f"limits.max_requests = {self.max_requests} is reached; what is done is kept, raise it to go on"
                )
            if self._n_reserved == 0:
                raise LimitReached(
                    f"limits.max_usd = {self.max_usd:g} is reached: ${self._spent_usd:.4f} are spent and the next "
                    f"request may cost ${bound:.4f}; what is done is kept, raise it to go on"
                )
            room: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(room)
            await room
        self._n_requests += 1
        self._n_reserved += 1
        self._reserved_usd += bound
        return Reservation(bound)

    def cancel(self, reservation: Reservation) -> None:
        """Give back the room of an unsent attempt."""
        self._n_requests -= 1
        self.settle(reservation, usd=0.0)

    def settle(self, reservation: Reservation, *, usd: float | None) -> None:
        """Book the attempt's cost; None books the bound."""
        self._n_reserved -= 1
        # exactly 0 in the end: rounding must not add up over a run
        self._reserved_usd = self._reserved_usd - reservation.bound_usd if self._n_reserved else 0.0
        self._spent_usd += reservation.bound_usd if usd is None else usd
        self._dearest_usd = max(self._dearest_usd, usd or 0.0)
        waiting, self._waiting = self._waiting, []
        for room in waiting:
            if not room.done():
                room.set_result(None)

    def _borrow(self, usd: float, n_requests: int) -> bool:
        """Whether any of it was lent."""
        if self._lend is None or usd == math.inf:
            return False
        lent_usd, n_lent = self._lend(usd, n_requests)
        self._room_usd += lent_usd
        self._room_requests += n_lent
        return lent_usd > 0 or n_lent > 0

    def _bound(self, bound_usd: float | None) -> float:
        if bound_usd is not None:
            return bound_usd
        if self.max_usd is not None and self._dearest_usd == 0.0 and self._n_reserved > 0:
            return math.inf  # one at a time until a first price is known
        return self._dearest_usd * _UNKNOWN_FACTOR
