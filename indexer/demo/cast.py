"""Twelve shows that never were and who plays in them, and strangers to ask about. How they are drawn is not known here.

A character is a line of CASTS: name | type or species, and skin | hair: colour(>tips) cut fringe | eyes | three colours
and outfit | accessories | words on eyes, build and hair.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Final

from indexer.demo import shows
from indexer.demo.identity import Identity
from indexer.demo.parts.colour import Colour
from indexer.demo.style import Style


@dataclass(frozen=True, slots=True)
class DrawnCharacter:
    """Somebody in a show, by a label that is unique in it, and what they look like."""

    label: str
    name: str
    identity: Identity


@dataclass(frozen=True, slots=True)
class DrawnShow:
    """A show: its label, what a catalogue says of it, how it is drawn, and who plays in it."""

    label: str
    title: str
    year: int
    studio: str
    style: Style
    characters: tuple[DrawnCharacter, ...]


COLOURS: Final = {
    "black": Colour(0.25, 0.02, 290), "ink": Colour(0.33, 0.07, 275), "brown": Colour(0.42, 0.07, 50),
    "chestnut": Colour(0.5, 0.11, 42), "sand": Colour(0.76, 0.08, 80), "blond": Colour(0.85, 0.13, 90),
    "gold": Colour(0.78, 0.15, 82), "orange": Colour(0.7, 0.17, 52), "rust": Colour(0.52, 0.14, 38),
    "red": Colour(0.55, 0.19, 27), "wine": Colour(0.42, 0.13, 15), "rose": Colour(0.72, 0.14, 8),
    "pink": Colour(0.8, 0.12, 355), "plum": Colour(0.45, 0.13, 335), "violet": Colour(0.55, 0.17, 300),
    "lilac": Colour(0.77, 0.1, 305), "navy": Colour(0.33, 0.09, 265), "blue": Colour(0.58, 0.16, 258),
    "sky": Colour(0.78, 0.1, 235), "teal": Colour(0.62, 0.11, 195), "mint": Colour(0.85, 0.09, 170),
    "green": Colour(0.58, 0.14, 145), "moss": Colour(0.5, 0.1, 122), "lime": Colour(0.82, 0.16, 120),
    "silver": Colour(0.86, 0.02, 260), "grey": Colour(0.6, 0.015, 260), "white": Colour(0.96, 0.01, 90),
    "fair": Colour(0.925, 0.032, 55), "peach": Colour(0.89, 0.045, 58), "tan": Colour(0.78, 0.07, 58),
    "umber": Colour(0.62, 0.075, 55), "ebony": Colour(0.52, 0.07, 50),
}  # fmt: skip
WORDS: Final[dict[str, dict[str, float | bool]]] = {
    "rising": {"slant": 0.8}, "drooping": {"slant": -0.8}, "bold-brows": {"brow": 1.8}, "thin-brows": {"brow": 0.5},
    "broad": {"build": 1.22}, "slim": {"build": 0.88}, "tall": {"stature": 1.08}, "small": {"stature": 0.84},
    "stray-lock": {"stray_lock": True}, "long": {"length": 1.35}, "short": {"length": 0.7},
}  # fmt: skip

CASTS: Final = {
    "petals": """
        Mio Tachibana | female fair | pink twin-tails zigzag | teal | white navy red sailor | ribbon | stray-lock
        Reina Kurosawa | female fair | black hime straight | violet | navy wine gold blazer | flower | rising
        Haruto Amane | male peach | chestnut neat-short swept | green | navy white blue blazer | | tall
        Sena Wakaba | male fair | blond shaggy curtain | sky | white sky rose vest | earrings | slim
        Popolo | cat pink | white bob sparse | blue | rose white gold dress | ribbon | small
        Aoi Minazuki | female peach | sky>lilac wavy curtain | pink | lilac white rose dress | hairpin | drooping
    """,
    "maple": """
        Kaede Morino | female peach | rust braid swept | green | rust sand green overalls | straw-hat | small
        Yuna Hoshikawa | female fair | lilac bob straight | blue | plum white gold kimono | flower | thin-brows
        Itsuki Shirase | male tan | brown shaggy zigzag | gold | moss sand rust hoodie | glasses | drooping
        Ren Asagiri | male fair | silver ponytail curtain | violet | ink silver plum kimono | | tall slim
        Old Bram | bear brown | chestnut bowl up | gold | red sand green vest | scarf | broad
    """,
    "cinder": """
        Dain Volk | male tan | red short-spiky up | gold | black grey red military | scar | bold-brows tall
        Sgt. Ilse Harrow | female fair | blond ponytail cover | blue | moss black gold military | eyepatch | rising
        Corvin | bird black | ink bowl up | red | ink grey wine cape | goggles | broad
        Nine | visor-robot grey | rust bowl up | red | rust black gold armour | | broad tall
        Mara Quill | female ebony | white undercut up | mint | wine black teal t-shirt | bandage | rising slim
        Gant | male umber | black neat-short sparse | green | navy brown orange cape | mask | broad
    """,
    "knuckle": """
        Ryo Kagemura | male peach | orange short-spiky sparse | green | red black gold gakuran | bandage | bold-brows
        Tomoe Ibuki | female tan | ink side-tail swept | gold | violet white lime track-suit | headphones | rising
        Jin Sakaguchi | male fair | lime undercut up | pink | black white lime hoodie | earrings | slim
        Granny Matsu | female peach | silver buns up | brown | plum sand red kimono | glasses | small
        Bolt Tiger | wolf orange | black shaggy sparse | sky | blue gold white track-suit | cap | broad tall
    """,
    "pudding": """
        Puka | slime gold | brown bob straight | brown | gold brown red t-shirt | beret |
        Momo Anzai | female fair | rose buns straight | rose | white rose lime dress | ribbon | stray-lock
        Taro Biscuit | male peach | sand bowl straight | brown | blue white orange overalls | cap | small
        Lulu Marron | female tan | brown>gold drills straight | green | mint white plum dress | flower |
        Captain Whisk | male fair | teal neat-short zigzag | gold | red white gold military | | broad
        Bun | rabbit white | pink bob up | red | sky white pink overalls | scarf | small
    """,
    "moss": """
        Fernie | female peach | moss bob zigzag | green | moss brown gold cape | witch-hat | small
        Acorn Pell | male tan | chestnut bowl straight | brown | rust moss gold vest | beret | small
        Little Ember | flame orange | red bob straight | red | gold red white t-shirt | |
        Hollow | ghost white | grey bob straight | ink | mint white blue t-shirt | straw-hat |
        Dame Thistle | female fair | plum wavy curtain | violet | plum mint gold dress | flower | thin-brows
        Tock | lens-robot teal | gold bob up | gold | gold brown teal overalls | cap | broad
    """,
    "tide": """
        Nagisa Kai | female fair | sky long-straight zigzag | blue | white navy sky sailor | hairpin | long
        Soma Umino | male tan | ink shaggy swept | teal | white teal orange t-shirt | headphones |
        Shiori Haven | female peach | brown bob curtain | brown | sand white blue vest | glasses | drooping
        Umi-no-ko | ghost sky | mint long-straight straight | blue | teal white pink dress | flower | long
        Captain Oren | male umber | silver neat-short swept | gold | navy white gold military | cap | broad
    """,
    "heron": """
        Ciel Varenne | male fair | silver>blue long-straight cover | violet | ink silver violet cape | earrings | tall
        Isolde Frey | female fair | wine wavy swept | red | black wine gold dress | hairpin | rising
        Kazu Tenmei | male peach | navy short-spiky sparse | gold | navy silver teal armour | | bold-brows
        Porcelain | doll white | blond drills straight | sky | plum white lilac dress | ribbon | drooping
        Azure Wyrm | dragon blue | violet shaggy up | gold | violet ink gold armour | | broad tall
        Lin Xue | female fair | mint hime straight | teal | white mint red shrine | flower | slim
    """,
    "umbrella": """
        Kenzo Arima | male peach | black neat-short swept | brown | sand brown red lab-coat | glasses | thin-brows
        Suzu Nekoyanagi | female fair | orange bob cover | green | red sand black kimono | beret | rising
        Inspector Gora | male tan | grey undercut up | grey | brown black gold military | scar | broad bold-brows
        Fumi | fox orange | rust shaggy sparse | gold | teal white red kimono | straw-hat | slim
        Chiyo Hanamori | female fair | violet braid zigzag | violet | white red gold shrine | hairpin | drooping
    """,
    "chess": """
        Toma Ichinose | male fair | blond bowl straight | blue | navy white red gakuran | | small
        Hibiki Sato | female tan | teal side-tail swept | orange | teal white gold sailor | headphones | stray-lock
        Professor Beryl | female fair | white buns curtain | violet | white plum mint lab-coat | glasses | tall
        Rook | robot white | black bowl up | red | black white red vest | | broad tall
        Daiki Mura | male umber | red cloud-curls zigzag | green | gold black green hoodie | |
    """,
    "comet": """
        Ace Rydell | male tan | brown shaggy swept | blue | red white blue cape | scarf | bold-brows
        Stella Noor | female peach | blond long-straight curtain | violet | pink white teal dress | earrings | long
        Dr. Quasar | male fair | white cloud-curls up | green | white navy orange lab-coat | goggles | slim
        R-OO | robot gold | red bowl up | mint | red blue white armour | | small
        Queen Zyra | female fair | violet drills cover | red | black violet gold cape | horns | rising tall
        Kid Meteor | male ebony | orange short-spiky zigzag | gold | blue gold red track-suit | | small
    """,
    "granary": """
        Hank Barley | male tan | sand neat-short sparse | brown | blue red sand overalls | straw-hat | broad
        Pippa Rye | female peach | red twin-tails straight | green | green white gold dress | | small
        Cumulus | cloud white | sky bowl straight | blue | pink sky white t-shirt | halo |
        Miss Oatley | female umber | black buns straight | brown | plum white teal blazer | glasses | tall
        Sprocket | visor-robot green | grey bowl up | gold | orange brown blue overalls | goggles | small
    """,
    "orbit": """
        Vex Calder | male fair | teal>pink undercut up | pink | black lime pink hoodie | headphones | slim
        Sable Ono | female ebony | silver hime straight | gold | white black red track-suit | | tall rising
        Unit Kestrel | lens-robot blue | lime bowl up | lime | lime black blue armour | | tall
        Io Marsh | female tan | lime side-tail cover | blue | violet black mint t-shirt | mask |
        Prowler | cat ink | pink shaggy up | lime | pink ink sky hoodie | | slim
    """,
    "teapot": """
        Nonna Crumb | female peach | grey buns up | brown | rose white moss overalls | glasses | broad small
        Clement Spout | male tan | brown cloud-curls sparse | green | green sand rust vest | cap | broad
        Whiskerby | rabbit sand | brown bob sparse | brown | wine white gold vest | scarf | small
        Steam | cloud lilac | white bob straight | violet | rose white sky t-shirt | beret |
        Dot Pekoe | female fair | gold bob straight | teal | teal white pink dress | ribbon | small
    """,
    "guests": """
        Sumire Oka | female fair | violet ponytail straight | green | mint white plum sailor | glasses | small
        Yohei Tanba | male tan | silver bowl sparse | brown | sand rust moss t-shirt | cap | broad
        Widow Ash | female tan | grey long-straight curtain | red | black red silver cape | mask | tall
        Shade Lynx | cat violet | lime shaggy up | red | black lime gold track-suit | eyepatch | slim
        Nutmeg | bear chestnut | sand bowl up | green | mint white red t-shirt | witch-hat | small
        Elder Twig | male ebony | white shaggy curtain | gold | brown gold moss kimono | | tall
        Marin Tsugaru | female tan | orange bob sparse | violet | teal sand white track-suit | cap | slim
        Lord Cobalt | male fair | blue long-straight up | red | white blue gold military | earrings | tall
        Detective Uno | lens-robot sand | brown bowl up | teal | brown sand black lab-coat | beret | slim
        Pilot Juno | female umber | pink bob zigzag | gold | orange white navy armour | goggles | tall
    """,
}  # fmt: skip


def _cast(name: str) -> tuple[DrawnCharacter, ...]:
    return tuple(_character(line) for line in CASTS[name].strip().splitlines())


def _character(line: str) -> DrawnCharacter:
    """Return the character that a line of CASTS describes."""
    name, being, hair, eyes, clothes, accessories, words = (part.strip() for part in line.split("|"))
    kind, skin = being.split()
    colour, cut, fringe = hair.split()
    hue, _, tips = colour.partition(">")
    *cloth, outfit = clothes.split()
    is_human = kind in ("male", "female")
    more: dict[str, float | bool] = {}
    for word in words.split():
        more |= WORDS[word]
    identity = Identity(
        type=kind if is_human else "non-human",
        species="human" if is_human else kind,
        seed=zlib.crc32(name.encode()),
        skin=COLOURS[skin],
        hair=COLOURS[hue],
        tips=COLOURS[tips or hue],
        eyes=COLOURS[eyes],
        colours=(COLOURS[cloth[0]], COLOURS[cloth[1]], COLOURS[cloth[2]]),
        cut=cut,
        fringe=fringe,
        outfit=outfit,
        accessories=tuple(accessories.split()),
        **more,  # type: ignore[arg-type]  # WORDS holds what fits
    )
    return DrawnCharacter(slug(name), name, identity)


def slug(name: str) -> str:
    """Return a name as a label: small letters and digits, everything else as single hyphens.

    >>> slug("Sgt. Ilse Harrow")
    'sgt-ilse-harrow'
    """
    return "-".join("".join(letter if letter.isalnum() else " " for letter in name.lower()).split())


def _show(title: str, year: int, studio: str, style: Style, cast: str) -> DrawnShow:
    return DrawnShow(slug(title), title, year, studio, style, _cast(cast))


SHOWS: Final = (
    _show("Petals on the Tram Line", 2011, "Studio Wisteria", shows.PETALS, "petals"),
    _show("Letters to Maple House", 2014, "Studio Wisteria", shows.MAPLE, "maple"),
    _show("Cinderwall Nine", 2006, "Blackline Works", shows.CINDER, "cinder"),
    _show("Knucklebone Alley", 2009, "Blackline Works", shows.KNUCKLE, "knuckle"),
    _show("Pudding Patrol", 2017, "Dumpling Pictures", shows.PUDDING, "pudding"),
    _show("Tiny Moss Kingdom", 2020, "Dumpling Pictures", shows.MOSS, "moss"),
    _show("Where the Tide Sleeps", 2019, "Lantern Room", shows.TIDE, "tide"),
    _show("The Glass Heron", 2022, "Lantern Room", shows.HERON, "heron"),
    _show("Paper Umbrella Case Files", 2002, "Inkstone", shows.UMBRELLA, "umbrella"),
    _show("Second Floor Chess Club", 2008, "Inkstone", shows.CHESS, "chess"),
    _show("Comet Post 77", 1979, "Toyama Cel", shows.COMET, "comet"),
    _show("Rocket Granary", 1984, "Toyama Cel", shows.GRANARY, "granary"),
)
"""The shows of the catalogue, each with male, female and non-human characters."""


def _visited(show: DrawnShow, guests: tuple[DrawnCharacter, ...]) -> DrawnShow:
    return DrawnShow(show.label, show.title, show.year, show.studio, show.style, guests)


_GUESTS: Final = _cast("guests")
STRANGERS: Final = (
    _visited(SHOWS[0], _GUESTS[0:2]),
    _visited(SHOWS[3], _GUESTS[2:4]),
    _visited(SHOWS[5], _GUESTS[4:6]),
    _visited(SHOWS[7], _GUESTS[6:8]),
    _visited(SHOWS[10], _GUESTS[8:10]),
    _show("Orbit Street Zero", 2023, "Ninefold", shows.ORBIT, "orbit"),
    _show("The Teapot Assembly", 1991, "Crumb and Sons", shows.TEAPOT, "teapot"),
)
"""Ten characters that are new to shows of the catalogue, and two whole shows, of ten characters, that it lacks."""
