#| tries = "raise exceptions and return objects that are named like what the judge itself uses"
#| docker = "ERROR"
#| wasm = "ERROR"
#| checks = [{ code = "def ref(x):\n    return x + x\nassert f(3) == ref(3)" }]
class Unknown(BaseException):
    pass


Unproxied = Pending = Remote = __make__ = __pending__ = Unknown


def f(x):
    raise Unknown("passed")
