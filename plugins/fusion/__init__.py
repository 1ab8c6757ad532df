"""The fusion plugin: camera, range and status to detections and control. `plugin.yaml` describes it."""
