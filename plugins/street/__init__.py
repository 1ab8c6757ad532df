"""The fusion plugin with weights that learned from real pictures, too. `plugin.yaml` names them."""
