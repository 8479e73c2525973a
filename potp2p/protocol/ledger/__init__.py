"""
The law of money and work: a state under an authenticated map, changed by one pure function.

Records live under byte keys (`keys.py`); `apply` changes them through an overlay; at the end of a
block the overlay's writes are put into the map in one batch and its new root goes into the header.
"""
