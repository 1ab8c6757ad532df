"""Real stacks on loopback: hosts in processes of their own, and peers that are robots."""
