"""The ROS 2 package: an executable, a launch file, parameters. The code is that of `perception-fusion`."""

from setuptools import setup

NAME = "perception_ros"

setup(
    name=NAME,
    version="0.1.0",
    packages=[],
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        (f"share/{NAME}/launch", ["launch/perception.launch.py"]),
        (f"share/{NAME}/config", ["config/perception.yaml"]),
    ],
    install_requires=["setuptools", "perception-fusion"],
    zip_safe=True,
    license="MIT",
    entry_points={"console_scripts": ["perception_node = perception_plugins.hosts.rclpy_node:main"]},
)
