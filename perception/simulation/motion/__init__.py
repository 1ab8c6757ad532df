"""The movements of the robot and of all other actors."""
