def widths():
    """Return the numbers of 32-bit integers in a call row, an interval, a segment and a row of the dense matrix."""
    return sizeof(CallRow) // 4, sizeof(Interval) // 4, sizeof(Segment) // 4, sizeof(DenseRow) // 4
