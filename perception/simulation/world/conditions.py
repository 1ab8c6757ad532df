"""What the light, the air and the lens are like in one log."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from perception.simulation.objects.colours import hsv
from perception.simulation.objects.shapes import Vec3
from perception.simulation.scenario import Scenario, stream


@dataclass(frozen=True, slots=True)
class Look:
    """Light, air and lens.

    Attributes:
        sun_azimuth: rad, the side the light comes from, from x to the left.
        sun_elevation: rad.
        sun, ambient: Colour times strength of direct and diffuse light.
        zenith, horizon: Colours of the sky.
        clouds: 0 none to 1 closed.
        haze_per_m: Extinction of the air.
        exposure: Gain on the image; `noise` is its standard deviation at mid grey, of 255.
        shutter_s: Exposure time, which blurs what turns.
        dirt: Share of the lens that is smeared.
        bumps: Standard deviation of pitch and roll shaking, rad.
        lamps: Whether it is dark enough for lamps to be lit.
    """

    time: str
    sun_azimuth: float
    sun_elevation: float
    sun: Vec3
    ambient: Vec3
    zenith: Vec3
    horizon: Vec3
    clouds: float
    haze_per_m: float
    exposure: float
    white_balance: Vec3
    contrast: float
    saturation: float
    vignette: float
    noise: float
    shutter_s: float
    dirt: float
    bumps: float
    lamps: bool

    def mirrored(self) -> Look:
        """Left and right exchanged."""
        return replace(self, sun_azimuth=-self.sun_azimuth)


def make_look(seed: int, scenario: Scenario) -> Look:
    """The look that a seed gives, where the scenario leaves it open."""
    rng = stream(seed, "look")
    time = str(rng.choice(["day", "overcast", "low_sun", "dusk"], p=[0.4, 0.25, 0.2, 0.15]))
    time = scenario.time or time
    elevation = float(rng.uniform(0.6, 1.2))
    warm, strength, ambient, gain = float(rng.uniform(0.0, 0.12)), float(rng.uniform(0.70, 0.90)), 0.45, 1.0
    zenith, horizon = (
        hsv(0.58, float(rng.uniform(0.45, 0.65)), 0.82),
        hsv(0.57, float(rng.uniform(0.10, 0.25)), 0.95),
    )
    clouds = float(rng.uniform(0.0, 0.6))
    if time == "overcast":
        # Light from all over the sky still darkens the ground below things: a high, weak sun does so.
        strength, ambient, clouds = float(rng.uniform(0.28, 0.42)), float(rng.uniform(0.48, 0.60)), 1.0
        elevation = float(rng.uniform(1.15, 1.4))
        grey = float(rng.uniform(0.65, 0.85))
        zenith, horizon = hsv(0.58, 0.08, grey), hsv(0.58, 0.04, min(1.0, grey + 0.1))
    elif time == "low_sun":
        elevation, warm, ambient = float(rng.uniform(0.18, 0.42)), float(rng.uniform(0.25, 0.4)), 0.40
        zenith, horizon = hsv(0.59, 0.45, 0.7), hsv(float(rng.uniform(0.07, 0.12)), 0.35, 0.95)
    elif time == "dusk":
        elevation, warm = float(rng.uniform(0.12, 0.3)), float(rng.uniform(0.3, 0.5))
        strength, ambient, gain = (
            float(rng.uniform(0.12, 0.28)),
            float(rng.uniform(0.22, 0.32)),
            float(rng.uniform(1.1, 1.5)),
        )
        zenith, horizon = hsv(0.63, 0.5, 0.28), hsv(float(rng.uniform(0.02, 0.09)), 0.45, 0.55)
    sun = (strength, strength * (1 - 0.45 * warm), strength * (1 - warm))
    cool = float(rng.uniform(0.0, 0.10))
    haze = (
        scenario.haze
        if scenario.haze is not None
        else float(rng.choice([rng.uniform(0, 0.12), rng.uniform(0.1, 0.6)], p=[0.7, 0.3]))
    )
    dirt = (
        scenario.lens_dirt
        if scenario.lens_dirt is not None
        else float(rng.choice([0.0, rng.uniform(0, 0.3), rng.uniform(0.2, 0.7)], p=[0.4, 0.4, 0.2]))
    )
    tint = rng.normal(0, 0.025, 3)
    dark = time == "dusk"
    return Look(
        time,
        float(rng.uniform(-np.pi, np.pi)),
        elevation,
        sun,
        (ambient * (1 - cool), ambient * (1 - cool / 2), ambient),
        zenith,
        horizon,
        clouds,
        float(np.log(2) / 20 * haze),
        gain * float(np.exp(rng.normal(0, 0.14))),
        (1 + float(tint[0]), 1 + float(tint[1]), 1 + float(tint[2])),
        float(rng.uniform(0.85, 1.15)),
        float(rng.uniform(0.75, 1.2)),
        float(rng.uniform(0.05, 0.35)),
        float(rng.uniform(1.0, 3.0)) + (2.5 if dark else 0.0),
        float(rng.uniform(0.012, 0.03) if dark else rng.uniform(0.002, 0.012)),
        dirt,
        float(rng.uniform(0.003, 0.012)),
        dark,
    )
