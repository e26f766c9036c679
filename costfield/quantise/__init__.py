"""Vectors in a few bits a coordinate. docs/quantisation.md says which codec to choose and what each was measured at.

    spec.py       what a store writes down about its codec: name, bits, rotation, seed, version
    quantiser.py  centre ─► norm apart ─► rotation ─► a codec's bytes, and back; inner products without decoding
    scalar.py     the codecs "scalar" (TurboQuant-MSE, with or without dither) and "eden" (its unbiased scaling)
    product.py    "product" (TurboQuant-prod): one bit less, and a 1-bit sketch of what that leaves over
    polar.py      "polar" (PolarQuant): a tree of angles
    codebook.py   Lloyd-Max levels, computed for the law that a rotated coordinate or angle follows
    rotation.py   random orthogonal maps
    draws.py      random numbers that every version of every library draws alike
    columns.py    embeddings as Arrow columns, and back; convert.py: a store copied under another codec
"""
