def widths():
    """How many 32-bit numbers a call row, an interval, a segment and a row of the dense matrix have."""
    return sizeof(CallRow) // 4, sizeof(Interval) // 4, sizeof(Segment) // 4, sizeof(DenseRow) // 4
