"""Generators and discriminators, one file each.

A generator maps (noisy (B, C, H, W), sigma (B,)) to the restored image (B, C, H, W); H and W are
multiples of its `stride`, and no output depends on an input more than `reach_px` away. A
discriminator maps an image (B, C, H, W) to a `Judgement`.
"""
