"""The detector plugin: any detector in a model file. `plugin.yaml` describes it."""
