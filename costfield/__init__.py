"""The Cost Field: from fingerprints of candidate programs to what each is likely to cost. Lower is better.

It knows arrays only: nothing of tasks, language models or sandboxes. Import what you need from the file that is named
after it: `costfield.train.train`, `costfield.field.CostField`, `costfield.shards.load_examples`.
"""
