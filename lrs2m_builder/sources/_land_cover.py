"""The land-cover classes of BigEarthNet, and how to split a list of them: some names contain commas.

The 43 are the CORINE Land Cover classes of level 3 that occur in it (Sumbul et al., IGARSS 2019), the 19 are the
nomenclature that its authors made of them later (Sumbul et al., GRSM 2021).
"""

from __future__ import annotations

import re

CLASSES_43 = (
    "Continuous urban fabric",
    "Discontinuous urban fabric",
    "Industrial or commercial units",
    "Road and rail networks and associated land",
    "Port areas",
    "Airports",
    "Mineral extraction sites",
    "Dump sites",
    "Construction sites",
    "Green urban areas",
    "Sport and leisure facilities",
    "Non-irrigated arable land",
    "Permanently irrigated land",
    "Rice fields",
    "Vineyards",
    "Fruit trees and berry plantations",
    "Olive groves",
    "Pastures",
    "Annual crops associated with permanent crops",
    "Complex cultivation patterns",
    "Land principally occupied by agriculture, with significant areas of natural vegetation",
    "Agro-forestry areas",
    "Broad-leaved forest",
    "Coniferous forest",
    "Mixed forest",
    "Natural grassland",
    "Moors and heathland",
    "Sclerophyllous vegetation",
    "Transitional woodland/shrub",
    "Beaches, dunes, sands",
    "Bare rock",
    "Sparsely vegetated areas",
    "Burnt areas",
    "Inland marshes",
    "Peatbogs",
    "Salt marshes",
    "Salines",
    "Intertidal flats",
    "Water courses",
    "Water bodies",
    "Coastal lagoons",
    "Estuaries",
    "Sea and ocean",
)
CLASSES_19 = (
    "Urban fabric",
    "Industrial or commercial units",
    "Arable land",
    "Permanent crops",
    "Pastures",
    "Complex cultivation patterns",
    "Land principally occupied by agriculture, with significant areas of natural vegetation",
    "Agro-forestry areas",
    "Broad-leaved forest",
    "Coniferous forest",
    "Mixed forest",
    "Natural grassland and sparsely vegetated areas",
    "Moors, heathland and sclerophyllous vegetation",
    "Transitional woodland, shrub",
    "Beaches, dunes, sands",
    "Inland wetlands",
    "Coastal wetlands",
    "Inland waters",
    "Marine waters",
)
NAMES = frozenset(name.lower() for name in (*CLASSES_43, *CLASSES_19))

_KNOWN = "|".join(re.escape(name) for name in sorted(NAMES, key=len, reverse=True))
_ITEM = re.compile(rf"\s*((?:{_KNOWN})(?=\s*(?:,|$))|[^,]+)")


def split_classes(text: str) -> tuple[str, ...]:
    """The distinct names of a comma-separated list, in lower case; an unknown name ends at the next comma."""
    return tuple(dict.fromkeys(name for item in _ITEM.findall(text.lower()) if (name := item.strip())))
