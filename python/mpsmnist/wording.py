"""Words of messages for people."""


def counted(number: int, noun: str) -> str:
    """Put a number before a noun whose plural ends in s: "1 step", "2,000 steps"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
