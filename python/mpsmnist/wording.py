"""Words of messages for people."""


def counted(number: int, noun: str) -> str:
    """Put a number before a noun whose plural ends in s: "1 step", "2,000 steps"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def sized(size: int) -> str:
    """Say how many bytes there are, in decimal units: "512 bytes", "67 MB", "1.2 GB"."""
    if size < 1000:
        return counted(size, "byte")
    amount, units = size / 1000, ["kB", "MB", "GB", "TB"]
    while amount >= 999.5 and len(units) > 1:
        amount, units = amount / 1000, units[1:]
    return f"{amount:.{1 if amount < 9.95 else 0}f} {units[0]}"
