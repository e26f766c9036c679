#| tries = "read XML whose entities multiply"
#| rows = [32]
#| docker = ["OOM", "ERROR", "TIMEOUT"]
#| limits = { wall_s = 5 }
from xml.dom import minidom


def f(x):
    names = "abcdefghij"
    pairs = zip(names, names[1:])
    entities = "".join(f"<!ENTITY {one} '{f'&{other};' * 10}'>" for one, other in pairs)
    return len(minidom.parseString(f"<!DOCTYPE x [{entities}<!ENTITY j '{'x' * 20}'>]><x>&a;</x>").toxml())
