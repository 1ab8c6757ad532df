"""The drive: where everyone is at every moment, simulated once, before anything is measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perception.geometry import Matrix
from perception.simulation.motion.driver import Driver, OtherActors
from perception.simulation.scenario import stream
from perception.simulation.world.scene import Actor, Scene

STEP_S = 0.02
LEAD_IN_S = 2.0  # driven before the log begins, so that it does not begin at a standstill
AHEAD_S = 0.5
AFTER_S = 1.0
PATIENCE_S = 1.5
ROBOT_HALF_WIDTH_M = 0.4
ROBOT = (
    "x",
    "y",
    "yaw",
    "speed",
    "curvature",
    "acceleration",
    "station",
    "command_curvature",
    "command_acceleration",
)
ACTOR = ("x", "y", "yaw", "phase", "swing")


@dataclass(frozen=True, slots=True, eq=False)
class Drive:
    """Time series on a grid of `STEP_S`; time 0 is the beginning of the log.

    `robot` [N, len(ROBOT)] and `actors` [N, A, len(ACTOR)] in metres, radians, seconds; yaws are unwrapped.
    """

    scene: Scene
    times: Matrix
    robot: Matrix
    actors: Matrix
    shake: Matrix  # [N, 2] pitch and roll of the robot besides the ground's, rad

    def robot_at(self, t: float) -> dict[str, float]:
        """The robot's state, by the names in `ROBOT`."""
        return dict(zip(ROBOT, (float(v) for v in self._between(self.robot, t)), strict=True))

    def actors_at(self, t: float) -> Matrix:
        """[A, len(ACTOR)]."""
        return self._between(self.actors, t)

    def attitude_at(self, t: float) -> tuple[float, float]:
        """Pitch (nose down positive) and roll (left side up positive) of the robot, rad."""
        x, y, yaw = self._between(self.robot, t)[:3]
        pitch, roll = self.scene.terrain.tilt(float(x), float(y), float(yaw), 0.4)
        extra = self._between(self.shake, t)
        return pitch + float(extra[0]), roll + float(extra[1])

    def command_at(self, t: float) -> tuple[float, float]:
        """Curvature and acceleration that the driver commands `AHEAD_S` after `t`."""
        row = self._between(self.robot, t + AHEAD_S)
        return float(row[7]), float(row[8])

    def _between(self, series: Matrix, t: float) -> Matrix:
        u = min(max((t - self.times[0]) / STEP_S, 0.0), len(self.times) - 1.0)
        k = min(int(u), len(self.times) - 2)
        return np.asarray(series[k] * (1 - (u - k)) + series[k + 1] * (u - k))


def drive(scene: Scene, duration_s: float) -> Drive:
    """Lets the robot drive and everyone else move."""
    times = np.arange(-LEAD_IN_S, duration_s + AHEAD_S + AFTER_S, STEP_S)
    driver = Driver(scene.route, scene.top_speed_m_s)
    crowd = [_Mover(actor) for actor in scene.actors]
    x, y, yaw = scene.route.at(scene.start_m)
    speed, curvature, acceleration, station = 0.6 * scene.top_speed_m_s, 0.0, 0.0, scene.start_m
    robot, actors = np.zeros((len(times), len(ROBOT))), np.zeros((len(times), len(crowd), len(ACTOR)))
    for k in range(len(times)):
        station = scene.route.station_of(x, y, station)
        others = _others(crowd)
        wish = driver.command(x, y, yaw, speed, station, others, STEP_S)
        robot[k] = (x, y, yaw, speed, curvature, acceleration, station, *wish)
        for j, mover in enumerate(crowd):
            actors[k, j] = mover.row
        # The machine follows its commands with a lag.
        curvature += (wish[0] - curvature) * STEP_S / 0.12
        acceleration += (wish[1] - acceleration) * STEP_S / 0.15
        before = speed
        speed = max(0.0, speed + acceleration * STEP_S)
        if speed == 0.0:
            acceleration = (speed - before) / STEP_S
        middle = yaw + curvature * speed * STEP_S / 2
        x, y = x + speed * STEP_S * float(np.cos(middle)), y + speed * STEP_S * float(np.sin(middle))
        yaw += curvature * speed * STEP_S
        blockers = np.concatenate([others.positions, [[x, y]]])
        sizes = np.concatenate([others.half_lengths, [0.7]])
        for j, mover in enumerate(crowd):
            mover.move(j, station, blockers, sizes)
    return Drive(scene, times, robot, actors, _shake(scene, robot))


class _Mover:
    """One actor on its way."""

    def __init__(self, actor: Actor) -> None:
        self.actor = actor
        self.station = actor.start_m
        self.speed = 0.0
        self.phase = 0.0
        self.waited = [0.0] * len(actor.pauses)
        self.stuck_s = self.robot_s = 0.0  # how long others, and the robot, have been in the way
        self.x, self.y, self.yaw = actor.path.at(actor.start_m)

    @property
    def row(self) -> tuple[float, ...]:
        swing = min(1.0, self.speed / 1.0) * 0.5 if self.actor.figure.label == "person" else 0.32
        return (self.x, self.y, self.yaw, self.phase, swing)

    def move(self, me: int, robot_station: float, blockers: Matrix, sizes: Matrix) -> None:
        wanted = self.actor.speed_m_s if robot_station >= self.actor.trigger_m else 0.0
        # Two who wait for each other would wait for ever: after a while one pushes on, or past the robot.
        by_others, by_robot = self._blocked(me, blockers, sizes) if wanted > 0 else (False, False)
        self.stuck_s = self.stuck_s + STEP_S if by_others else max(0.0, self.stuck_s - STEP_S)
        self.robot_s = (
            min(self.robot_s + STEP_S, PATIENCE_S + 0.3) if by_robot else max(0.0, self.robot_s - STEP_S / 10)
        )
        pushes_on = PATIENCE_S < self.stuck_s < 2 * PATIENCE_S
        if self.stuck_s >= 2 * PATIENCE_S:
            self.stuck_s = 0.0
        blocked = by_robot or (by_others and not pushes_on)
        if self.station >= self.actor.path.length_m or self._pausing() or blocked:
            wanted = 0.0
        limit = 2.5 if wanted > self.speed else 4.0
        self.speed += float(np.clip(wanted - self.speed, -limit * STEP_S, limit * STEP_S))
        self.station = min(self.station + self.speed * STEP_S, self.actor.path.length_m)
        stride = 0.75 if self.actor.figure.label == "person" else 1.1
        self.phase += self.speed * STEP_S / stride * np.pi
        self.x, self.y, self.yaw = self.actor.path.at(self.station)

    def _pausing(self) -> bool:
        for k, (station, seconds) in enumerate(self.actor.pauses):
            if self.station >= station and self.waited[k] < seconds:
                self.waited[k] += STEP_S
                return True
        return False

    def _blocked(self, me: int, blockers: Matrix, sizes: Matrix) -> tuple[bool, bool]:
        """Whether another one, and whether the robot, is close ahead; who leads it does not look back."""
        dx, dy = blockers[:, 0] - self.x, blockers[:, 1] - self.y
        ahead = np.cos(self.yaw) * dx + np.sin(self.yaw) * dy
        aside = np.abs(-np.sin(self.yaw) * dx + np.cos(self.yaw) * dy)
        half_length, half_width = self.actor.figure.size_m[0] / 2, self.actor.figure.size_m[1] / 2
        reach = half_length + sizes + 0.5 + 0.5 * self.speed
        berth = half_width + np.minimum(sizes, 0.8) + 0.1
        if self.robot_s > PATIENCE_S:
            berth[-1] = half_width + ROBOT_HALF_WIDTH_M
        near = (ahead > 0.05) & (ahead < reach) & (aside < berth)
        near[me] = False
        if self.actor.leads:
            near[-1] = False
        return bool(near[:-1].any()), bool(near[-1])


def _others(crowd: list[_Mover]) -> OtherActors:
    if not crowd:
        empty = np.zeros((0, 2))
        return OtherActors(empty, empty, np.zeros(0), np.zeros(0), np.zeros(0))
    return OtherActors(
        np.array([(m.x, m.y) for m in crowd]),
        np.array([(m.speed * np.cos(m.yaw), m.speed * np.sin(m.yaw)) for m in crowd]),
        np.array([m.yaw for m in crowd]),
        np.array([m.actor.figure.size_m[0] / 2 for m in crowd]),
        np.array([m.actor.figure.size_m[1] / 2 for m in crowd]),
    )


def _shake(scene: Scene, robot: Matrix) -> Matrix:
    """Bumps of the ground under the wheels, and the body's own nod and lean when it brakes and turns."""
    rng = stream(scene.seed, "bumps")
    travelled = np.concatenate([[0.0], np.cumsum(robot[:-1, 3]) * STEP_S])
    rough = np.zeros((len(robot), 2))
    for wavelength in (0.5, 0.8, 1.3, 2.1, 3.4):
        for axis in (0, 1):
            phase, weight = float(rng.uniform(0, 2 * np.pi)), float(rng.normal(0, 1))
            rough[:, axis] += weight * np.sin(2 * np.pi * travelled / wavelength + phase)
    rough *= scene.look.bumps / np.sqrt(2.5) * np.array([1.0, 0.7])
    nod = -0.010 * robot[:, 5]
    lean = 0.008 * robot[:, 3] ** 2 * robot[:, 4]
    if scene.mirror:
        rough[:, 1] *= -1
    return np.stack([rough[:, 0] + nod, rough[:, 1] - lean], axis=1)
