"""The collector: pages with pictures become a library, politely, and every picture keeps where it came from.

One story a module: what is wanted (`sources`), what a page shows (`galleries`, `credits`), what a host allows
(`manners`), which addresses are out of bounds (`borders`), one request (`fetch`) and its answer (`answers`), one host
(`lane`) and many at once (`lanes`, `jobs`), what was done already (`journal`), pages (`visits`) and pictures (`wishes`,
`brought`) and what both need (`desk`), which pictures are alike (`likeness`), files and sidecars (`keep`,
`provenance`), the library's tables (`labels`), the run (`collect`) and its end (`stopping`), what it says (`report`),
and how a picture goes again (`forget`). Nothing here needs a network's weights, or torch.
"""
