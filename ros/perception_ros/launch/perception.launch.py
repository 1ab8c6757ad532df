"""ros2 launch perception_ros perception.launch.py config:=/path/robot.yaml"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare


def generate_launch_description():
    parameters = PathJoinSubstitution([FindPackageShare("perception_ros"), "config", "perception.yaml"])
    return LaunchDescription(
        [
            DeclareLaunchArgument("config", description="The YAML file of the robot."),
            DeclareLaunchArgument("record", default_value="", description="An MCAP file to write."),
            DeclareLaunchArgument("use_sim_time", default_value="false", description="Time from /clock."),
            DeclareLaunchArgument("params", default_value=parameters, description="Parameters of the node."),
            Node(
                package="perception_ros",
                executable="perception_node",
                name="perception",
                output="screen",
                parameters=[
                    LaunchConfiguration("params"),
                    {
                        "config": ParameterValue(LaunchConfiguration("config"), value_type=str),
                        "record": ParameterValue(LaunchConfiguration("record"), value_type=str),
                        "use_sim_time": ParameterValue(LaunchConfiguration("use_sim_time"), value_type=bool),
                    },
                ],
            ),
        ]
    )
