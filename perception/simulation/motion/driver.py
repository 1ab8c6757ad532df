"""The driver of the robot: it follows the route, slows for bends, keeps a gap and brakes for crossing actors.

Steering is pure pursuit (Coulter 1992), speed the intelligent driver model (Treiber, Hennecke and Helbing
2000).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perception.geometry import Matrix
from perception.simulation.world.paths import STEP_M, Path

MAX_CURVATURE = 0.30
MAX_CURVATURE_RATE = 0.6  # 1/m/s
LATERAL_ACCELERATION = 1.3
BRAKE, ACCELERATE = 3.2, 1.4
COMFORTABLE_BRAKE = 1.3
MIN_GAP_M, HEADWAY_S = 1.6, 0.9
EASING_S = 0.22  # time constant of the acceleration
STOPPING_S = 0.4  # at low speed, deceleration is limited to speed / STOPPING_S
HALF_WIDTH_M, FRONT_M = 0.45, 0.6


@dataclass(frozen=True, slots=True)
class OtherActors:
    """Positions, velocities [A, 2], headings, half lengths and half widths [A] of all actors; m, s, rad."""

    positions: Matrix
    velocities: Matrix
    headings: Matrix
    half_lengths: Matrix
    half_widths: Matrix


class Driver:
    """Computes commands from the route and from the actors up to 25 m ahead."""

    def __init__(self, route: Path, top_speed_m_s: float) -> None:
        self.route = route
        self.top_speed = top_speed_m_s
        self.curvature = 0.0
        self.acceleration = 0.0

    def command(
        self, x: float, y: float, yaw: float, speed: float, station: float, others: OtherActors, dt: float
    ) -> tuple[float, float]:
        """Return the commanded curvature (1/m) and acceleration (m/s2) after a step of `dt` s."""
        wanted = self._pursuit(x, y, yaw, speed, station)
        step = MAX_CURVATURE_RATE * dt
        self.curvature += float(np.clip(wanted - self.curvature, -step, step))
        self.curvature = float(np.clip(self.curvature, -MAX_CURVATURE, MAX_CURVATURE))
        wanted = max(self._follow(speed, station, others), -speed / STOPPING_S)
        self.acceleration += (wanted - self.acceleration) * min(1.0, dt / EASING_S)
        return self.curvature, self.acceleration

    def _pursuit(self, x: float, y: float, yaw: float, speed: float, station: float) -> float:
        """Return the curvature of the arc to a point ahead on the route, 1/m."""
        reach = float(np.clip(0.8 * speed, 1.3, 3.5))
        tx, ty, _ = self.route.at(station + reach)
        dx, dy = tx - x, ty - y
        left = -np.sin(yaw) * dx + np.cos(yaw) * dy
        return float(2 * left / max(dx * dx + dy * dy, 0.25))

    def _follow(self, speed: float, station: float, others: OtherActors) -> float:
        """Return the acceleration of the intelligent driver model, m/s2."""
        free_speed = self._bend_speed(station)
        free = ACCELERATE * (1 - (speed / max(free_speed, 0.3)) ** 4)
        leader = self._nearest_ahead(station, speed, others)
        if leader is None:
            return float(np.clip(free, -COMFORTABLE_BRAKE * 1.5, ACCELERATE))
        gap, other_speed = leader
        closing = speed * (speed - other_speed) / (2 * np.sqrt(ACCELERATE * COMFORTABLE_BRAKE))
        desired_gap = MIN_GAP_M + max(0.0, speed * HEADWAY_S + closing)
        return float(np.clip(free - ACCELERATE * (desired_gap / max(gap, 0.3)) ** 2, -BRAKE, ACCELERATE))

    def _bend_speed(self, station: float) -> float:
        """Return the speed from which comfortable braking is enough for the bends ahead, m/s."""
        first = max(0, int(station / STEP_M))
        bends = np.abs(self.route.curvatures[first : first + int(12 / STEP_M) : 2])
        ahead = np.arange(len(bends)) * 2 * STEP_M
        limit = np.sqrt(LATERAL_ACCELERATION / np.maximum(bends, 1e-3))
        return float(
            min(self.top_speed, np.sqrt(np.min(limit**2 + 2 * COMFORTABLE_BRAKE * ahead, initial=1e9)))
        )

    def _nearest_ahead(self, station: float, speed: float, others: OtherActors) -> tuple[float, float] | None:
        """Return gap (m) and speed (m/s) of the nearest actor that blocks the route within 2.1 s."""
        first = max(0, int(station / STEP_M))
        points = self.route.points[first : first + int(25 / STEP_M) : 2]
        headings = self.route.headings[first : first + int(25 / STEP_M) : 2]
        if not len(points) or not len(others.positions):
            return None
        best: tuple[float, float] | None = None
        for later in (0.0, 0.7, 1.4, 2.1):
            where = others.positions + others.velocities * later
            distance = np.hypot(where[:, None, 0] - points[:, 0], where[:, None, 1] - points[:, 1])
            nearest = distance.argmin(axis=1)
            lateral = distance[np.arange(len(where)), nearest]
            along = nearest * 2 * STEP_M
            along_way = np.abs(np.cos(others.headings - headings[nearest]))
            across_way = np.sqrt(1 - along_way**2)
            wide = others.half_widths * along_way + others.half_lengths * across_way
            deep = others.half_lengths * along_way + others.half_widths * across_way
            in_way = (lateral < HALF_WIDTH_M + wide + 0.35) & (nearest > 0) & (nearest < len(points) - 1)
            for k in np.nonzero(in_way)[0]:
                gap = float(along[k] - FRONT_M - deep[k])
                if later > 0 and gap > speed * later + 6:
                    continue  # too far away to matter yet
                vx, vy = others.velocities[k]
                speed_along = float(vx * np.cos(headings[nearest[k]]) + vy * np.sin(headings[nearest[k]]))
                if best is None or gap < best[0]:
                    best = (gap, max(0.0, speed_along))
        return best
