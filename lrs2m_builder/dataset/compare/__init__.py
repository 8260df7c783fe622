"""Two data sets compared: their texts of the same images side by side, blind votes, and a table."""
