"""ROS 2 and ROS 1: transports that carry serialised messages, and conversions of what the plugin says."""
