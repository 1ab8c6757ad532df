"""Error texts for installed packages that cannot be loaded, with the command that installs them again."""

from __future__ import annotations

import re
import sys
from importlib.metadata import PackageNotFoundError, packages_distributions, requires, version
from types import ModuleType

from perception.installation import NAME, pip_install

_OURS = ("perception", "perception_plugins", "perception_tools")


def damage_text(error: BaseException) -> str | None:
    """Return what is damaged and the command that mends it; None where the error is of another kind."""
    module = _module_of(error)
    if not module or module in _OURS or module in sys.stdlib_module_names:
        return None
    what = f"the package {module} cannot be loaded ({' '.join(str(error).split())})"
    required = _required()
    found = {_package(name) for name in packages_distributions().get(module, ())}
    wanted = found & required or {_package(module)} & required
    if not wanted:
        return f"{what}: the installation is damaged; `pip check` names what is missing"
    others = "".join(f"uninstall {name}, which brings it, too; then " for name in sorted(found - wanted))
    again = pip_install(f"--force-reinstall --no-deps {' '.join(map(_pinned, sorted(wanted)))}")
    return f"{what}: the installation is damaged; {others}install it again: {again}"


def _module_of(error: BaseException) -> str:
    """Return the package that an error says is missing or broken, as one of which only the folder is left."""
    if isinstance(error, ImportError):
        name = (error.name or "").partition(".")[0]
        lacks_name = str(error).startswith("cannot import name")
        # A whole package without the name is of a version that this one was not made for, or a bug of ours.
        return "" if lacks_name and getattr(sys.modules.get(name), "__file__", None) else name
    module = error.obj if isinstance(error, AttributeError) else None
    if isinstance(module, ModuleType) and getattr(module, "__file__", None) is None:
        return module.__name__.partition(".")[0]
    return ""


def _required() -> set[str]:
    """Return the packages that this one requires, those of extras among them."""
    try:
        lines = requires(NAME) or []
    except PackageNotFoundError:  # a clone that is only on the path
        lines = []
    return {_package(re.split(r"[^\w.-]", line, maxsplit=1)[0]) for line in lines}


def _package(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _pinned(name: str) -> str:
    try:
        return f"{name}=={version(name)}"
    except PackageNotFoundError:
        return name
