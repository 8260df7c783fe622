"""SeLo, semantic localization: where in a large image is what a text says? Protocol v1 of Yuan et al. (2022).

Z. Yuan et al., "Learning to evaluate performance of multimodal semantic localization", IEEE TGRS 2022.
"""
