"""A plugin of classical computer vision, installed beside `perception` like any other package."""
