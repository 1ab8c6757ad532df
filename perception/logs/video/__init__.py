"""Video in logs: what its packets say of themselves, decoders in processes of their own, video files."""
