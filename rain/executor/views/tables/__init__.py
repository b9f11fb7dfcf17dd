"""Tables, as they lie: sorted, filtered and paged without being loaded.

Theory of operation
-------------------
Nothing is kept but which rows were found: their numbers, and of a sorted table the first `TABLE_SORTED_ROWS` with the
values that they are sorted by. A table is passed over batch by batch, of which only the columns are read that are
sorted or filtered by; then the columns that are shown are read of the rows that are shown. No pass is made at once:
each question works on for `TABLE_STEP_S`, and is answered with how far it came; the browser that wants to know asks
again. So no work is done for browsers that are gone, and questions of others are answered in between.
"""
