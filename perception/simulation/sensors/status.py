"""The vehicle status sensor: speed, yaw rate, acceleration and wheel speeds, but never the commands."""

from __future__ import annotations

from perception.simulation.motion.drive import Drive
from perception.simulation.random_draws import random_stream

WHEEL_RADIUS_M, TRACK_M = 0.16, 0.62
CHANNELS = (
    ("speed", "m/s"),
    ("yaw_rate", "rad/s"),
    ("acceleration", "m/s2"),
    ("wheel_speed_left", "rad/s"),
    ("wheel_speed_right", "rad/s"),
)


class StatusSensor:
    """A sensor with noise that differs from reading to reading, and a bias that is constant for a log."""

    def __init__(self, drive: Drive) -> None:
        self.drive = drive
        self.rng = random_stream(drive.scene.seed, "status noise")
        self.speed_scale = 1 + self.rng.normal(0, 0.012)
        self.yaw_bias = self.rng.normal(0, 0.004)
        self.acceleration_bias = self.rng.normal(0, 0.06)
        self.wheel_scale = 1 + self.rng.normal(0, 0.01)

    def read(self, t: float, fault: float = 0.0) -> list[tuple[str, str, float]]:
        """Return (name, unit, value) of every channel at time `t` in s; at `fault` 1 it is badly biased."""
        state = self.drive.robot_at(t)
        sign = -1.0 if self.drive.scene.mirror else 1.0  # noise is drawn for the unmirrored drive
        speed, yaw_rate = state["speed"], sign * state["speed"] * state["curvature"]
        n = self.rng.standard_normal(5)
        sides = (speed - yaw_rate * TRACK_M / 2, speed + yaw_rate * TRACK_M / 2)
        left, right = (
            side * self.wheel_scale / WHEEL_RADIUS_M * (1 + 0.006 * float(noise))
            for side, noise in zip(sides, n[3:], strict=True)
        )
        if sign < 0:
            left, right = right, left
        values = (
            max(0.0, speed * self.speed_scale * (1 + 0.25 * fault) + 0.025 * float(n[0])),
            sign * (yaw_rate + self.yaw_bias + 0.15 * fault + 0.006 * float(n[1])),
            state["acceleration"] + self.acceleration_bias + 0.8 * fault + 0.12 * float(n[2]),
            left * (1 + 0.25 * fault),
            right * (1 + 0.25 * fault),
        )
        return [(name, unit, value) for (name, unit), value in zip(CHANNELS, values, strict=True)]
