"""Delivery times, messages, and the writing of logs."""
