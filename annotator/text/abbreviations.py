"""Clinical and scientific abbreviations for the sentence splitter.

Keys are lower case and without the final period; ``ACRONYMS`` and ``OPENERS`` keep their case.
"""

from __future__ import annotations

__all__ = [
    "ABBREVIATIONS",
    "ACRONYMS",
    "CLASSIFIERS",
    "DOMAINS",
    "NUMBERED",
    "OPENERS",
    "SCHEDULES",
    "TITLES",
]


def _words(*lines: str) -> frozenset[str]:
    return frozenset(word for line in lines for word in line.split())


#: Never the last word of a sentence.
TITLES = _words(
    "dr drs mr mrs ms prof rev gen lt col sgt capt sen gov hon vs v.s e.g i.e cf viz approx ca",
    "st mt incl resp esp vit",
)

#: In capitals these are words of their own (multiple sclerosis), not titles.
ACRONYMS = _words("MS LT CA CF MT")

#: Stand before a number (``Fig. 2``, ``No. 5``); may be a full word (``no``) otherwise.
NUMBERED = _words(
    "fig figs no nos ref refs eq eqs eqn tab tabs sec sect chap ch vol pp p art suppl ed n",
    "sat sats ox q apt ver phase",
    "al jan feb mar apr jun jul aug sep sept oct nov dec",
)

#: May end a sentence but usually do not: a boundary only before a word of ``OPENERS``.
ABBREVIATIONS = _words(
    "pt pts hx dx tx rx sx fx bx cx temp wt ht hosp dept univ inc ltd corp co assoc div",
    "i.v iv i.m s.c s.q p.o p.r n.p.o subcut sublingual intramusc u.s u.k u.s.a d.c",
    "jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thur thurs fri sp",
    "fig figs ref refs eq eqs suppl vol chap spp subsp var ssp cv min max avg",
    "occ disp sig cap caps tabs",
    "est med meds surg rec cont lat post sup inf prox dist abd ext",
)

#: Dosing schedules and the like: dotted, and as likely as not the end of a sentence.
SCHEDULES = _words(
    "q.d q.i.d b.i.d t.i.d q.h.s h.s p.r.n q.o.d q.a.m q.p.m a.m p.m a.c p.c o.d o.s o.u b.d",
    "neg pos bilat yr yrs mo mos wk wks hr hrs q.h q.w q.s stat etc m.d ph.d r.n d.o n.p p.a",
)

#: Words that open a sentence far more often than they follow an abbreviation.
OPENERS = _words(
    "The A An He She It We They I You His Her Its Our Their This That These Those There Here",
    "In On At After Before During While When Since Although Because However Therefore Thus",
    "Moreover Furthermore Also Then If As By For From With Without Both All Each None No Not",
    "Some Most Many Patient Patients Pt Pts Treatment Therapy Symptoms Results Result",
    "Conclusion Methods Background Follow Continue Will Was Is Are Were Denies Reports",
    "Admitted Discharged Given Started Please What Why How Who Two Three Four Five One",
)

#: Before a single capital that ends a sentence (``hepatitis C``, ``group A``).
CLASSIFIERS = _words(
    "hepatitis vitamin type group serogroup serotype subtype class grade stage factor drug arm",
    "cohort strain allele genotype phase part specimen patient case was",
)

#: Last parts of addresses, which people also write with a capital.
DOMAINS = _words("com edu gov info int io mil net org")
