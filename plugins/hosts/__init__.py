"""Hosts: the plugin in a stack that runs on the robot, over the alignment and the pipeline of replay."""
