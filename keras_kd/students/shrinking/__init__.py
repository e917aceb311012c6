"""Makes any Functional or Sequential model narrower and shallower.

`shrink` calls the other modules in this order:

1. `walk` finds the layers that produce the logits.
2. `depth` chooses the blocks to remove.
3. `channels` finds out which channels have to stay or go together. The top of
   `channel_numbers` explains how, with an example.
4. `widths` decides which of these channels stay.
5. `replay` calls the teacher's graph again with the narrower layers that
   `recipe` makes.
6. `inherit` copies the kept part of the teacher's weights, if asked to.
"""
