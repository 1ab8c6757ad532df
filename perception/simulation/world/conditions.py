"""Light, air, lens and exposure of one log."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from perception.simulation.objects.colours import hsv
from perception.simulation.objects.shapes import Vec3
from perception.simulation.random_draws import pick_one, random_stream, uniforms
from perception.simulation.scenario import Scenario


@dataclass(frozen=True, slots=True)
class Conditions:
    """Light, air, lens and exposure.

    Attributes:
        sun_azimuth: Direction that the light comes from, rad, from x to the left.
        sun_elevation: rad.
        sun, ambient: Colour times strength of direct and diffuse light.
        zenith, horizon: Colours of the sky.
        clouds: Cloud cover, 0 none to 1 closed.
        haze_per_m: Extinction coefficient of the air.
        exposure: Gain on the image; `noise` is its standard deviation at mid grey, of 255.
        shutter_s: Exposure time, which determines motion blur.
        dirt: Smeared share of the lens.
        bumps: Standard deviation of pitch and roll from the ground's roughness, rad.
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

    def mirrored(self) -> Conditions:
        """Return the conditions with left and right exchanged."""
        return replace(self, sun_azimuth=-self.sun_azimuth)


@dataclass(slots=True)
class _Light:
    """The light of a time of day, before tints: elevation in rad, strengths and `warmth` 0 to 1."""

    elevation: float
    warmth: float
    strength: float
    zenith: Vec3
    horizon: Vec3
    clouds: float
    ambient: float = 0.45
    gain: float = 1.0


def make_conditions(seed: int, scenario: Scenario) -> Conditions:
    """Draw the conditions of a seed, except those that the scenario fixes."""
    rng = random_stream(seed, "look")
    drawn_time = pick_one(rng, ("day", "overcast", "low_sun", "dusk"), (0.4, 0.25, 0.2, 0.15))
    time = scenario.time or drawn_time
    dark = time == "dusk"
    light = _draw_light(rng, time)
    ambient, strength, warmth = light.ambient, light.strength, light.warmth
    cool = rng.uniform(0.0, 0.10)
    haze, dirt = scenario.haze, scenario.lens_dirt
    if haze is None:
        haze = pick_one(rng, uniforms(rng, (0, 0.12), (0.1, 0.6)), (0.7, 0.3))
    if dirt is None:
        dirt = pick_one(rng, (0.0, *uniforms(rng, (0, 0.3), (0.2, 0.7))), (0.4, 0.4, 0.2))
    red, green, blue = (1 + float(tint) for tint in rng.normal(0, 0.025, 3))
    return Conditions(
        time,
        sun_azimuth=rng.uniform(-np.pi, np.pi),
        sun_elevation=light.elevation,
        sun=(strength, strength * (1 - 0.45 * warmth), strength * (1 - warmth)),
        ambient=(ambient * (1 - cool), ambient * (1 - cool / 2), ambient),
        zenith=light.zenith,
        horizon=light.horizon,
        clouds=light.clouds,
        haze_per_m=float(np.log(2) / 20 * haze),
        exposure=light.gain * float(np.exp(rng.normal(0, 0.14))),
        white_balance=(red, green, blue),
        contrast=rng.uniform(0.85, 1.15),
        saturation=rng.uniform(0.75, 1.2),
        vignette=rng.uniform(0.05, 0.35),
        noise=rng.uniform(1.0, 3.0) + (2.5 if dark else 0.0),
        shutter_s=rng.uniform(0.012, 0.03) if dark else rng.uniform(0.002, 0.012),
        dirt=dirt,
        bumps=rng.uniform(0.003, 0.012),
        lamps=dark,
    )


def _draw_light(rng: np.random.Generator, time: str) -> _Light:
    elevation, warmth, strength = uniforms(rng, (0.6, 1.2), (0.0, 0.12), (0.70, 0.90))
    zenith, horizon = hsv(0.58, rng.uniform(0.45, 0.65), 0.82), hsv(0.57, rng.uniform(0.10, 0.25), 0.95)
    light = _Light(elevation, warmth, strength, zenith, horizon, clouds=rng.uniform(0.0, 0.6))
    if time == "overcast":
        # Light from the whole sky still darkens the ground below objects: a high, weak sun does so.
        light.strength, light.ambient, light.elevation, level = uniforms(
            rng, (0.28, 0.42), (0.48, 0.60), (1.15, 1.4), (0.65, 0.85)
        )
        light.clouds = 1.0
        light.zenith, light.horizon = hsv(0.58, 0.08, level), hsv(0.58, 0.04, min(1.0, level + 0.1))
    elif time == "low_sun":
        light.elevation, light.warmth, hue = uniforms(rng, (0.18, 0.42), (0.25, 0.4), (0.07, 0.12))
        light.ambient = 0.40
        light.zenith, light.horizon = hsv(0.59, 0.45, 0.7), hsv(hue, 0.35, 0.95)
    elif time == "dusk":
        light.elevation, light.warmth, light.strength, light.ambient, light.gain, hue = uniforms(
            rng, (0.12, 0.3), (0.3, 0.5), (0.12, 0.28), (0.22, 0.32), (1.1, 1.5), (0.02, 0.09)
        )
        light.zenith, light.horizon = hsv(0.63, 0.5, 0.28), hsv(hue, 0.45, 0.55)
    return light
