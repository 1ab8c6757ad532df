"""The plugin contract, and the discovery of installed plugins.

A plugin is an installed package with an entry point in the group `perception.plugins` that names
the package, and a `plugin.yaml` in that package: its manifest, which is data, so that listing
plugins imports none of them::

    [project.entry-points."perception.plugins"]
    mine = "my_package"            # my_package/plugin.yaml, packaged as data

    # my_package/plugin.yaml
    api: 1
    name: mine
    factory: my_package.core:MyPlugin
    inputs: [camera, status]
    heads: [control]
"""

from perception.plugin.contract import (
    AdoptsPrepared,
    Context,
    HasPlainLoop,
    Infers,
    KnowsItsInputs,
    KnowsItsOutputs,
    Plugin,
    Prepared,
    StepsSubsets,
    TimesItsDevice,
)
from perception.plugin.discovery import (
    Installed,
    installed_manifest,
    list_plugins,
    load_plugin,
    own_weights,
    register_plugin,
)
from perception.plugin.manifest import API_VERSION, Manifest, read_manifest
from perception.plugin.positions import frame_from_picture, position_issue, positioned

__all__ = [
    "API_VERSION",
    "AdoptsPrepared",
    "Context",
    "HasPlainLoop",
    "Infers",
    "Installed",
    "KnowsItsInputs",
    "KnowsItsOutputs",
    "Manifest",
    "Plugin",
    "Prepared",
    "StepsSubsets",
    "TimesItsDevice",
    "frame_from_picture",
    "installed_manifest",
    "list_plugins",
    "load_plugin",
    "own_weights",
    "position_issue",
    "positioned",
    "read_manifest",
    "register_plugin",
]
