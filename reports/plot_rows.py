"""What plots of a row a case share: heights, names and whiskers."""

BAR_PX = 18
LABEL_PX = 22
GAP_PX = 12
LONGEST_NAME = 60
WHISKER_PX = 3


def name_place(text: str, y_px: float) -> tuple[float, float, str]:
    """Return where a row's name is written, shortened in the middle; the table has the whole of it."""
    shown = text if len(text) <= LONGEST_NAME else f"{text[: LONGEST_NAME // 2]}…{text[-LONGEST_NAME // 2 + 1 :]}"
    return 0, y_px + LABEL_PX - 8, shown


def whisker(low: float, high: float, y_px: float) -> list[tuple[float, float]]:
    """Return an interval as one path with both its ends."""
    over, under = y_px - WHISKER_PX, y_px + WHISKER_PX
    return [(low, over), (low, under), (low, y_px), (high, y_px), (high, under), (high, over)]
