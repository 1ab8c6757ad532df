"""Whether outputs agree: to the bit, but for rounding, or in their decisions."""
