"""Any Functional or Sequential model, made narrower and less deep.

`shrink` reads from top to bottom what happens: `walk` finds the layers that
make the logits, `depth` the blocks that go, `channels` which channels belong
together, `widths` which of them stay; `replay` calls the teacher's graph again
with the layers that `recipe` makes, and `inherit` fills in their weights.
"""
