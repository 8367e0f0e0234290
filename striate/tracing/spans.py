"""Which places of a picture's axis each place of a map sees, exactly, for maps without ends.

Place ``i`` of a map sees from ``first(i)`` to ``last(i)``, and both are affine but for a period: what ``i + P`` sees
lies ``A`` further than what ``i`` sees. A window of stride s has ``P = 1`` and ``A = s``; a transposed one ``P = s``; a
pixel of U-Net's output ``P = 16``, since it depends on where in the coarse maps it lies how much of them it sees. The
stride of the map is ``A / P``. Padding is nothing of its own: it only says where windows begin.

For one window after the other this is the recurrence of Araujo, Norris and Sim, "Computing receptive fields of
convolutional neural networks", Distill, 2019, section 2, which has no periods and no branches of several phases.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction

from striate.base.errors import ModelError

Span = tuple[int, int] | None
"""The first and the last place that is seen; None where nothing is."""

LONGEST = 4096
"""A period above which a map counts as without rule."""


class AperiodicError(ModelError):
    """No period that is short enough describes what is seen; the text says why, for who names the operation."""


@dataclass(frozen=True, slots=True)
class Spans:
    """What each place of a map sees: place i sees ``phases[i % P]``, moved by ``advance * (i // P)``.

    Example:
        >>> AS_IT_IS.window(3, stride=2, before=1).window(3, stride=2, before=1)
        Spans(advance=4, phases=((-3, 3),))
    """

    advance: int
    phases: tuple[Span, ...]

    @property
    def period(self) -> int:
        """How many places apart two see the same, moved."""
        return len(self.phases)

    @property
    def stride(self) -> Fraction:
        """How many places of the picture lie between two neighbours, on average."""
        return Fraction(self.advance, self.period)

    @property
    def size(self) -> int:
        """Of how many places the largest is: what is between its first and its last counts, seen or not."""
        return max((span[1] - span[0] + 1 for span in self.phases if span), default=0)

    @property
    def padding(self) -> int:
        """How far before the picture's first place that of place 0 begins: the effective padding."""
        return -self.phases[0][0] if self.phases[0] else 0

    def at(self, place: int) -> Span:
        """What one place sees."""
        turns, phase = divmod(place, len(self.phases))
        span, moved = self.phases[phase], self.advance * turns
        return None if span is None else (span[0] + moved, span[1] + moved)

    def over(self, places: Iterable[int]) -> Span:
        """What several places see together."""
        return _together(map(self.at, places))

    # What operations make of it

    def read(self, reads: Callable[[int], Iterable[int]], period: int, advance: int) -> "Spans":
        """A map whose place i sees what places ``reads(i)`` of this one see; ``i + period`` reads ``advance`` further.

        Raises:
            AperiodicError: the period would be too long.
        """
        times = self.period // math.gcd(self.period, advance)
        if period * times > LONGEST:
            raise AperiodicError(f"places repeat themselves only after {period * times}")
        phases = tuple(self.over(reads(place)) for place in range(period * times))
        return Spans(self.advance * (times * advance // self.period), phases)._shortest()

    def window(self, taps: int, *, stride: int = 1, dilation: int = 1, before: int = 0) -> "Spans":
        """A window of so many taps, ``before`` of which lie beyond the border at place 0."""
        reach = (taps - 1) * dilation
        if self.period == 1:  # no place sees further back than the one before it
            return self.read(lambda place: (place * stride - before, place * stride - before + reach), 1, stride)
        return self.read(lambda place: range(first := place * stride - before, first + reach + 1, dilation), 1, stride)

    def transposed(self, taps: int, *, stride: int = 1, dilation: int = 1, before: int = 0) -> "Spans":
        """The transpose of such a window: place i is written to by those that the window at i + before reaches."""

        def writers(place: int) -> Iterable[int]:
            shifts = (place + before - dilation * tap for tap in range(taps))
            return (shift // stride for shift in shifts if shift % stride == 0)

        return self.read(writers, stride, 1)

    def cells(self, count: int, size: int) -> "Spans":
        """The map cut into ``count`` cells as adaptive pools do, of ``size`` places in all; they may overlap."""
        shared = math.gcd(count, size)

        def cell(place: int) -> Iterable[int]:
            return range(place * size // count, -(-(place + 1) * size // count))

        return self.read(cell, count // shared, size // shared)

    def resampled(
        self, scale: Fraction, weight: Callable[[Fraction], Fraction], reach: int, *, ends: bool, widened: bool
    ) -> "Spans":
        """Interpolated with ``scale`` places here for each place there; only what has a weight is seen.

        Args:
            scale: size here over size there.
            weight: of a distance from the middle; 0 from ``reach`` on.
            reach: as said.
            ends: the first places lie on each other (``align_corners``) instead of the borders.
            widened: where the map becomes smaller, the weights become as much wider (``antialias``).
        """
        wide = max(scale, Fraction(1)) if widened else Fraction(1)

        def read(place: int) -> Iterable[int]:
            middle = place * scale if ends else (place + Fraction(1, 2)) * scale - Fraction(1, 2)
            taps = range(math.ceil(middle - reach * wide), math.floor(middle + reach * wide) + 1)
            return [tap for tap in taps if weight(abs(tap - middle) / wide)]

        return self.read(read, scale.denominator, scale.numerator)

    def nearest(self, scale: Fraction, shift: Fraction = Fraction(0)) -> "Spans":
        """The nearest place, by rounding down ``(i + shift) * scale``."""
        return self.read(lambda place: (math.floor((place + shift) * scale),), scale.denominator, scale.numerator)

    def spread(self, times: int) -> "Spans":
        """Each place so many times, one after the other."""
        return self.read(lambda place: (place // times,), times, 1)

    def beside(self, other: "Spans") -> "Spans":
        """What either sees: two maps place by place.

        Raises:
            AperiodicError: their strides differ, so that no place is like another.
        """
        if self.stride != other.stride:
            raise AperiodicError(f"maps of strides {self.stride} and {other.stride} meet")
        if self.phases == other.phases:
            return self
        period = math.lcm(self.period, other.period)
        phases = tuple(_together((self.at(place), other.at(place))) for place in range(period))
        return Spans(self.advance * (period // self.period), phases)._shortest()

    def _shortest(self) -> "Spans":
        """The same with the shortest period."""
        period = self.period
        for short in range(1, period // 2 + 1):
            if period % short or (self.advance * short) % period:
                continue
            less = Spans(self.advance * short // period, self.phases[:short])
            if all(less.at(place) == span for place, span in enumerate(self.phases)):
                return less
        return self


def _together(spans: Iterable[Span]) -> Span:
    seen = [span for span in spans if span]
    return (min(first for first, _ in seen), max(last for _, last in seen)) if seen else None


AS_IT_IS = Spans(1, ((0, 0),))
"""The picture itself: each place sees itself."""


# The weights of interpolations, of a distance; where they are 0 and where they are not is all that counts here.


def linear(distance: Fraction) -> Fraction:
    """Of bilinear interpolation."""
    return max(Fraction(0), 1 - distance)


def cubic(distance: Fraction) -> Fraction:
    """Of bicubic interpolation, by Keys' cubic of a = -1/2; its zeros are those of a = -3/4."""
    if distance < 1:
        return (Fraction(3, 2) * distance - Fraction(5, 2)) * distance * distance + 1
    return ((5 - distance) * distance / 2 - 4) * distance + 2 if distance < 2 else Fraction(0)
