"""The drive: the states of the robot and of all actors over time, simulated before any measurement."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perception.geometry import Matrix
from perception.simulation.motion.driver import Driver, OtherActors
from perception.simulation.random_draws import random_stream
from perception.simulation.world.scene import Actor, Scene

STEP_S = 0.02
LEAD_IN_S = 2.0  # driven before the log begins, which therefore does not begin at a standstill
AHEAD_S = 0.5
AFTER_S = 1.0
PATIENCE_S = 1.5
ROBOT_HALF_WIDTH_M = 0.4
ROBOT = (
    *("x", "y", "yaw", "speed", "curvature", "acceleration", "station"),
    *("command_curvature", "command_acceleration"),
)
ACTOR = ("x", "y", "yaw", "phase", "swing")


@dataclass(frozen=True, slots=True, eq=False)
class Drive:
    """Time series in steps of `STEP_S`; time 0 is the beginning of the log.

    `robot` [N, len(ROBOT)] and `actors` [N, A, len(ACTOR)] in metres, radians, seconds; yaws are unwrapped.
    """

    scene: Scene
    times: Matrix
    robot: Matrix
    actors: Matrix
    shake: Matrix  # [N, 2] pitch and roll of the robot in addition to the ground's, rad

    def robot_at(self, t: float) -> dict[str, float]:
        """Return the robot's state by the names in `ROBOT`."""
        return dict(zip(ROBOT, (float(v) for v in self._between(self.robot, t)), strict=True))

    def actors_at(self, t: float) -> Matrix:
        """Return the states of all actors [A, len(ACTOR)]."""
        return self._between(self.actors, t)

    def attitude_at(self, t: float) -> tuple[float, float]:
        """Return pitch (nose down positive) and roll (left side up positive) of the robot, rad."""
        x, y, yaw = self._between(self.robot, t)[:3]
        pitch, roll = self.scene.terrain.tilt(float(x), float(y), float(yaw), 0.4)
        extra = self._between(self.shake, t)
        return pitch + float(extra[0]), roll + float(extra[1])

    def command_at(self, t: float) -> tuple[float, float]:
        """Return the curvature (1/m) and acceleration (m/s2) that are commanded `AHEAD_S` after `t`."""
        row = self._between(self.robot, t + AHEAD_S)
        return float(row[7]), float(row[8])

    def _between(self, series: Matrix, t: float) -> Matrix:
        u = min(max((t - self.times[0]) / STEP_S, 0.0), len(self.times) - 1.0)
        k = min(int(u), len(self.times) - 2)
        return np.asarray(series[k] * (1 - (u - k)) + series[k + 1] * (u - k))


def simulate_drive(scene: Scene, duration_s: float) -> Drive:
    """Simulate the robot and all actors for the length of a log."""
    times = np.arange(-LEAD_IN_S, duration_s + AHEAD_S + AFTER_S, STEP_S)
    driver = Driver(scene.route, scene.top_speed_m_s)
    movers = [_Mover(actor) for actor in scene.actors]
    x, y, yaw = scene.route.at(scene.start_m)
    speed, curvature, acceleration, station = 0.6 * scene.top_speed_m_s, 0.0, 0.0, scene.start_m
    robot, actors = np.zeros((len(times), len(ROBOT))), np.zeros((len(times), len(movers), len(ACTOR)))
    for k in range(len(times)):
        station = scene.route.station_of(x, y, station)
        others = _others(movers)
        command = driver.command(x, y, yaw, speed, station, others, STEP_S)
        robot[k] = (x, y, yaw, speed, curvature, acceleration, station, *command)
        for j, mover in enumerate(movers):
            actors[k, j] = mover.row
        # The robot follows its commands with a lag.
        curvature += (command[0] - curvature) * STEP_S / 0.12
        acceleration += (command[1] - acceleration) * STEP_S / 0.15
        before = speed
        speed = max(0.0, speed + acceleration * STEP_S)
        if speed == 0.0:
            acceleration = (speed - before) / STEP_S
        middle = yaw + curvature * speed * STEP_S / 2
        x, y = x + speed * STEP_S * float(np.cos(middle)), y + speed * STEP_S * float(np.sin(middle))
        yaw += curvature * speed * STEP_S
        blockers = np.concatenate([others.positions, [[x, y]]])
        sizes = np.concatenate([others.half_lengths, [0.7]])
        for j, mover in enumerate(movers):
            mover.move(j, station, blockers, sizes)
    return Drive(scene, times, robot, actors, _shake(scene, robot))


class _Mover:
    """The state of one actor."""

    def __init__(self, actor: Actor) -> None:
        self.actor = actor
        self.station = actor.start_m
        self.speed = 0.0
        self.phase = 0.0
        self.waited = [0.0] * len(actor.pauses)
        self.stuck_s = self.robot_s = 0.0  # how long other actors, and the robot, have blocked it
        self.x, self.y, self.yaw = actor.path.at(actor.start_m)

    @property
    def row(self) -> tuple[float, ...]:
        """Return the state in the order of `ACTOR`."""
        swing = min(1.0, self.speed / 1.0) * 0.5 if self.actor.figure.label == "person" else 0.32
        return (self.x, self.y, self.yaw, self.phase, swing)

    def move(self, index: int, robot_station: float, blockers: Matrix, sizes: Matrix) -> None:
        """Move by one step; `blockers` [A + 1, 2] and `sizes` are those of all actors, then of the robot."""
        wanted = self.actor.speed_m_s if robot_station >= self.actor.trigger_m else 0.0
        # Two actors that block each other would wait for ever: after a while one ignores the blocker.
        by_others, by_robot = self._blocked(index, blockers, sizes) if wanted > 0 else (False, False)
        self.stuck_s = self.stuck_s + STEP_S if by_others else max(0.0, self.stuck_s - STEP_S)
        self.robot_s = (
            min(self.robot_s + STEP_S, PATIENCE_S + 0.3) if by_robot else max(0.0, self.robot_s - STEP_S / 10)
        )
        pushes_on = PATIENCE_S < self.stuck_s < 2 * PATIENCE_S
        if self.stuck_s >= 2 * PATIENCE_S:
            self.stuck_s = 0.0
        blocked = by_robot or (by_others and not pushes_on)
        if self.station >= self.actor.path.length_m or self._pauses() or blocked:
            wanted = 0.0
        limit = 2.5 if wanted > self.speed else 4.0
        self.speed += float(np.clip(wanted - self.speed, -limit * STEP_S, limit * STEP_S))
        self.station = min(self.station + self.speed * STEP_S, self.actor.path.length_m)
        stride = 0.75 if self.actor.figure.label == "person" else 1.1
        self.phase += self.speed * STEP_S / stride * np.pi
        self.x, self.y, self.yaw = self.actor.path.at(self.station)

    def _pauses(self) -> bool:
        """Return whether the actor pauses here, and count the time."""
        for k, (station, seconds) in enumerate(self.actor.pauses):
            if self.station >= station and self.waited[k] < seconds:
                self.waited[k] += STEP_S
                return True
        return False

    def _blocked(self, index: int, blockers: Matrix, sizes: Matrix) -> tuple[bool, bool]:
        """Return whether another actor, and whether the robot, blocks the way; leaders ignore the robot."""
        dx, dy = blockers[:, 0] - self.x, blockers[:, 1] - self.y
        ahead = np.cos(self.yaw) * dx + np.sin(self.yaw) * dy
        aside = np.abs(-np.sin(self.yaw) * dx + np.cos(self.yaw) * dy)
        half_length, half_width = self.actor.figure.size_m[0] / 2, self.actor.figure.size_m[1] / 2
        reach = half_length + sizes + 0.5 + 0.5 * self.speed
        berth = half_width + np.minimum(sizes, 0.8) + 0.1
        if self.robot_s > PATIENCE_S:
            berth[-1] = half_width + ROBOT_HALF_WIDTH_M
        near = (ahead > 0.05) & (ahead < reach) & (aside < berth)
        near[index] = False
        if self.actor.leads:
            near[-1] = False
        return bool(near[:-1].any()), bool(near[-1])


def _others(movers: list[_Mover]) -> OtherActors:
    rows = [(m.x, m.y, m.yaw, m.speed, *m.actor.figure.size_m[:2]) for m in movers]
    x, y, yaw, speed, length, width = np.array(rows, float).reshape(-1, 6).T
    velocities = np.stack([speed * np.cos(yaw), speed * np.sin(yaw)], axis=1)
    return OtherActors(np.stack([x, y], axis=1), velocities, yaw, length / 2, width / 2)


def _shake(scene: Scene, robot: Matrix) -> Matrix:
    """Return pitch and roll [N, 2] from the ground's roughness, and from braking and turning, rad."""
    rng = random_stream(scene.seed, "bumps")
    travelled = np.concatenate([[0.0], np.cumsum(robot[:-1, 3]) * STEP_S])
    rough = np.zeros((len(robot), 2))
    for wavelength in (0.5, 0.8, 1.3, 2.1, 3.4):
        for axis in (0, 1):
            phase, weight = rng.uniform(0, 2 * np.pi), rng.normal(0, 1)
            rough[:, axis] += weight * np.sin(2 * np.pi * travelled / wavelength + phase)
    rough *= scene.conditions.bumps / np.sqrt(2.5) * np.array([1.0, 0.7])
    nod = -0.010 * robot[:, 5]
    lean = 0.008 * robot[:, 3] ** 2 * robot[:, 4]
    if scene.mirror:
        rough[:, 1] *= -1
    return np.stack([rough[:, 0] + nod, rough[:, 1] - lean], axis=1)
